from stability.cli import run

if __name__ == "__main__":
    run()
