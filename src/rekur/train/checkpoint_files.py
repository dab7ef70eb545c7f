"""The files of checkpoints: a folder ``step-00001234`` each; no PyTorch."""

from __future__ import annotations

import contextlib
from pathlib import Path

STATE, TENSORS = "state.json", "tensors.safetensors"


def checkpoints_in(folder: Path) -> list[Path]:
    """Return all checkpoints in a folder, whole or not, the newest last; folders of other files are left out."""
    paths = [path for path in folder.glob("step-*") if path.name[5:].isdecimal() and own_files(path)]
    return sorted(paths, key=lambda path: int(path.name[5:]))


def own_files(folder: Path) -> tuple[str, ...] | None:
    """Return the files of the checkpoint in a folder; None without a checkpoint."""
    return (STATE, TENSORS) if any((folder / name).exists() for name in (STATE, TENSORS)) else None


def remove(path: Path) -> None:
    """Remove a checkpoint, whole or damaged; what somebody else put into its folder stays, and the folder with it."""
    for name in (STATE, TENSORS):
        with contextlib.suppress(OSError):
            (path / name).unlink()
    with contextlib.suppress(OSError):
        path.rmdir()
