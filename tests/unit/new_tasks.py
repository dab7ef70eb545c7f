"""Two tasks that a person might add: each is the code of one folder and one row of the catalog.

``spot`` has a target and a network that exist. ``share`` has a target of its own: a number in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rekur import _check
from rekur._options import documented, option, options
from rekur.data import EncodedItems
from rekur.errors import InputError, describe
from rekur.models.heads import Head, LabelHead
from rekur.targets import Target
from rekur.targets.base import PlaceOf, Records
from rekur.tasks.base.items import SequenceEstimator
from rekur.tasks.base.options import ItemOptions
from rekur.tasks.catalog import Row

# ── spot: the label of a sequence, by an existing target ─────────────────────────────────────────────────────────


@options
class SpotOptions(ItemOptions):
    """Options of :class:`Spotter`."""

    doubt: float = option("training", "Share of each label that is spread over all.", default=0.0, search="0:0.2")

    @classmethod
    def check_values(cls, values: Any) -> None:
        """Raise for a doubt outside [0, 1)."""
        super().check_values(values)
        _check.number("doubt", values.get("doubt", 0.0), 0, 1, open_high=True)


@documented
class Spotter(SpotOptions, SequenceEstimator):
    """A recurrent network that spots the kind of a sequence."""

    task: ClassVar[str] = "spot"
    target: ClassVar[str] = "label"
    stratified: ClassVar[bool] = True

    def make_head(self, target: Target, train_set: EncodedItems) -> Head:
        """Return the cross entropy."""
        return LabelHead(target.size, smoothing=self.chosen_["doubt"])


# ── share: a number in [0, 1], by a target of its own ────────────────────────────────────────────────────────────


class ShareTarget(Target):
    """Shares in [0, 1]: the sigmoid of the output. Record: label, prediction."""

    kind = "share"
    label_type = "number"
    decides = "mae"
    followed = ("mae",)
    size = 1  # type: ignore[assignment]

    @classmethod
    def learn(
        cls, labels: Sequence[Any], features: Any = None, *, place_of: PlaceOf | None = None, **options: Any
    ) -> Self:
        """Return the target of any shares.

        Raises:
            InputError: a label is no share.
        """
        cls().encode_items(labels, place_of=place_of)
        return cls()

    def encode(self, label: Any, context: Any = None) -> np.float32:
        """Return the share."""
        if not 0 <= label <= 1:
            raise InputError(describe("label", label, "a share in [0, 1]"))
        return np.float32(label)

    def decode(self, outputs: NDArray[Any], context: Any = None) -> NDArray[np.float64]:
        """Return the share of an item from (K,), or of items from (N, K)."""
        return np.asarray(1 / (1 + np.exp(-outputs[..., 0].astype(np.float64))))

    def present(self, prediction: Any, context: Any = None) -> float:
        """Return the share."""
        return float(prediction)

    def record(self, prediction: Any, label: Any, context: Any = None) -> Records:
        """Return label and prediction."""
        return np.array([float(label), float(prediction)])

    def score(self, records: Records) -> dict[str, float]:
        """Return the mean absolute error."""
        return {"mae": float(np.abs(records[:, 0] - records[:, 1]).mean())}

    def report(self, records: Records) -> dict[str, Any]:
        """Return the number of items and the score."""
        return {"items": len(records), **self.score(records)}

    def to_dict(self) -> dict[str, Any]:
        """Return nothing: nothing is learned."""
        return {}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the target."""
        return cls()


class ShareHead(Head):
    """The cross entropy of a share."""

    loss_name, guess_name = "log loss", "the mean share of the training items"

    def loss(
        self, outputs: Tensor, targets: Tensor, lengths: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """Return the mean loss of outputs (B, 1) for shares (B,)."""
        return functional.binary_cross_entropy_with_logits(outputs[:, 0], targets, weight=weights)

    def terms(self, outputs: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
        """Return the loss of each item, and the weight 1, (N, 2)."""
        wide = outputs[:, 0].astype(np.float64)
        return np.column_stack([np.logaddexp(0, wide) - targets * wide, np.ones(len(wide))])

    def guess(self, targets: NDArray[Any]) -> NDArray[np.float64]:
        """Return the output that means the mean share."""
        share = torch.tensor(float(targets.mean())).clamp(1e-6, 1 - 1e-6)
        return np.array([float(torch.logit(share))])


@options
class ShareOptions(ItemOptions):
    """Options of :class:`Sharer`."""

    label_type: ClassVar[str] = "number"


@documented
class Sharer(ShareOptions, SequenceEstimator):
    """A recurrent network that gives a sequence a share in [0, 1]."""

    task: ClassVar[str] = "share"
    target: ClassVar[str] = "share"

    def make_head(self, target: Target, train_set: EncodedItems) -> Head:
        """Return the cross entropy of shares."""
        return ShareHead()


ROWS = tuple(
    Row(
        name=name,
        help=f"Learn to {name}.",
        tune_help=f"Search for the options that {name} best.",
        options=f"tests.unit.new_tasks:{options_name}",
        estimator=f"tests.unit.new_tasks:{estimator}",
        target=target,
    )
    for name, options_name, estimator, target in (
        ("spot", "SpotOptions", "Spotter", "label"),
        ("share", "ShareOptions", "Sharer", "share"),
    )
)
