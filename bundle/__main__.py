"""Commands for what a config cannot do: ``python -m bundle <command>``."""

import sys

from bundle.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
