"""Read fields of a saved features file, each checked, so that a damaged file is named and never guessed at."""

from __future__ import annotations

import math
from typing import Any, TypeVar

from rekur.errors import BundleError, describe
from rekur.features.base import FILE_NAME, VERSION, Phrase, type_of

T = TypeVar("T")

_FIX = "The file is damaged or was edited; save the model again."


def damaged(name: str, got: object, expected: str) -> BundleError:
    """Return the error for one field that cannot be used."""
    return BundleError(describe(f"{FILE_NAME}, '{name}'", got, expected, _FIX))


def field(saved: dict[str, Any], name: str, kind: type[T]) -> T:
    """Return ``saved[name]`` if it is exactly of the type ``kind``."""
    if name not in saved:
        raise damaged(name, Phrase("nothing"), f"a value of type {kind.__name__}")
    value = saved[name]
    if type(value) is not kind:
        raise damaged(name, type_of(value), f"a value of type {kind.__name__}")
    return value


def texts(saved: dict[str, Any], name: str) -> list[str]:
    """Return a list of distinct texts."""
    value = field(saved, name, list)
    for entry in value:
        if type(entry) is not str:
            raise damaged(name, Phrase(f"{type_of(entry)} in the list"), "texts only")
    if len(set(value)) != len(value):
        twice = next(entry for entry in value if value.count(entry) > 1)
        raise damaged(name, twice, "each text once")
    return value


def vectors_of(learned: dict[str, Any]) -> dict[str, Any]:
    """Return the options ``vector_words`` and ``vector_size`` of features; older bundles lack the size."""
    if "vector_words" not in learned:
        return {}
    size = field(learned, "vector_size", int) if "vector_size" in learned else 0
    if size < 0:
        raise damaged("vector_size", size, "a whole number of 0 or more")
    return {"vector_words": texts(learned, "vector_words"), "vector_size": size}


def numbers(saved: dict[str, Any], name: str, count: int) -> list[float]:
    """Return a list of ``count`` finite numbers."""
    value = field(saved, name, list)
    if len(value) != count:
        raise damaged(name, Phrase(f"{len(value)} numbers"), f"{count} numbers")
    for entry in value:
        if type(entry) not in (int, float) or not math.isfinite(entry):
            raise damaged(name, entry, "finite numbers only")
    return [float(entry) for entry in value]


def check_head(saved: Any, kind: str) -> dict[str, Any]:
    """Return ``saved`` if it is of this kind and of a version that is known."""
    if type(saved) is not dict:
        raise BundleError(describe(FILE_NAME, type_of(saved), "a JSON object", _FIX))
    if field(saved, "kind", str) != kind:
        raise damaged("kind", saved["kind"], f"'{kind}'")
    version = field(saved, "version", int)
    if version > VERSION:
        fix = "It was written by a newer Rekur: pip install --upgrade rekur"
        raise BundleError(describe(f"{FILE_NAME}, 'version'", version, f"{VERSION} or less", fix))
    if version < 1:
        raise damaged("version", version, f"a whole number in [1, {VERSION}]")
    return saved
