"""The options of tasks that read series by a convolutional network, and which network reads what."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from rekur import _check
from rekur._options import option, options

#: the networks of a task that reads whole items
CONVOLUTIONAL, RECURRENT = "convolutional", "recurrent"
#: options that only the recurrent network has, and what they are if nobody sets them
OF_RECURRENT = {
    "cell": None,
    "hidden_size": None,
    "num_layers": 1,
    "bidirectional": False,
    "kernel_size": None,
    "pooling": None,
    "input_noise": None,
    "input_dropout": None,
    "recurrent_dropout": 0.0,
    "residual": False,
    "norm": False,
}
#: options that only the convolutional network has
OF_CONVOLUTIONAL = {"members": None, "branches": None, "augment": None}
#: what may answer: the network, or a ridge beside it
BRANCHES = ("net", "net,ridge")


@options
class SeriesOptions:
    """Options of the network that reads series of numbers."""

    network: str | None = option(
        "model",
        "convolutional: several widths, with a GRU behind; or recurrent: by default only where one of its options is "
        "set, such as --cell.",
        default=None,
        choices=(CONVOLUTIONAL, RECURRENT),
        check=partial(_check.choice, allowed=(CONVOLUTIONAL, RECURRENT)),
        search=None,
    )
    causal: bool = option(
        "model", "Read no later step, so that the model can run live.", default=False, check=_check.flag, search=None
    )
    members: int | None = option(
        "model",
        "Networks whose answers are averaged; of few series 5, each scored on those that it did not see.",
        default=None,
        kinds=("series",),
        check=partial(_check.whole, low=1, high=64),
        search=None,
    )
    branches: str | None = option(
        "model",
        "What answers: net, or net,ridge: with a ridge on random convolutions beside it; by default of up to 5,000 "
        "series.",
        default=None,
        choices=BRANCHES,
        kinds=("series",),
        check=partial(_check.choice, allowed=BRANCHES),
        search=None,
    )
    augment: float | None = option(
        "training",
        "Strength of random changes to series: cut, bent in time, scaled, moved, with noise; 0 for none.",
        default=None,
        kinds=("series",),
        check=partial(_check.number, low=0),
        search=None,
    )

    @classmethod
    def only_studied(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the network of a search where a training with these values would take another one."""
        asked = values.get("network") or network_of(values, values.get("kind") or "auto") == RECURRENT
        return {} if asked else {"network": RECURRENT}


def network_of(values: Mapping[str, Any], kind: str) -> str:
    """Return the network that reads items of a kind.

    Args:
        values: option -> value.
        kind: of the items.

    Example:
        >>> network_of({}, "series"), network_of({"cell": "gru"}, "series"), network_of({}, "text")
        ('convolutional', 'recurrent', 'recurrent')
    """
    if kind != "series":
        return RECURRENT
    if values.get("network"):
        return str(values["network"])
    return RECURRENT if set_among(values, OF_RECURRENT) else CONVOLUTIONAL


def set_among(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    """Return the options that have another value than that of ``defaults``.

    Example:
        >>> set_among({"cell": "gru", "norm": False}, OF_RECURRENT)
        ['cell']
    """
    return [name for name, default in defaults.items() if values.get(name, default) != default]


def without_effect(values: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Return the options that the network of a kind of items lacks or that contradict others, and what they need."""
    network = values.get("network")
    if network == CONVOLUTIONAL and kind not in ("series", "auto"):
        return {"network": "series of numbers"}
    if network == CONVOLUTIONAL:
        return dict.fromkeys(OF_RECURRENT, "--network recurrent")
    needed = {}
    if network == RECURRENT or (kind == "series" and set_among(values, OF_RECURRENT)):
        needed = dict.fromkeys(OF_CONVOLUTIONAL, "--network convolutional")
    if values.get("causal") and values.get("bidirectional"):
        needed["bidirectional"] = "leaving out --causal"
    return needed
