"""The space of a search: ranges and choices of a task's options, by default those that the options state."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rekur._options import options_of
from rekur.errors import InputError, describe, did_you_mean
from rekur.features import FEATURES
from rekur.tasks.catalog import CATALOG

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_VERBS = {True: "searched", False: "varied"}
FORMS = "NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C"


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, inclusive.

    Args:
        low: the smallest.
        high: the largest.
        log: draw on a logarithmic scale, as for a learning rate.
        whole: whole numbers only.
        step: distance between two whole numbers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False
    step: int = 1

    def distribution(self) -> BaseDistribution:
        """Return Optuna's distribution of the range."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=self.step)
        return FloatDistribution(self.low, self.high, log=self.log)

    def value(self, drawn: Any) -> Any:
        """Return a drawn number rounded to three digits, within the range."""
        return int(drawn) if self.whole else min(self.high, max(self.low, float(f"{drawn:.3g}")))

    def contains(self, value: Any) -> bool:
        """Return whether a value could have been drawn."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        return not self.whole or (value == int(value) and (int(value) - int(self.low)) % self.step == 0)

    def ends(self) -> list[Any]:
        """Return both ends; if they are valid, so is the range."""
        return [self.value(self.low), self.value(self.high)]

    def count(self) -> float:
        """Return the number of values."""
        return (int(self.high) - int(self.low)) // self.step + 1 if self.whole else math.inf

    def values(self) -> list[Any]:
        """Return all whole numbers of the range."""
        return list(range(int(self.low), int(self.high) + 1, self.step))

    def __str__(self) -> str:
        ends = f"{self.low:g}:{self.high:g}"
        return ends + (":log" if self.log else f":{self.step}" if self.step > 1 else "")


@dataclasses.dataclass(frozen=True)
class Choices:
    """A set of values to choose from.

    Args:
        options: the values; None, True, False, numbers or text.
    """

    options: tuple[Any, ...]

    def distribution(self) -> BaseDistribution:
        """Return Optuna's distribution of the values."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.options)

    def value(self, drawn: Any) -> Any:
        """Return a drawn value unchanged."""
        return drawn

    def contains(self, value: Any) -> bool:
        """Return whether a value could have been drawn."""
        return any(value == option and type(value) is type(option) for option in self.options)

    def values(self) -> list[Any]:
        """Return all values."""
        return list(self.options)

    ends = values

    def count(self) -> float:
        """Return the number of values."""
        return len(self.options)

    def __str__(self) -> str:
        return ",".join(
            str(option).lower() if isinstance(option, bool | None) else str(option) for option in self.options
        )


Dimension = Range | Choices
Space = dict[str, Dimension]


def default_space(task: str, kind: str) -> Space:
    """Return the default space of a task.

    Args:
        task: a name in ``rekur.tasks.TASKS``.
        kind: the kind of an item: ``text``, ``symbols`` or ``series``; ignored for language.

    Example:
        >>> print(default_space("classify", "text")["learning_rate"])
        0.0005:0.01:log
    """
    described = options_of(CATALOG[task].options_class())
    return {
        name: _dimension(name, each.search, _names(each.types))
        for name, each in described.items()
        if each.search and (not each.kinds or kind in each.kinds)
    }


def make_space(task: str, kind: str, searched: Mapping[str, str | Sequence[Any]], fixed: Mapping[str, Any]) -> Space:
    """Return the default space of a task, updated with the user's ranges and without fixed options.

    Args:
        task: a name in ``rekur.tasks.TASKS``.
        kind: the kind of an item.
        searched: option -> range or choices: text such as ``1e-4:1e-2:log`` or ``lstm,gru``, or a list of values.
        fixed: fixed options with their values, including ``feature_options``.

    Raises:
        InputError: a name is unknown or cannot be searched, a range is empty, or a value is not of the option's type.

    Example:
        >>> space = make_space("classify", "text", {"cell": "lstm,gru", "dropout": "0:0.5"}, {"hidden_size": 64})
        >>> str(space["cell"]), str(space["dropout"]), "hidden_size" in space
        ('lstm,gru', '0:0.5', False)
    """
    chosen = chosen_space(task, kind, searched, fixed)
    idle, fixed = CATALOG[task].options_class().without_effect(fixed), _with_features(fixed)
    usual = {name: each for name, each in default_space(task, kind).items() if name not in (*fixed, *idle)}
    space = {**usual, **chosen}
    if not space:
        raise InputError("space: got no option to search, since all are fixed; expected one or more. Fix fewer.")
    return space


def chosen_space(
    task: str, kind: str, ranges: Mapping[str, str | Sequence[Any]], fixed: Mapping[str, Any], *, thing: str = "space"
) -> Space:
    """Return the user's ranges and choices alone.

    Args:
        task: a name in ``rekur.tasks.TASKS``.
        kind: the kind of an item.
        ranges: option -> range or choices, as for :func:`make_space`.
        fixed: fixed options with their values.
        thing: the name of the ranges in messages.

    Raises:
        InputError: as for :func:`make_space`.
    """
    described, is_search = CATALOG[task].options_class(), thing == "space"
    studied = {} if is_search or "network" in ranges else described.studied
    idle, fixed = described.without_effect({**studied, **fixed}), _with_features(fixed)
    types, options = option_types(task, kind, search=is_search), options_of(described)
    chosen: Space = {}
    for name, values in ranges.items():
        if name not in types:
            raise InputError(
                describe(
                    thing, name, f"an option of '{task}' that can be {_VERBS[is_search]}", _hint(name, task, types)
                )
            )
        if name in fixed:
            fix = "Leave one of the two out."
            raise InputError(
                describe(f"{thing} {name}", _text(values), f"no range, since it is fixed at {fixed[name]}", fix)
            )
        if name in idle:
            raise InputError(describe(f"{thing} {name}", _text(values), f"no range without {idle[name]}"))
        words = options[name].choices if name in options else ()
        chosen[name] = _dimension(name, values, types[name], thing, words)
    return chosen


