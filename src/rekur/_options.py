"""Options of estimators, each stated once: constructor, documentation, command line and search are derived from it.

A class of options is a dataclass whose fields are all made by :func:`option`. It imports neither PyTorch nor
scikit-learn; the estimator inherits it.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rekur._check import no_unknown

GROUPS = ("data", "model", "training", "decoding")
_KEY = "option"
_WIDTH = 110

Class = TypeVar("Class", bound=type)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """An option of a class: its description, and the name, types and default that the class gives it.

    Attributes:
        group: the heading of ``--help`` under which it stands, one of ``GROUPS``.
        help: one sentence for the command line and the documentation.
        flag_help: the sentence for the command line, if it differs.
        details: sentences for the documentation alone.
        flag: the flag; by default ``--`` and the name with hyphens.
        negative: the flag for False; if the default is True there is no other.
        metavar: the name of its value in ``--help``; by default that of its type.
        parse: text -> value; raises ValueError with the text ``got …; expected ….``.
        choices: the values that the command line takes.
        check: (name, value) -> raises for a value that is out of range; it is not asked for None.
        search: the default range of a search, as ``--space`` takes it; empty for an option that is searched only if a
            range is given, None for one that cannot be searched.
        varies: whether variants of a comparison may differ in it; not in what decides on which items they are scored.
        kinds: the kinds of items on which the option has an effect; all if empty.
        needs: an option that must not be empty for this one to have an effect.
        members: the class of the options that a dict of options holds.
        shell: whether the command line has it; if not, the command sets it.
        absolute: value -> the same value, with an absolute path if it names a file.
        name: the name of the field.
        types: the types of its values; ``NoneType`` where None lets a recipe choose.
        default: the value that is used if none is set.
    """

    group: str
    help: str
    flag_help: str = ""
    details: str = ""
    flag: str = ""
    negative: str = ""
    metavar: str = ""
    parse: Callable[[str], Any] | None = None
    choices: tuple[str, ...] = ()
    check: Callable[[str, Any], Any] | None = None
    search: str | None = ""
    varies: bool = True
    kinds: tuple[str, ...] = ()
    needs: str = ""
    members: type | None = None
    shell: bool = True
    absolute: Callable[[str], str] | None = None
    name: str = ""
    types: tuple[type, ...] = ()
    default: Any = None

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise TypeError(f"group: got {self.group!r}; expected one of {', '.join(GROUPS)}.")

    def flags(self) -> list[str]:
        """Return the flags of the command line; a pair such as ``--tied/--not-tied`` for both values of a bool."""
        flag = self.flag or f"--{self.name.replace('_', '-')}"
        if not self.negative:
            return [flag]
        return [self.negative] if self.default is True else [f"{flag}/{self.negative}"]


def option(group: str, help: str, *, default: Any, **described: Any) -> Any:
    """Return the field of an option.

    Args:
        group: the heading of ``--help`` under which it stands, one of ``GROUPS``.
        help: one sentence for the command line and the documentation.
        default: the value that is used if none is set; None where a recipe chooses.
        described: further attributes of :class:`Option`.
    """
    metadata = {_KEY: Option(group=group, help=help, **described)}
    return dataclasses.field(default=default, metadata=metadata)


_SAME: Any = object()


def override(base: type, name: str, *, default: Any = _SAME, **changes: Any) -> Any:
    """Return the field of an option of a base class with another default or other attributes.

    Args:
        base: the class of options that has it.
        name: its name.
        default: the new default; by default the one of ``base``, but type checkers then take the option for required.
        changes: attributes of :class:`Option`.
    """
    field = base.__dataclass_fields__[name]  # type: ignore[attr-defined]
    described = dataclasses.replace(field.metadata[_KEY], **changes)
    return dataclasses.field(default=field.default if default is _SAME else default, metadata={_KEY: described})


@typing.dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(option, override))
def options(cls: Class) -> Class:
    """Make a class of options: a constructor with keywords only, equality by identity, a generated ``__doc__``.

    The constructor stores each option unchanged, as scikit-learn demands; checks belong to ``fit``.

    Raises:
        TypeError: a field is not made by :func:`option`, or a class attribute hides the default of a field.

    Example:
        >>> @options
        ... class Sizes:
        ...     layers: int = option(default=1, group="model", help="Layers on top of each other.")
        >>> Sizes(layers=2).layers, options_of(Sizes)["layers"].default
        (2, 1)
    """
    made: Any = dataclasses.dataclass(kw_only=True, eq=False, repr=False)(cls)
    made.__init__ = _naming_unknown(made)
    return typing.cast(Class, documented(made))


def _refuse_others(cls: type) -> None:
    """Raise for a field that is no option, and for an attribute that would silently be ignored."""
    for field in dataclasses.fields(cls):
        if _KEY not in field.metadata:
            fix = "Use option(), or ClassVar for other attributes."
            raise TypeError(f"{cls.__name__}.{field.name}: got an annotation; expected an option. {fix}")
        if inspect.getattr_static(cls, field.name) is not field.default:
            fix = "The constructor would ignore it: use override()."
            raise TypeError(f"{cls.__name__}.{field.name}: got another attribute; expected the option's default. {fix}")


def _naming_unknown(cls: Any) -> Callable[..., None]:
    """Return the constructor of a class, which suggests the right name for an unknown option."""
    construct, names = cls.__init__, sorted(field.name for field in dataclasses.fields(cls))

    @functools.wraps(construct)
    def __init__(self: Any, **values: Any) -> None:
        no_unknown(f"{type(self).__name__} option", values, names)
        construct(self, **values)

    return __init__


def options_of(cls: type) -> dict[str, Option]:
    """Return the options of a class by name, in the order of ``GROUPS``, then of their fields."""
    hints = _hints(cls)
    every = [
        dataclasses.replace(
            field.metadata[_KEY], name=field.name, types=_types(hints[field.name]), default=field.default
        )
        for field in dataclasses.fields(cls)
    ]
    return {each.name: each for each in sorted(every, key=lambda each: GROUPS.index(each.group))}


def _hints(cls: type) -> dict[str, Any]:
    """Return the annotations of the classes of options among the bases of a class."""
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if "__dataclass_fields__" in vars(base):
            hints |= typing.get_type_hints(base)
    return hints


def _types(hint: Any) -> tuple[type, ...]:
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return tuple(typing.get_origin(part) or part for part in parts)


def values_set(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values without each None that lets a recipe choose."""
    described = options_of(cls)
    none = type(None)
    return {name: value for name, value in values.items() if value is not None or none not in described[name].types}


