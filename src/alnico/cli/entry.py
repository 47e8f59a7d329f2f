"""Where the command `alnico` starts: what must be set before torch is loaded, then `app.main`."""

from __future__ import annotations

import os
import sys


def start() -> None:
    """Run the command line and leave with its exit code."""
    # threads of torch's pool wait for work by spinning. On a machine that is busy with something
    # else this made small networks five to ten times slower; a short spin costs next to nothing.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from alnico.cli.app import main

    sys.exit(main())
