"""The table of metrics: for each, the unit of a loss, whether larger is better, and the loss that is tolerated."""

from __future__ import annotations

import math
from typing import NamedTuple


class Metric(NamedTuple):
    """A metric.

    Attributes:
        unit: of a loss: ``points`` (hundredths of a share), ``points of 100`` (of a score up to 100), ``nats``,
            ``bits``, or ``%`` of the value before.
        larger_is_better: whether larger values are better.
        tolerance: the loss that is allowed by default where a model is made smaller, in this unit.
        lowest: the least value that the metric can have.
    """

    unit: str
    larger_is_better: bool
    tolerance: float
    lowest: float = 0.0

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the largest value that the metric can have.

        Example:
            >>> METRICS["accuracy"].limits, METRICS["bleu"].limits, METRICS["rmse"].limits
            ((0.0, 1.0), (0.0, 100.0), (0.0, inf))
        """
        return self.lowest, {"points": 1.0, "points of 100": 100.0}.get(self.unit, math.inf)

    def lost(self, old: float, new: float) -> float:
        """Return by how much ``new`` is worse than ``old``, in this unit; below 0 where it is better.

        Example:
            >>> METRICS["accuracy"].lost(0.75, 0.5), METRICS["rmse"].lost(2.0, 3.0)
            (25.0, 50.0)
        """
        if self.unit == "%":
            more = new / old - 1 if old else (0.0 if new == old else math.inf)
        else:
            more = new - old
        worse = 0.0 - more if self.larger_is_better else more
        return worse if self.unit in ("nats", "bits", "points of 100") else 100 * worse


_SHARE, _NATS, _BITS, _ERROR = Metric("points", True, 0.3), Metric("nats", False, 0.01), 0.015, Metric("%", False, 1.0)
#: name -> metric, in the order in which tables show them
METRICS = {
    "accuracy": _SHARE,
    "macro_f1": _SHARE,
    "subset_accuracy": _SHARE,
    "micro_f1": _SHARE,
    "log_loss": _NATS,
    "calibration_error": Metric("points", False, 0.3),
    "sentence_accuracy": _SHARE,
    "seen_accuracy": _SHARE,
    "unseen_accuracy": _SHARE,
    "entity_precision": _SHARE,
    "entity_recall": _SHARE,
    "entity_f1": _SHARE,
    "entity_f1_strict": _SHARE,
    "event_f1": _SHARE,
    "bleu": Metric("points of 100", True, 0.3),
    "chrf": Metric("points of 100", True, 0.3),
    "exact_match": _SHARE,
    "length_ratio": Metric("%", True, 1.0),
    "distinct_1": _SHARE,
    "distinct_2": _SHARE,
    "rmse": _ERROR,
    "mae": _ERROR,
    "r2": Metric("points", True, 0.3, lowest=-math.inf),
    "smape": _ERROR,
    "mase": _ERROR,
    "owa": _ERROR,
    "pinball": _ERROR,
    "crps": _ERROR,
    "coverage": _SHARE,
    "width": _ERROR,
    "loss": _NATS,
    "perplexity": _ERROR,
    "bits_per_character": Metric("bits", False, _BITS),
    "bits_per_byte": Metric("bits", False, _BITS),
    "unknown_share": Metric("points", False, 0.3),
}
