import sys

from stability import cli

if __name__ == "__main__":
    sys.argv.insert(1, "sweep")
    cli.run()
