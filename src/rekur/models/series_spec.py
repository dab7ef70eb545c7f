"""The specification of a convolutional network of series: checked, saved as JSON, used by ``SeriesNetwork``."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Self

from rekur import _check
from rekur.errors import InputError, describe
from rekur.models.branch_spec import BranchSpec

#: how the channels of a series are scaled: by the training items, by the series itself, or both side by side
SCALES = ("global", "series", "both")
#: fields that older specifications lack; their defaults are what those mean
_LATER = ("pooling", "base", "base_steps", "spread")
#: what members are averaged as: outputs as they are, class shares, or shares of independent labels
JOINTS = ("outputs", "softmax", "sigmoid")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesSpec:
    """The specification of a convolutional network from a series to one vector of scores.

    Args:
        input_size: numbers D of a step, scaled by the training items; 1 or more.
        output_size: number of scores K; 1 or more.
        widths: steps of the first convolutions' windows, side by side; odd numbers.
        channels: channels of all of them together, and of the block behind; a multiple of their number.
        hidden_size: hidden units H of each direction of the GRU; 1 or more.
        pooling: of the GRU's states: a name of :func:`rekur.nn.make_pool`, or several joined by "+".
        block: steps that are averaged to one before everything else; 1 or more.
        longest: steps of a series that training reads at most, at a random place; 0 for all.
        stride: steps behind the first convolutions that become one, the largest; 1 or more.
        scale: a name in :data:`SCALES`; ``global`` for a causal network.
        causal: read no later step: such a model can run live.
        dropout: of a value before the GRU and before the scores, in [0, 1).
        augment: strength of the changes to series in training; 0 for none.
        mixup: share of the batches in which series are mixed in training, in [0, 1].
        members: networks whose answers are averaged; 1 or more.
        joint: a name in :data:`JOINTS`.
        base: add the answers to those of a linear model of each channel's level and end; with ``outputs`` joined.
        base_steps: last steps that this model reads beside the levels; 0 for the last value alone.
        spread: factor of what members add to the base, above 0: about the size of what it leaves.
        branch: of a ridge beside the members; None without one.

    Example:
        >>> spec = SeriesSpec(input_size=2, output_size=3)
        >>> SeriesSpec.from_dict(spec.to_dict()) == spec
        True
    """

    #: the name of the network in saved specifications and among the options
    network: ClassVar[str] = "convolutional"

    input_size: int
    output_size: int
    widths: tuple[int, ...] = (5, 11, 21, 41)
    channels: int = 64
    hidden_size: int = 64
    pooling: str = "mean+max+attention"
    block: int = 1
    stride: int = 1
    longest: int = 0
    scale: str = "series"
    causal: bool = False
    dropout: float = 0.2
    augment: float = 1.0
    mixup: float = 0.5
    members: int = 1
    joint: str = "outputs"
    base: bool = False
    base_steps: int = 0
    spread: float = 1.0
    branch: BranchSpec | None = None

    def __post_init__(self) -> None:
        for name in ("input_size", "output_size", "channels", "hidden_size", "block", "stride", "members"):
            _check.size(name, getattr(self, name))
        object.__setattr__(self, "widths", tuple(self.widths))
        if not self.widths or any(_check.steps_seen("widths", width) % 2 == 0 for width in self.widths):
            raise InputError(describe("widths", list(self.widths), "odd numbers, one or more"))
        if self.channels % len(self.widths):
            raise InputError(describe("channels", self.channels, f"a multiple of the {len(self.widths)} widths"))
        _check.pooling("pooling", self.pooling)
        _check.size("longest", self.longest, low=0)
        _check.choice("scale", self.scale, SCALES)
        _check.choice("joint", self.joint, JOINTS)
        if _check.flag("causal", self.causal) and self.scale != "global":
            raise InputError(describe("scale", self.scale, "'global' for a causal network, which never sees a whole"))
        if _check.flag("base", self.base) and self.joint != "outputs":
            raise InputError(describe("base", self.base, f"False for members that are averaged as {self.joint}"))
        if _check.size("base_steps", self.base_steps, low=0) and not self.base:
            raise InputError(describe("base_steps", self.base_steps, "0 without a base"))
        if not _check.number("spread", self.spread, 0) > 0:
            raise InputError(describe("spread", self.spread, "a number above 0"))
        _check.number("dropout", self.dropout, 0, 1, open_high=True)
        _check.number("augment", self.augment, 0)
        _check.number("mixup", self.mixup, 0, 1)

    @property
    def read_size(self) -> int:
        """Channels that the first convolutions read."""
        return self.input_size * (2 if self.scale == "both" else 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the specification as plain JSON."""
        branch = {} if self.branch is None else {"branch": self.branch.to_dict()}
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "branch"}
        for name in _LATER:  # a run that was begun before there were these goes on
            if plain[name] == getattr(type(self), name):
                del plain[name]
        return {"network": self.network, **plain, "widths": list(self.widths), **branch}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the specification from :meth:`to_dict`; an unknown key is an error."""
        names = [f.name for f in dataclasses.fields(cls)]
        _check.no_unknown("model specification key", saved, ["network", *names])
        values = {name: value for name, value in saved.items() if name != "network"}
        if "branch" in values:
            values["branch"] = BranchSpec.from_dict(values["branch"])
        return cls(**values)
