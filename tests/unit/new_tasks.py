"""Four tasks that a person might add: each is the code of one folder and one row of the catalog.

``spot`` has a target and a network that exist. ``share`` has a target of its own: a number in [0, 1]. So has
``level``: a number for each word of a sentence, with the words as context. ``answer`` reads pairs of texts, of which
the second is one of few.
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
from rekur._options import documented, names_in, option, options, override
from rekur.data import Corpus, EncodedItems
from rekur.errors import InputError, describe
from rekur.features import Features, WordFeatures
from rekur.models import ItemNetwork, TaggerSpec, build_tagger
from rekur.models.heads import Head, LabelHead, StepsHead
from rekur.targets import Target
from rekur.targets.base import PlaceOf, Records, TargetStream
from rekur.tasks.base.items import ItemEstimator, SequenceEstimator
from rekur.tasks.base.options import ItemOptions, SharedOptions
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


# ── level: a number for each word, by a target of steps that reads contexts ──────────────────────────────────────


class LevelsTarget(Target):
    """A number for each step, shown beside the word that is the context of the step. Record: error, words."""

    kind = "levels"
    per_step = True
    label_type = "tags"
    decides = "mae"
    followed = ("mae",)
    size = 1  # type: ignore[assignment]

    @classmethod
    def learn(
        cls, labels: Sequence[Any], features: Any = None, *, place_of: PlaceOf | None = None, **options: Any
    ) -> Self:
        """Return the target of any numbers."""
        return cls()

    def encode(self, label: Any, context: Any = None) -> NDArray[np.float32]:
        """Return the numbers (T,)."""
        if context is not None and len(context) != len(label):
            raise InputError(describe("label", len(label), f"{len(context)} numbers, one a word"))
        return np.asarray(label, np.float32)

    def stream(self) -> TargetStream:
        """Return a new stream, which holds nothing back."""
        return LevelStream()

    def present(self, prediction: Any, context: Any = None) -> dict[str, Any]:
        """Return words and numbers."""
        return {"words": [getattr(word, "text", word) for word in context], "levels": list(prediction)}

    def record(self, prediction: Any, label: Any, context: Any = None) -> Records:
        """Return the summed error and the number of words."""
        assert len(context) == len(label) == len(prediction)
        return np.array([sum(abs(a - b) for a, b in zip(prediction, label, strict=True)), len(label)], np.float64)

    def score(self, records: Records, weights: Any = None) -> dict[str, float]:
        """Return the mean absolute error of a word."""
        error, words = (records if weights is None else records * weights[:, None]).sum(axis=0)
        return {"mae": float(error / max(1.0, words))}

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


class LevelStream(TargetStream):
    """Numbers of outputs that come in pieces."""

    def push(self, outputs: NDArray[Any], context: Any = None) -> tuple[Any, Any]:
        """Return the numbers of the rows, and their words."""
        return ([float(value) for value in outputs[:, 0]], context) if len(outputs) else (None, None)

    def get_state(self) -> dict[str, Any]:
        """Return nothing: each step stands for itself."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take nothing."""


class LevelHead(Head):
    """The squared error of the number of a step."""

    loss_name, guess_name = "squared error", "the mean number of a training step"

    def loss(
        self, outputs: Tensor, targets: Tensor, lengths: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """Return the mean loss of outputs (B, 1) for numbers (B,)."""
        each = (outputs[:, 0] - targets) ** 2
        return each.mean() if weights is None else (each * weights).mean()

    def terms(self, outputs: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
        """Return the loss of each step, and the weight 1, (N, 2)."""
        return np.column_stack([(outputs[:, 0].astype(np.float64) - targets) ** 2, np.ones(len(targets))])

    def guess(self, targets: NDArray[Any]) -> NDArray[np.float64]:
        """Return the mean."""
        return np.array([float(targets.mean())])


@options
class LevelOptions(SharedOptions):
    """Options of :class:`Leveller`."""

    label_type: ClassVar[str] = "tags"
    kind: ClassVar[str] = "words"
    valid_fraction: float = override(SharedOptions, "valid_fraction", default=0.2)
    cell: str = override(SharedOptions, "cell", default="gru")
    num_layers: int = override(SharedOptions, "num_layers", default=1)
    warmup: float = override(SharedOptions, "warmup", default=0.1)


@documented
class Leveller(LevelOptions, ItemEstimator):
    """A recurrent network that gives each word of a sentence a number."""

    task: ClassVar[str] = "level"
    target: ClassVar[str] = "levels"
    steps_option: ClassVar[str] = ""

    def make_features(self, corpus: Corpus) -> Features:
        """Return features of words."""
        return WordFeatures(min_count=1, prefixes=1, suffixes=1, shape=False, buckets=50)

    def choose_options(self, features: Features, target: Target, train_set: EncodedItems) -> dict[str, Any]:
        """Return all options."""
        defaults = {"hidden_size": 8, "epochs": 20, "batch_size": 8, "learning_rate": 0.01, "patience": 0}
        defaults |= {"embedding_size": 8, "input_dropout": 0.0, "dropout": 0.0, "weight_decay": 0.0, "average": 0.0}
        chosen = self.get_params(deep=False)
        return {name: defaults[name] if value is None else value for name, value in chosen.items()}

    def make_network(self, features: Features, target: Target) -> ItemNetwork:
        """Return an encoder with a linear layer at every step."""
        options = {name: self.chosen_[name] for name in names_in(LevelOptions, TaggerSpec)}
        return build_tagger(TaggerSpec(columns=features.sizes, output_size=target.size, **options), seed=self.seed)

    def make_head(self, target: Target, train_set: EncodedItems) -> Head:
        """Return the squared error of every step."""
        return StepsHead(LevelHead())

    def _restore_model(self, spec: dict[str, Any]) -> None:
        self.model_ = build_tagger(TaggerSpec.from_dict(spec))


# ── answer: one of few texts for a text, from pairs ──────────────────────────────────────────────────────────────


@options
class AnswerOptions(ItemOptions):
    """Options of :class:`Answerer`."""


@documented
class Answerer(AnswerOptions, SequenceEstimator):
    """A recurrent network that gives a text one of the answers of training."""

    task: ClassVar[str] = "answer"
    target: ClassVar[str] = "label"
    reads: ClassVar[str] = "pairs"

    def make_head(self, target: Target, train_set: EncodedItems) -> Head:
        """Return the cross entropy."""
        return LabelHead(target.size)


ANSWER = Row(
    name="answer",
    help="Learn to answer.",
    tune_help="Search for the options that answer best.",
    options="tests.unit.new_tasks:AnswerOptions",
    estimator="tests.unit.new_tasks:Answerer",
    target="label",
    reads="pairs",
)
#: the targets that are not Rekur's
TARGETS = (ShareTarget, LevelsTarget)
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
        ("level", "LevelOptions", "Leveller", "levels"),
    )
)
