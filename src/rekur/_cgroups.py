"""The control groups of this process: the limits of a container or a batch system. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def groups_of(controller: str, *, proc: Path = PROC, cgroups: Path = CGROUPS) -> Iterator[tuple[Path, bool]]:
    """Yield the folder of each control group of this process, from the innermost out, and whether it is version 1.

    Args:
        controller: "memory" or "cpu".
        proc: the mount point of procfs.
        cgroups: the mount point of the control groups.
    """
    for line in read(proc / "self" / "cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and controller not in controllers.split(","):
            continue
        root = cgroups / controller if controllers else cgroups
        inside = root / path.strip("/")
        # inside a container the path may be the host's; only its innermost folder is mounted, as the root
        folder = inside if inside.is_dir() else root
        while True:
            yield folder, bool(controllers)
            if folder == root:
                break
            folder = folder.parent


def processor_quota(*, proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """Return the number of processors that the control groups allow this process, rounded up; None without a limit.

    Example:
        >>> processor_quota(proc=Path("/nowhere"), cgroups=Path("/nowhere")) is None
        True
    """
    quotas = [
        quota
        for folder, old in groups_of("cpu", proc=proc, cgroups=cgroups)
        if (quota := _quota(folder, old)) is not None
    ]
    return min(quotas) if quotas else None


def _quota(folder: Path, old: bool) -> int | None:
    if old:
        texts = [read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    else:
        texts = read(folder / "cpu.max").split()
    if len(texts) != 2 or not all(text.isdigit() for text in texts):  # no limit is "max", or -1
        return None
    quota, period = map(int, texts)
    return max(1, math.ceil(quota / period)) if period else None


def read(path: Path) -> str:
    """Return the text of a system file; empty if it cannot be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
