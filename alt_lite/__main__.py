"""`python -m alt_lite VERB`."""

from alt_lite.cli.app import main

if __name__ == "__main__":
    main()
