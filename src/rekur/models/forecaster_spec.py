"""The specification of a forecaster, and the arrays that it reads and gives.

A window is an item with two named inputs, both float32 and without missing numbers:

- ``steps`` (S, D): the look-back, one row a segment (or a step) from the oldest on, in any scalings of the window, with
  flags of missing values and past covariates beside them. S may differ between windows.
- ``ahead`` (A, E): the horizon, one row a segment, A = H / M. A row joins four blocks, each row-major:

  1. ``ahead_size`` numbers: whatever is known of the segment, such as statics of the window (the same in each row),
     known-future covariates, the calendar, and a flag of the segment's position;
  2. (M, C, K) plain forecasts, the *candidates*, in the unit of the outputs;
  3. (C, K) logarithms of the candidates' weights in the plain combination, up to a constant;
  4. (M, C) expected absolute errors of that combination in the unit of the outputs, above 0.

An output is (y - level) / scale with level and scale of the window's channel, such as its last value and its mean
seasonal difference. The row of outputs is (H, C, Q), row-major: rising quantiles, the median among them. What a loss
compares it with is (H + 3, C): the truth in the unit of the outputs, NaN where it is missing; then level / scale; then
scale / denominator of MASE (0 without one); then scale / unit of the data, such as the standard deviation of
the channel in training.

Axes: S steps of the look-back, D numbers of a step, A segments of the horizon, M steps of a segment, E numbers of a
segment, H steps of the horizon, C channels, K candidates, Q quantiles.
"""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

from rekur import _check
from rekur.errors import InputError, describe
from rekur.models.encoder_spec import EncoderSpec

#: rows of a target behind those of the horizon: level / scale, scale / denominator of MASE, scale / unit
TARGET_ROWS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForecasterSpec(EncoderSpec):
    """The specification of a forecaster: an encoder of the look-back, and one step a segment of the horizon.

    Args:
        horizon: steps H to forecast; 1 or more.
        segment: steps M of a segment, which divide the horizon; 1 or more.
        candidates: number of plain forecasts K of each step and channel; 1 or more.
        ahead_size: numbers of the first block of a row of ``ahead``; 0 or more.
        channels: number of channels C that are forecast together; 1 or more.
        quantiles: their probabilities, rising, in (0, 1), 0.5 among them.
        members: networks whose outputs are averaged; 1 or more.
        shrinkage: part of what a network has learnt that a forecast leaves out, in [0, 1): gates and corrections are
            multiplied by what remains, but not in training.

    Example:
        >>> spec = ForecasterSpec(input_size=4, cell="gru", hidden_size=8, horizon=6, segment=3, candidates=2)
        >>> spec.segments, spec.ahead_width, spec.output_size
        (2, 11, 42)
        >>> ForecasterSpec.from_dict(spec.to_dict()) == spec
        True
    """

    horizon: int
    segment: int
    candidates: int
    ahead_size: int = 0
    channels: int = 1
    quantiles: tuple[float, ...] = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
    members: int = 1
    shrinkage: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("input_size", "horizon", "segment", "candidates", "channels", "members"):
            _check.size(name, getattr(self, name))
        _check.size("ahead_size", self.ahead_size, low=0)
        _check.number("shrinkage", self.shrinkage, 0, 1, open_high=True)
        if self.horizon % self.segment:
            raise InputError(describe("segment", self.segment, f"a divisor of the horizon, {self.horizon}"))
        if self.bidirectional or self.look_ahead:
            got = f"bidirectional={self.bidirectional} and look_ahead={self.look_ahead}"
            raise InputError(f"encoder: got {got}; expected False and 0, since the last state is read.")
        object.__setattr__(self, "quantiles", check_quantiles(self.quantiles))

    @property
    def segments(self) -> int:
        """Segments A of the horizon."""
        return self.horizon // self.segment

    @property
    def ahead_width(self) -> int:
        """Numbers E of a row of ``ahead``."""
        points = self.segment * self.channels
        return self.ahead_size + points * self.candidates + self.channels * self.candidates + points

    @property
    def output_size(self) -> int:
        """Numbers of a row of outputs: H · C · Q."""
        return self.horizon * self.channels * len(self.quantiles)

    @property
    def median(self) -> int:
        """Index of the median among the quantiles."""
        return self.quantiles.index(0.5)

    def to_dict(self) -> dict[str, Any]:
        """Return the specification as plain JSON."""
        return {**super().to_dict(), "quantiles": list(self.quantiles)}


def check_quantiles(quantiles: Any) -> tuple[float, ...]:
    """Return the probabilities of quantiles.

    Raises:
        InputError: they do not rise in (0, 1), or the median is not among them.

    Example:
        >>> check_quantiles([0.1, 0.5, 0.9])
        (0.1, 0.5, 0.9)
    """
    values = tuple(_check.number("a quantile", value, 0, 1, open_high=True) for value in quantiles)
    rises = all(low < high for low, high in pairwise((0.0, *values)))
    if len(values) < 2 or 0.5 not in values or not rises:
        raise InputError(describe("quantiles", list(values), "two or more rising numbers in (0, 1), one of them 0.5"))
    return values
