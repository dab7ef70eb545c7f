"""How much memory this process may still allocate, and the most that it had: of the machine, and of its limits.

Standard library only.
"""

from __future__ import annotations

import os
from pathlib import Path

from rekur._cgroups import CGROUPS, PROC, groups_of, read

#: control groups of version 2, and of version 1: limit, usage, and the droppable part of the usage
_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def available_memory(*, proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """Return the bytes that this process may still allocate, or None if the system does not say.

    It is the smallest of the machine's free memory, the rest of each control group's limit (a container, a batch
    system), and the rest of ``ulimit -v``.

    Args:
        proc: the mount point of procfs.
        cgroups: the mount point of the control groups.

    Example:
        >>> available_memory(proc=Path("/nowhere"), cgroups=Path("/nowhere")) is None
        True
    """
    limits = [_free_on_machine(proc), *_left_by_groups(proc, cgroups), _left_of_address_space(proc)]
    amounts = [max(0, value) for value in limits if value is not None]
    return min(amounts) if amounts else None


def _free_on_machine(proc: Path) -> int | None:
    for line in read(proc / "meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def _left_by_groups(proc: Path, cgroups: Path) -> list[int]:
    """Return the bytes left by each control group of this process, from the innermost out."""
    groups = groups_of("memory", proc=proc, cgroups=cgroups)
    left = [_left_by_group(folder, *_FILES[old]) for folder, old in groups]
    return [amount for amount in left if amount is not None]


def _left_by_group(folder: Path, limit_file: str, usage_file: str, droppable: str) -> int | None:
    limit, usage = read(folder / limit_file).strip(), read(folder / usage_file).strip()
    if not (limit.isdigit() and usage.isdigit()):  # no limit is "max"
        return None
    pairs = (line.split() for line in read(folder / "memory.stat").splitlines())
    files = sum(int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == droppable)
    return int(limit) - int(usage) + files


def _left_of_address_space(proc: Path) -> int | None:
    """Return the bytes left by ``ulimit -v``, read from procfs: the module ``resource`` is not on every system."""
    for line in read(proc / "self" / "limits").splitlines():
        if line.startswith("Max address space"):
            limit = line.split()[3]
            pages = read(proc / "self" / "statm").split()
            if limit.isdigit() and pages:
                return int(limit) - int(pages[0]) * os.sysconf("SC_PAGE_SIZE")
    return None


def begin_peak(*, proc: Path = PROC) -> bool:
    """Let :func:`peak_memory` count from now on; return whether the system can do that.

    Args:
        proc: the mount point of procfs.
    """
    try:
        (proc / "self" / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def peak_memory(*, proc: Path = PROC) -> int | None:
    """Return the most bytes of memory that this process had at once since :func:`begin_peak`, all it has loaded too.

    None where the system does not say.

    Args:
        proc: the mount point of procfs.
    """
    for line in read(proc / "self" / "status").splitlines():
        name, _, rest = line.partition(":")
        if name == "VmHWM":
            return int(rest.split()[0]) * 1024
    return None
