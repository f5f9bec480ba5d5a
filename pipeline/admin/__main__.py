"""`python -m pipeline.admin`."""

import sys

from pipeline.admin.command_line import main

if __name__ == "__main__":
    sys.exit(main())
