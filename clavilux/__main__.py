"""Run ``clavilux`` as ``python -m clavilux``."""

from clavilux.cli import main

if __name__ == "__main__":
    main()
