"""Checks of what users give. Each returns the value it checked, or raises with the text of ``errors.describe``."""

from __future__ import annotations

import importlib
import math
import numbers
from collections.abc import Collection, Iterable, Mapping
from types import ModuleType
from typing import Any

from rekur.errors import InputError, MissingDependencyError, describe, did_you_mean

#: largest 64-bit integer; largest size of one axis (the product of two, in bytes, fits 64 bits); most stacked layers;
#: longest kernel of a convolution
LARGEST, LARGEST_SIZE, MOST_LAYERS, MOST_STEPS = 2**63 - 1, 2**28, 1000, 2**16
#: ways to reduce the outputs of all steps to one vector
POOLS = ("last", "mean", "max", "attention")
#: most threads that a kernel may use
MOST_THREADS = 1024


def whole(thing: str, value: Any, low: int | None = None, high: int | None = None) -> int:
    """Return ``value`` as an int in ``[low, high]``.

    Example:
        >>> whole("hidden_size", 64, low=1)
        64
    """
    if high is None:
        return _up_to(LARGEST, thing, value, low)
    if _is_whole(value) and (low is None or value >= low) and value <= high:
        return int(value)
    raise InputError(describe(thing, value, _range("a whole number", low, high)))


def _up_to(most: int, thing: str, value: Any, low: int | None) -> int:
    """Return ``value`` as an int in ``[low, most]``; the message names ``most`` only if ``value`` exceeds it."""
    if _is_whole(value) and (low is None or value >= low):
        return whole(thing, value, low, most)
    raise InputError(describe(thing, value, _range("a whole number", low, None)))


def size(thing: str, value: Any, low: int = 1) -> int:
    """Return ``value`` as the size of one axis of an array.

    Example:
        >>> size("hidden_size", 64)
        64
    """
    return _up_to(LARGEST_SIZE, thing, value, low)


def layers(thing: str, value: Any) -> int:
    """Return ``value`` as a number of layers.

    Example:
        >>> layers("num_layers", 2)
        2
    """
    return _up_to(MOST_LAYERS, thing, value, 1)


def steps_seen(thing: str, value: Any, low: int = 1) -> int:
    """Return ``value`` as the number of steps that a convolution covers.

    Example:
        >>> steps_seen("kernel_size", 4)
        4
    """
    return _up_to(MOST_STEPS, thing, value, low)


def seed(thing: str, value: Any) -> int:
    """Return ``value`` as the seed of random numbers.

    Example:
        >>> seed("seed", 0)
        0
    """
    return _up_to(2**64 - 1, thing, value, 0)


def number(
    thing: str, value: Any, low: float | None = None, high: float | None = None, *, open_high: bool = False
) -> float:
    """Return ``value`` as a finite float in ``[low, high]``, or in ``[low, high)`` if ``open_high``.

    Example:
        >>> number("dropout", 0.5, 0, 1, open_high=True)
        0.5
    """
    real = _real(value)
    if math.isfinite(real):
        above = low is None or real >= low
        below = high is None or (real < high if open_high else real <= high)
        if above and below:
            return real
    raise InputError(describe(thing, value, _range("a number", low, high, open_high)))


def positive(thing: str, value: Any) -> float:
    """Return ``value`` as a finite float above 0.

    Example:
        >>> positive("learning_rate", 1e-3)
        0.001
    """
    if 0 < _real(value) < math.inf:
        return float(value)
    raise InputError(describe(thing, value, "a number above 0"))


def tolerance(thing: str, value: Any) -> float:
    """Return ``value`` as the largest accepted difference between scores; it is below 1, where it would prove nothing.

    Example:
        >>> tolerance("tolerance", 1e-5)
        1e-05
    """
    if (real := positive(thing, value)) < 1:
        return real
    raise InputError(describe(thing, value, "a number above 0 and below 1"))


def flag(thing: str, value: Any) -> bool:
    """Return ``value`` if it is True or False.

    Example:
        >>> flag("bias", True)
        True
    """
    if isinstance(value, bool):
        return value
    raise InputError(describe(thing, value, "True or False"))