def _with_features(fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are set, those of the features beside the others."""
    return {
        **{name: value for name, value in fixed.items() if value is not None},
        **(fixed.get("feature_options") or {}),
    }


def option_types(task: str, kind: str, *, search: bool = True) -> dict[str, set[str]]:
    """Return option -> names of its types, of a task and its features, of what can be searched, or else varied."""
    described = options_of(CATALOG[task].options_class())
    types = {
        name: _names(each.types)
        for name, each in described.items()
        if (each.search is not None if search else each.varies and each.shell)
    }
    if "kind" in described and kind in FEATURES:
        parameters = inspect.signature(FEATURES[kind]).parameters.values()
        types |= {each.name: {part.strip() for part in str(each.annotation).split("|")} for each in parameters}
    return {name: names for name, names in types.items() if names & {"int", "float", "bool", "str"}}


def _names(types: Iterable[type]) -> set[str]:
    return {"None" if each is type(None) else each.__name__ for each in types}


def _hint(name: str, task: str, types: Mapping[str, set[str]]) -> str:
    described = options_of(CATALOG[task].options_class())
    if name in described:
        return "It decides what trials are compared on, or how they run: fix it as an option."
    return did_you_mean(name, types) or f"To see all options: rekur tune {task} --help"


def _text(values: Any) -> str:
    return values if isinstance(values, str) else ",".join(map(str, values))


def _dimension(
    name: str, values: str | Sequence[Any], kinds: set[str], space: str = "space", words: Sequence[str] = ()
) -> Dimension:
    """Return the range or choices of one option, whose types have these names, and its values these words, if any."""
    thing = f"{space} {name}"
    if isinstance(values, str) and ":" in values:
        return _range(thing, values, kinds)
    listed = _parts(values, words) if isinstance(values, str) else list(values)
    if not [value for value in listed if value != ""]:
        raise InputError(describe(thing, _text(values), f"values to try, as {FORMS}"))
    read = [_value(thing, value, kinds) for value in listed]
    if len(read) == 1:
        fix = f"To give it to every trial, use --{name.replace('_', '-')} {_text(values)}."
        raise InputError(describe(thing, _text(values), "two values or more", fix))
    if any(value in read[:k] and type(value) is type(read[read.index(value)]) for k, value in enumerate(read)):
        raise InputError(describe(thing, _text(values), "each value once", "Remove the duplicates."))
    return Choices(tuple(read))


def _parts(text: str, words: Sequence[str]) -> list[str]:
    """Return values with commas between; a comma may stand within one of the words, as in ``net,ridge``."""
    parts = [part.strip() for part in text.split(",")]
    listed: list[str] = []
    while parts:
        length = next((k for k in range(len(parts), 1, -1) if ",".join(parts[:k]) in words), 1)
        listed.append(",".join(parts[:length]))
        parts = parts[length:]
    return listed


def _range(thing: str, text: str, kinds: set[str]) -> Range:
    low_text, high_text, *rest = text.split(":")
    whole = "int" in kinds
    log = rest == ["log"]
    stepped = whole and len(rest) == 1 and rest[0].isdigit() and int(rest[0]) > 0
    if not kinds & {"int", "float"}:
        raise InputError(describe(thing, text, "values with commas between, since it is no number"))
    if rest and not log and not stepped:
        forms = "LOW:HIGH, LOW:HIGH:log or LOW:HIGH:STEP" if whole else "LOW:HIGH or LOW:HIGH:log"
        raise InputError(describe(thing, text, f"a range as {forms}", did_you_mean(rest[0], ["log"])))
    ends = [_number(thing, end.strip(), whole) for end in (low_text, high_text)]
    low, high = ends
    if low >= high:
        fix = f"Did you mean {high:g}:{low:g}?" if low > high else ""
        raise InputError(describe(thing, text, "a low end below the high one", fix))
    if log and low <= 0:
        fix = "Begin a little above 0, or leave :log out."
        raise InputError(describe(thing, text, "a low end above 0, since it is drawn by its logarithm", fix))
    step = int(rest[0]) if stepped else 1
    return Range(low, high if not stepped else low + (high - low) // step * step, log, whole, step)


def _number(thing: str, text: str, whole: bool) -> float:
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(describe(thing, text, "a whole number at each end" if whole else "a number at each end"))
    return value


def _value(thing: str, choice: Any, kinds: set[str]) -> Any:
    """Return one choice as a value of the option's type."""
    if not isinstance(choice, str):
        return choice
    word = choice.lower()
    if "None" in kinds and word == "none":
        return None
    if "bool" in kinds and word in ("true", "false"):
        return word == "true"
    for kind, read in (("int", int), ("float", float)):
        if kind in kinds:
            try:
                return read(choice)
            except ValueError:
                continue
    if "str" in kinds and choice:
        return choice
    names = {"float": "a number", "int": "a whole number", "bool": "true or false"}
    expected = " or ".join(name for kind, name in names.items() if kind in kinds)
    raise InputError(describe(thing, choice, expected or "values with commas between"))
