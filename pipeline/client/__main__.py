"""`python -m pipeline.client`."""

import sys

from pipeline.client.command_line import main

if __name__ == "__main__":
    sys.exit(main())