def choice(thing: str, value: Any, allowed: Collection[str]) -> str:
    """Return ``value`` if it is one of ``allowed``; the error lists them and names the nearest.

    Example:
        >>> choice("cell", "gru", ["rnn", "lstm", "gru"])
        'gru'
    """
    if isinstance(value, str) and value in allowed:
        return value
    expected = "one of " + ", ".join(f"'{name}'" for name in allowed)
    raise InputError(describe(thing, value, expected, did_you_mean(str(value), allowed)))


def pooling(thing: str, value: Any) -> list[str]:
    """Return the names of the pools that ``value`` joins by ``+``.

    Example:
        >>> pooling("pooling", "last+mean")
        ['last', 'mean']
    """
    if not isinstance(value, str):
        raise InputError(describe(thing, value, "a name such as 'last' or 'mean+max'"))
    parts = [choice(thing, part.strip(), POOLS) for part in value.split("+")]
    if len(set(parts)) < len(parts):
        raise InputError(describe(thing, value, "each name once"))
    return parts


def slots(thing: str, value: Any) -> int:
    """Return ``value`` as a number of slots of memory: a power of 2 up to 2**20.

    Example:
        >>> slots("slots", 64)
        64
    """
    count = whole(thing, value, low=2, high=2**20)
    if count & (count - 1):
        raise InputError(describe(thing, count, "a power of 2", f"Take {1 << count.bit_length()}."))
    return count


def cutoffs(thing: str, value: Iterable[Any], size: int) -> tuple[int, ...]:
    """Return ``value`` as the first index of each further cluster of ``size`` tokens; they rise, none is empty.

    Example:
        >>> cutoffs("cutoffs", [100, 200], 300)
        (100, 200)
    """
    indices = tuple(value)
    fits = all(_is_whole(number) and 2 <= number < size for number in indices)
    if not indices or not fits or list(indices) != sorted(set(indices)):
        expected = f"one or more rising whole numbers in [2, {size - 1}]"
        raise InputError(describe(thing, indices, expected))
    return indices


def no_unknown(thing: str, options: Iterable[str], allowed: Collection[str]) -> None:
    """Raise for the first name in ``options`` that is not in ``allowed``.

    Example:
        >>> no_unknown("option", ["dropout"], ["dropout", "bias"])
    """
    for name in options:
        choice(thing, name, allowed)


def names(thing: str, value: Any) -> Mapping[str, Any]:
    """Return ``value`` if it is a dict of options, and an empty one for None.

    Example:
        >>> names("feature_options", None)
        {}
    """
    if value is None or isinstance(value, Mapping):
        return value or {}
    raise InputError(describe(thing, value, "a dict of options"))


def several(thing: str, value: Any) -> list[Any]:
    """Return ``value`` as a list if it is an iterable other than text or a dict.

    Example:
        >>> several("ngrams", (2, 3))
        [2, 3]
    """
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return list(value)
    raise InputError(describe(thing, value, "a list"))


def need(module: str, extra: str, purpose: str, *, package: str = "") -> ModuleType:
    """Import an optional package; the error names the extra that installs it.

    Args:
        module: the module to import, such as ``"pyarrow.parquet"``.
        extra: the extra of Rekur that installs it.
        purpose: the task that needs it, such as ``"reading parquet files"``.
        package: the name under which it is installed; by default that of the module.

    Example:
        >>> need("json", "train", "an example").__name__
        'json'
    """
    top = module.split(".")[0]
    name = package or top
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (top, module):
            raise MissingDependencyError(_broken(purpose, name, error)) from error
        text = f"{purpose}: needs the package '{name}', which is not installed. pip install \"rekur[{extra}]\""
        raise MissingDependencyError(text) from error
    except ImportError as error:
        raise MissingDependencyError(_broken(purpose, name, error)) from error


def _broken(purpose: str, package: str, error: ImportError) -> str:
    """Return the message for a package that is installed but cannot be imported."""
    fix = f"Install it again: pip install --force-reinstall {package}"
    return f"{purpose}: needs the package '{package}', whose installation is broken ({error}). {fix}"


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _real(value: Any) -> float:
    """Return a real number as a float; NaN for everything else, including True and False."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:  # an int beyond the range of a float
        return math.inf


def _range(kind: str, low: float | None, high: float | None, open_high: bool = False) -> str:
    if low is None and high is None:
        return kind
    if high is None:
        return f"{kind} of {low} or more"
    if low is None:
        return f"{kind} of {high} or less"
    return f"{kind} in [{low}, {high}{')' if open_high else ']'}"
