"""`python -m opscore.cli` is `opscore`."""

from opscore.cli import main

if __name__ == "__main__":
    main()
