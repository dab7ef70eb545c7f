"""The contract of a task: what a training asks of it.

Axes: N items, K outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from rekur.data import Corpus, EncodedItems, LengthBuckets
from rekur.data.pieces import Lanes
from rekur.features import Features
from rekur.models import ItemNetwork
from rekur.models.heads import Head
from rekur.runtime.rival import Rival
from rekur.targets import Target
from rekur.tasks.base.options import SharedOptions
from rekur.tasks.base.plan import FitPlan, Measure, Monitor
from rekur.tasks.base.stages import Longer


class Task(SharedOptions, ABC):
    """What the driver of trainings asks of every task."""

    #: the name in bundles and on the command line
    task: ClassVar[str]
    #: the kind of the target, a name in :data:`rekur.targets.KINDS`
    target: ClassVar[str]
    #: the data that feed it, one of :data:`rekur.tasks.catalog.READS`
    reads: ClassVar[str] = "items"
    #: the option with the steps of a chunk, where streams are cut in chunks that carry their state; None: whole items
    chunk: ClassVar[str | None] = None
    #: the option that bounds the steps of a row; empty for none
    steps_option: ClassVar[str]
    #: the options of trainings that are only compared with each other
    in_trials: ClassVar[dict[str, Any]] = {"baseline": False}
    #: the options that the course of a training depends on
    run_options: ClassVar[tuple[str, ...]]
    chosen_: dict[str, Any]
    #: the seed of the share that is held out for validation; None for that of the options
    split_seed: int | None = None

    @abstractmethod
    def check_options(self) -> None:
        """Raise for every option that is wrong whatever the data are."""

    @abstractmethod
    def make_features(self, corpus: Any) -> Features:
        """Return new features, not fitted yet.

        Args:
            corpus: the examples, which say what an item is where the options leave it open.
        """

    def target_options(self) -> dict[str, Any]:
        """Return what the target learns with beside labels and features."""
        return {}


class ItemTask(Task):
    """A task that reads whole items with labels."""

    #: whether each label is to be in training and in validation by its share
    stratified: ClassVar[bool] = False
    valid_fraction: float

    def check_corpus(self, corpus: Corpus) -> None:
        """Raise for an option that has no effect on the items of a corpus; here for none."""

    def kind_of(self, corpus: Corpus) -> str:
        """Return the kind of the items of a corpus, such as ``series``."""
        return corpus.kind

    def examples(self, corpus: Corpus) -> Corpus:
        """Return the examples of a corpus, in training and in evaluation: its own."""
        return corpus

    def valid_examples(self, corpus: Corpus) -> Corpus:
        """Return the examples of a corpus that validates, by default as in training."""
        return self.examples(corpus)

    def features_learn_from(self, examples: Corpus) -> Iterable[Any]:
        """Return what the features learn from: the items of the training examples."""
        return examples.items()

    @abstractmethod
    def choose_options(self, features: Features, target: Target, train_set: EncodedItems) -> dict[str, Any]:
        """Return all options, those that were left open chosen by the training items."""

    @abstractmethod
    def make_network(self, features: Features, target: Target) -> ItemNetwork:
        """Return an untrained network of the options in ``chosen_``."""

    @abstractmethod
    def make_head(self, target: Target, train_set: EncodedItems) -> Head:
        """Return the head whose loss is trained."""

    def make_measure(self, head: Head, target: Target) -> Measure:
        """Return what measures the outputs of a network on items: a loss by the head, and records of the target.

        A task whose predictions are searched for returns a measure that searches in :meth:`Measure.of_model`.
        """
        return Measure(head, target)

    def start_network(self, network: Any, target: Target, train_set: EncodedItems) -> None:
        """Set up a new network by the training items; by default nothing."""

    def first_options(self, target: Target) -> dict[str, Any]:
        """Return options of the first training where longer ones may follow; none, as here, for those of any."""
        return {}

    def longer(self, network: Any, plan: FitPlan) -> Longer | None:
        """Return a longer training, where a trained network may gain by it; None, as here, for none.

        Args:
            network: trained.
            plan: of its training.
        """
        return None

    def finish_network(self, network: Any, target: Target, train_set: EncodedItems, valid_set: EncodedItems) -> str:
        """Set up a trained network by the validation items; return what a person is told, by default nothing."""
        return ""

    def refit_network(self, network: Any) -> None:
        """Set up a network that has been scored once more, with the items that were held out; by default nothing."""

    #: the scores of each part of the answer on items that it did not see, where it has several
    parts_: Sequence[dict[str, Any]] = ()

    def make_batches(self, train_set: EncodedItems) -> LengthBuckets:
        """Return which training items are run together."""
        return LengthBuckets(train_set.lengths, self.chosen_["batch_size"], seed=self.seed)

    def hold_out(self, corpus: Corpus) -> tuple[Corpus, Corpus, str] | None:
        """Return the examples to train on and to validate on, and a note; None holds whole items out."""
        return None

    def examples_again(self, corpus: Corpus) -> Corpus | None:
        """Return the training and the validation examples together, on which a chosen model is trained again.

        By default None, and the chosen model stays. A task asks for it only where :meth:`hold_out` held them out.
        """
        return None

    def fold_count(self, corpus: Corpus, items: int) -> int:
        """Return the number of folds, each scored by the member that did not see it; 0 holds a share out.

        Args:
            corpus: the examples.
            items: the number of them.
        """
        return 0

    def make_plan(
        self, network: ItemNetwork, measure: Measure, train_set: EncodedItems, valid_set: EncodedItems, monitor: Monitor
    ) -> FitPlan:
        """Return the plan of a training on whole items.

        Args:
            network: before training.
            measure: gives loss and metrics.
            train_set: items, or parts of them, to train on.
            valid_set: items to validate on.
            monitor: chooses the weights that are kept.
        """
        return FitPlan(measure, train_set, valid_set, monitor=monitor, batches=self.make_batches(train_set))

    def training_parts(self, train_set: EncodedItems) -> EncodedItems:
        """Return the items as training reads them, long ones in parts; by default as they are."""
        return train_set

    def make_lanes(self, train_set: EncodedItems) -> Lanes | None:
        """Return long items as lanes along which a state is carried; None trains on whole items."""
        return None

    def make_rival(self, examples: Corpus, train_set: EncodedItems, target: Target) -> Rival | None:
        """Return a plain model of the training items, whose scores stand beside the network's; None for none.

        Args:
            examples: the training examples as they were read.
            train_set: the same, encoded.
            target: learnt from them.
        """
        return None

    def make_rivals(self, examples: Corpus, train_set: EncodedItems, target: Target) -> list[Rival]:
        """Return rivals, of whom the strongest is kept; here that of :meth:`make_rival`, with its arguments."""
        rival = self.make_rival(examples, train_set, target)
        return [] if rival is None else [rival]

    def make_monitor(self, target: Target, valid_set: EncodedItems) -> Monitor:
        """Return the metric that chooses the weights that are kept: here the loss on the validation items."""
        return Monitor("valid_loss", False, 0.0)
