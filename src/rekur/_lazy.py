"""Public names of a package that are imported at their first use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazily(package: str, sources: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package whose public names are imported at their first use.

    No name may equal the name of a module of the package: an import of the module would replace the name.

    Args:
        package: the package's name.
        sources: module, below the package or in full (``rekur.…``) -> the names it defines, separated by spaces.
    """
    modules = {
        name: module if module.startswith("rekur.") else f"{package}.{module}"
        for module, names in sources.items()
        for name in names.split()
    }

    def find(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        value = getattr(importlib.import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return find, lambda: sorted(modules)
