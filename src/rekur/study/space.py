"""The space of a search: ranges and choices of a task's options, by default or from the user."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rekur.errors import InputError, describe, did_you_mean
from rekur.features import FEATURES
from rekur.tasks import TASKS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

#: options that affect the comparison of trials, or where and how long they run
UNSEARCHED = {"kind", "feature_options", "multi_label", "class_weight", "valid_fraction", "seed", "accelerator"}
UNSEARCHED |= {"time_limit", "baseline", "verbose"}
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

    def ends(self) -> list[Any]:
        """Return all values."""
        return list(self.options)

    def count(self) -> float:
        """Return the number of values."""
        return len(self.options)

    def values(self) -> list[Any]:
        """Return all values."""
        return list(self.options)

    def __str__(self) -> str:
        return ",".join(
            str(option).lower() if isinstance(option, bool | None) else str(option) for option in self.options
        )


Dimension = Range | Choices
Space = dict[str, Dimension]

_RATES: Space = {"learning_rate": Range(5e-4, 1e-2, log=True), "weight_decay": Range(1e-4, 0.1, log=True)}
_ONE_ANSWER: Space = {
    "cell": Choices(("lstm", "gru", "mingru")),
    "hidden_size": Range(32, 256, whole=True, step=32),
    "num_layers": Range(1, 2, whole=True),
    "dropout": Range(0.0, 0.7),
    "input_dropout": Range(0.0, 0.5),
    "batch_size": Choices((16, 32, 64, 128)),
    **_RATES,
}
_LANGUAGE: Space = {
    "cell": Choices(("lstm", "gru")),
    "hidden_size": Range(128, 512, whole=True, step=64),
    "num_layers": Range(1, 3, whole=True),
    "input_dropout": Range(0.0, 0.5),
    "dropout": Range(0.0, 0.5),
    "output_dropout": Range(0.0, 0.5),
    "weight_dropout": Range(0.0, 0.5),
    "batch_size": Choices((16, 32, 64)),
    "chunk_length": Choices((64, 128, 256)),
    **_RATES,
}
_TOKENS: Space = {"embedding_size": Choices((32, 64, 128)), "token_dropout": Range(0.0, 0.4)}
_NUMBERS: Space = {"input_noise": Range(0.0, 0.3)}


def default_space(task: str, kind: str) -> Space:
    """Return the default space of a task.

    Args:
        task: a name in ``rekur.tasks.TASKS``.
        kind: the kind of an item: ``text``, ``symbols`` or ``series``; ignored for language.

    Example:
        >>> print(default_space("classify", "text")["learning_rate"])
        0.0005:0.01:log
    """
    if task == "language":
        return dict(_LANGUAGE)
    return {**_ONE_ANSWER, **(_NUMBERS if kind == "series" else _TOKENS)}


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
    fixed = {**{name: value for name, value in fixed.items() if value is not None}, **fixed.get("feature_options", {})}
    types = option_types(task, kind)
    chosen: Space = {}
    for name, values in searched.items():
        if name not in types:
            raise InputError(
                describe("space", name, f"an option of '{task}' that can be searched", _hint(name, task, types))
            )
        if name in fixed:
            fix = "Leave one of the two out."
            raise InputError(
                describe(f"space {name}", _text(values), f"no range, since it is fixed at {fixed[name]}", fix)
            )
        chosen[name] = _dimension(name, values, types[name])
    usual = {name: dimension for name, dimension in default_space(task, kind).items() if name not in fixed}
    space = {**usual, **chosen}
    if not space:
        raise InputError("space: got no option to search, since all are fixed; expected one or more. Fix fewer.")
    return space


def option_types(task: str, kind: str) -> dict[str, str]:
    """Return the searchable options of a task and of its features, with their declared types.

    For a language model ``tokens`` cannot be searched: its scores are per token.
    """
    bases = [base for base in reversed(TASKS[task].__mro__) if "__init__" in vars(base) and base is not object]
    types: dict[str, str] = {}
    features = [FEATURES[kind]] if kind in FEATURES and task != "language" else []
    for base in (*bases, *features):
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        types |= {p.name: str(p.annotation) for p in parameters if p.kind is not p.VAR_KEYWORD}
    unsearched = UNSEARCHED | ({"tokens"} if task == "language" else set())
    return {name: declared for name, declared in types.items() if name not in unsearched and _scalar(declared)}


def _scalar(declared: str) -> bool:
    return {"int", "float", "bool", "str"} & {part.strip() for part in declared.split("|")} != set()


def _hint(name: str, task: str, types: Mapping[str, str]) -> str:
    if name in UNSEARCHED or (name, task) == ("tokens", "language"):
        return "It decides what trials are compared on, or how they run: fix it as an option."
    return did_you_mean(name, types) or f"To see all options: rekur tune {task} --help"


def _text(values: Any) -> str:
    return values if isinstance(values, str) else ",".join(map(str, values))


def _dimension(name: str, values: str | Sequence[Any], declared: str) -> Dimension:
    """Return the user's range or choices for one option."""
    thing = f"space {name}"
    kinds = {part.strip() for part in declared.split("|")}
    if isinstance(values, str) and ":" in values:
        return _range(thing, values, kinds)
    listed = [part.strip() for part in values.split(",")] if isinstance(values, str) else list(values)
    if not [value for value in listed if value != ""]:
        raise InputError(describe(thing, _text(values), f"values to try, as {FORMS}"))
    read = [_value(thing, value, kinds) for value in listed]
    if len(read) == 1:
        fix = f"To give it to every trial, use --{name.replace('_', '-')} {_text(values)}."
        raise InputError(describe(thing, _text(values), "two values or more", fix))
    if any(value in read[:k] and type(value) is type(read[read.index(value)]) for k, value in enumerate(read)):
        raise InputError(describe(thing, _text(values), "each value once", "Remove the duplicates."))
    return Choices(tuple(read))


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
    expected = " or ".join(
        sorted(
            {"int": "a whole number", "float": "a number", "bool": "true or false"}[kind]
            for kind in kinds & {"int", "float", "bool"}
        )
    )
    raise InputError(describe(thing, choice, expected or "values with commas between"))
