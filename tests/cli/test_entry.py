from __future__ import annotations

import os
import subprocess
import sys


def test_the_entry_point_sets_a_short_spin_before_torch_and_keeps_the_users_choice() -> None:
    code = (
        "import os, sys; from alnico.cli import entry; assert 'torch' not in sys.modules\n"
        "sys.argv = ['alnico', '--version']\n"
        "try: entry.start()\n"
        "finally: print(os.environ['GOMP_SPINCOUNT'])"
    )
    for given, expected in ((None, "1000"), ("7", "7")):
        environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"}
        if given:
            environment["GOMP_SPINCOUNT"] = given
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == ["alnico", "0.1.0", expected]
