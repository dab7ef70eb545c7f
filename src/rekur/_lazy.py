"""Public names of a package, and classes of a table, that are imported at their first use."""

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


class LazyClasses(dict[str, Any]):
    """Classes by name; one that stands as ``"module:Class"`` is imported at its first use.

    Example:
        >>> LazyClasses(fraction="fractions:Fraction")["fraction"](1, 2)
        Fraction(1, 2)
    """

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if isinstance(value, str):
            module, _, attribute = value.partition(":")
            value = self[name] = getattr(importlib.import_module(module), attribute)
        return value
