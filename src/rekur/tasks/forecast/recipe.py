"""The defaults of a forecaster: options that were left open, by rules on the number of windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rekur.features.window_arrays import PRIOR_POWER


class Facts(NamedTuple):
    """The facts that the rules look at.

    Attributes:
        windows: number of training windows.
        stride: steps between their origins.
    """

    windows: int
    stride: int = 1


#: windows from which on a large batch and much weight of the network pay; and those up to which it soon trusts ridges
#: that were fitted on them
_MANY, _FEW = 20_000, 2_000
#: steps with an origin or between two from which on a wide network and many passes pay: windows a step apart share all
#: values but one, so that a pass over many of them learns as much as several passes over windows that lie further apart
_MANY_STEPS = 100_000


def _by_windows(few: Any, some: Any, overlapping: Any, many: Any) -> Callable[[Facts], Any]:
    """Return a rule with a value for few windows, one for some, one for many that overlap, and one for many."""

    def rule(facts: Facts) -> Any:
        if facts.windows <= _FEW:
            return few
        if facts.windows <= _MANY:
            return some
        return many if facts.windows * facts.stride > _MANY_STEPS else overlapping

    return rule


RULES: dict[str, Callable[[Facts], Any]] = {
    "hidden_size": _by_windows(32, 64, 64, 96),
    "projection_size": _by_windows(0, 0, 0, 96),
    "input_dropout": lambda facts: 0.2,
    "dropout": lambda facts: 0.3,
    "batch_size": lambda facts: 256 if facts.windows > 5_000 else 64,
    "epochs": _by_windows(25, 25, 8, 25),
    "learning_rate": _by_windows(3e-4, 1e-3, 1e-3, 2e-3),
    "weight_decay": lambda facts: 1e-3,
    "warmup": lambda facts: 0.05,
    "patience": lambda facts: 0,
    "average": lambda facts: 0.995,
}


#: part of what a network has learnt that its forecasts leave out: later times are never quite like those of training
SHRINKAGE = 0.2


def prior_power(facts: Facts) -> float:
    """Return the power of the errors of plain forecasts in the weights that a network begins with."""
    return 1.0 if facts.windows > _MANY else PRIOR_POWER


def fill(options: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """Return the options with every one that is None and has a rule replaced by its value."""
    return {name: RULES[name](facts) if value is None and name in RULES else value for name, value in options.items()}
