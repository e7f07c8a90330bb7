"""Files and streams where Python's own calls promise less than is needed. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path


def rename_to_new(temporary: Path, target: Path) -> None:
    """Rename, but never over a file that has appeared meanwhile: FileExistsError. OSError as usual."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        os.rename(temporary, target)
    else:
        temporary.unlink()
