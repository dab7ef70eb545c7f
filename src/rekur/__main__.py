"""``python -m rekur``: the command line."""

from rekur.cli.main import run

if __name__ == "__main__":
    run()
