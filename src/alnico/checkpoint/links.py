"""Where a link may lead: no file that is read through a folder lies outside it."""

from __future__ import annotations

import os
from pathlib import Path


def stays_inside(path: Path, folder: Path) -> bool:
    """Whether a path, all links followed, lies in the folder, or in its hub cache.

    A hub's cache links each file of `models--ORG--NAME/snapshots/REVISION` into its own `blobs`;
    that is the one link out of a folder that is followed.

    Args:
        path: A path below the folder.
        folder: What it may not leave.
    """
    root, target = (Path(os.path.realpath(each)) for each in (folder, path))  # loops, too
    if target.is_relative_to(root):
        return True
    return root.parent.name == "snapshots" and target.parent == root.parent.parent / "blobs"
