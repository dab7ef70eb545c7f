"""The specification of a ridge branch beside a network of series: checked, saved as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from rekur import _check
from rekur._convolutions import KERNELS
from rekur._shares import SHARE, TALLIES
from rekur.errors import InputError, describe

#: parts of the answer that a network and its branch share
GRID = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class BranchSpec:
    """The specification of a ridge branch.

    Args:
        input_size: numbers D of a step.
        output_size: number of scores K.
        members: matrices M, whose answers are averaged: one, or one for each member of the network.
        dilations: of the convolutions, rising.
        biases: of each kernel at a dilation.
        numbers: of each bias: 1, its share of outputs, or 3.
        stride: steps that are averaged to one.
        quarters: the branch's weight in the answer in quarters, 1 to 4; the others are the network's.
    """

    input_size: int
    output_size: int
    members: int = 1
    dilations: tuple[int, ...] = (1,)
    biases: tuple[int, ...] = (1,)
    numbers: int = SHARE
    stride: int = 1
    quarters: int = 2

    def __post_init__(self) -> None:
        for name in ("input_size", "output_size", "members", "numbers", "stride"):
            _check.whole(name, getattr(self, name), low=1)
        _check.whole("quarters", self.quarters, low=1, high=GRID)
        if self.numbers not in TALLIES:
            raise InputError(describe("numbers", self.numbers, " or ".join(map(str, TALLIES))))
        if not self.dilations or len(self.dilations) != len(self.biases):
            raise InputError(describe("biases", self.biases, f"{len(self.dilations)} numbers, one for each dilation"))
        for name in ("dilations", "biases"):
            object.__setattr__(self, name, tuple(_check.whole(name, each, low=1) for each in getattr(self, name)))

    @property
    def size(self) -> int:
        """Numbers of a series F."""
        return self.numbers * self.pairs

    @property
    def pairs(self) -> int:
        """Number of biases P."""
        return len(KERNELS) * sum(self.biases)

    def to_dict(self) -> dict[str, Any]:
        """Return all values as plain JSON."""
        return {**dataclasses.asdict(self), "dilations": list(self.dilations), "biases": list(self.biases)}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Return the specification that :meth:`to_dict` wrote."""
        return cls(**{**saved, "dilations": tuple(saved["dilations"]), "biases": tuple(saved["biases"])})
