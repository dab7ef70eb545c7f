"""How much memory this process may still take: what the machine has free, and what its limits leave.

Standard library only.
"""

from __future__ import annotations

import os
from pathlib import Path

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
#: version 2 of control groups, and 1: limit, usage, and what of the usage is files that can be dropped at any time
_FILES = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def available_memory(*, proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int | None:
    """Return the bytes that this process may still take, or None where the system does not say.

    The smallest of what the machine has free, what the control groups of this process leave (a container's limit, a
    batch system's), and what ``ulimit -v`` leaves.

    Args:
        proc: where the system tells of itself.
        cgroups: where the control groups are.

    Example:
        >>> available_memory(proc=Path("/nowhere"), cgroups=Path("/nowhere")) is None
        True
    """
    known = [_free_on_machine(proc), *_left_by_groups(proc, cgroups), _left_of_address_space(proc)]
    found = [max(0, value) for value in known if value is not None]
    return min(found) if found else None


def _free_on_machine(proc: Path) -> int | None:
    for line in _read(proc / "meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def _left_by_groups(proc: Path, cgroups: Path) -> list[int]:
    """Return what each group leaves that this process is in, and each group around that one."""
    left = []
    for line in _read(proc / "self" / "cgroup").splitlines():
        _, controllers, place = (*line.split(":", 2), "", "")[:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        folder, *files = _FILES[1 if controllers else 0]
        root = cgroups / folder
        inside = root / place.strip("/")
        # in a container the path may be that of the host, of which only the innermost folder is to be seen, as the root
        here = inside if inside.is_dir() else root
        while True:
            if (amount := _left_by_group(here, *files)) is not None:
                left.append(amount)
            if here == root:
                break
            here = here.parent
    return left


def _left_by_group(folder: Path, limit_file: str, usage_file: str, droppable: str) -> int | None:
    limit, usage = _read(folder / limit_file).strip(), _read(folder / usage_file).strip()
    if not (limit.isdigit() and usage.isdigit()):  # no limit is "max"
        return None
    pairs = (line.split() for line in _read(folder / "memory.stat").splitlines())
    files = sum(int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == droppable)
    return int(limit) - int(usage) + files


def _left_of_address_space(proc: Path) -> int | None:
    """Return what ``ulimit -v`` leaves, from the system's own table: the module ``resource`` is not everywhere."""
    for line in _read(proc / "self" / "limits").splitlines():
        if line.startswith("Max address space"):
            limit = line.split()[3]
            pages = _read(proc / "self" / "statm").split()
            if limit.isdigit() and pages:
                return int(limit) - int(pages[0]) * os.sysconf("SC_PAGE_SIZE")
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
