"""Where the command `alnico` starts: what must be set before torch is loaded, then `app.main`."""

from __future__ import annotations

import os
import sys


def start() -> None:
    """Run the command line and leave with its exit code."""
    # idle threads of torch's pool wait for work by spinning; on a busy machine that costs
    # many times the work itself. A short spin is enough to be woken in time.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    from alnico.cli.app import main

    sys.exit(main())