def names_in(cls: type, record: type) -> tuple[str, ...]:
    """Return the options of a class that a dataclass has as fields too, in the order of its fields."""
    names = {field.name for field in dataclasses.fields(cls)}
    return tuple(field.name for field in dataclasses.fields(record) if field.name in names)


def documented(cls: Class) -> Class:
    """Insert ``Args`` with every option into the docstring of a class, before its attributes and its example.

    Raises:
        TypeError: the class has an option that its constructor does not know, or hides the default of one.
    """
    _refuse_others(cls)
    stray = [name for name, value in vars(cls).items() if isinstance(value, dataclasses.Field)]
    if stray:
        raise TypeError(f"{cls.__name__}.{stray[0]}: got an option; expected it in a class with @options.")
    if cls.__doc__ is None:  # python -OO
        return cls
    text = inspect.cleandoc(cls.__doc__)
    starts = [at for name in ("Attributes:", "Reference:", "Example:") if (at := text.find(f"\n{name}\n")) >= 0]
    end = min(starts, default=len(text))
    entries = "\n".join(_entry(each) for each in options_of(cls).values())
    cls.__doc__ = f"{text[:end].rstrip()}\n\nArgs:\n{entries}\n{text[end:]}".rstrip() + "\n"
    return cls


def _entry(described: Option) -> str:
    """Return what the docstring of a class says of an option."""
    names = " | ".join("None" if each is type(None) else each.__name__ for each in described.types)
    allowed = f"One of {', '.join(map(repr, described.choices))}." if described.choices else ""
    silent = described.default is None or "default" in described.help
    default = "" if silent else f"Default: {described.default!r}."
    sentences = " ".join(filter(None, (described.help, described.details, allowed, default)))
    text = f"{described.name} ({names}): {sentences}"
    return textwrap.fill(text, _WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8, break_on_hyphens=False)


# ── parsers: text of the command line -> value ───────────────────────────────────────────────────────────────────


def seconds(text: str) -> float:
    """Return a duration such as ``90s``, ``3m`` or ``1h`` in seconds.

    Example:
        >>> seconds("3m")
        180.0
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1:]) if text[-1:] in units else (text, "s")
    try:
        return float(number) * units[unit]
    except ValueError:
        raise ValueError(f"got '{text}'; expected a duration such as 90s, 3m or 1h.") from None


def whole_numbers(text: str) -> list[int]:
    """Return whole numbers with commas between; none for an empty text.

    Example:
        >>> whole_numbers("2,3")
        [2, 3]
    """
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError(f"got '{text}'; expected whole numbers such as 2,3.") from None


def pairs(text: str) -> dict[str, str]:
    """Return ``KEY=VALUE`` pairs with commas between.

    Example:
        >>> pairs("spam=2,ham=1")
        {'spam': '2', 'ham': '1'}
    """
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    if not parts or not all(key.strip() and equals for key, equals, _ in parts):
        raise ValueError(f"got '{text}'; expected KEY=VALUE pairs with commas between.")
    values = {key.strip(): value.strip() for key, _, value in parts}
    if len(values) < len(parts):
        raise ValueError(f"got '{text}'; expected each key once.")
    return values
