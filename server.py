"""Start the server: `python server.py` is `pnl-backend serve`."""

import sys

from pnl_backend.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
