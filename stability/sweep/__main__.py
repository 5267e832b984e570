from stability.cli.sweep import run

if __name__ == "__main__":
    run()
