"""What every task that maps a sequence to one answer shares: options, fitting, predicting, saving, going live.

Axes: N items, K outputs, S numbers of a record.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from rekur._numbers import counted
from rekur.data import Corpus, EncodedItems, choose_rows, read_labels
from rekur.data.corpus import Labels
from rekur.data.overlap import shared_items
from rekur.errors import InputError
from rekur.features import Features, make_features, restore
from rekur.lower import runtime_model
from rekur.models import SequenceModel, SequenceSpec, build
from rekur.models.heads import Head
from rekur.runtime import PredictionMixin, Session
from rekur.targets import Target, restore_target
from rekur.tasks.base import recipe
from rekur.tasks.base.baseline import baseline_scores
from rekur.tasks.base.early import check_model_size, check_options, long_item_warning
from rekur.tasks.base.estimator import Estimator
from rekur.tasks.base.guess import guess_of_items
from rekur.tasks.base.plan import FitPlan, Measure, Monitor, run
from rekur.tasks.base.prepared import PreparedItems
from rekur.train import Reporter

#: validation items below which scores are said to tell little
FEW_TO_VALIDATE = 4


class SequenceEstimator(PredictionMixin, Estimator):
    """The shared part of :class:`Classifier` and :class:`Regressor`; scikit-learn's conventions hold.

    Options that are None are chosen from the training data by the rules in ``rekur.tasks.base.recipe``; after ``fit``
    what was chosen stands in ``chosen_``.

    Args:
        kind: what an item is: ``text`` (a string), ``series`` (rows of numbers), ``symbols`` (letters or event
            codes); ``auto`` decides by the type of the first item that is not missing.
        feature_options: options of the features, such as ``{"tokens": "char"}``; see ``rekur.features``.
        cell: a name in ``rekur.cells.CELLS``.
        hidden_size: hidden units of a layer and direction.
        num_layers: layers on top of each other.
        bidirectional: read from both ends; the model can then not run live.
        embedding_size: values a token is turned into.
        kernel_size: steps that a causal convolution before the recurrent layers sees at once; 0 for none.
        pooling: how the outputs of all steps become one vector: ``last``, ``mean``, ``max``, ``attention``, or
            several joined by ``+``.
        token_dropout: chance that a token is read as unknown in training.
        input_dropout: chance that an input feature is off for a whole sequence in training.
        input_noise: standard deviation of noise on standardised numbers in training.
        dropout: chance that a value is off between layers and before the scores in training.
        recurrent_dropout: chance that a hidden value is off on its way to the next step in training.
        residual: add each layer's input to its output.
        norm: layer norm after each layer.
        epochs: passes over the training data at most.
        steps: steps of the optimiser at most, instead of ``epochs``; 0 goes by epochs.
        batch_size: items a step.
        learning_rate: the highest rate of AdamW.
        weight_decay: of AdamW.
        schedule: ``cosine``, ``linear`` or ``constant``.
        warmup: share of all steps in which the rate rises.
        clip: the largest norm of all gradients together; 0 for none.
        patience: evaluations without a better score before training stops; 0 never stops early.
        average: decay of the running average of the weights that is evaluated and kept; 0 for none.
        valid_fraction: share of the training items kept for validation where none are given.
        seed: of everything random.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        time_limit: seconds after which training ends in good order; 0 for none.
        baseline: also score a plain baseline on the same validation items.
        verbose: tell on standard error how training goes.
    """

    steps_option = "max_length"
    run_options = (*recipe.TRAIN_OPTIONS, "batch_size")
    #: how labels are read from a file: ``class``, ``classes`` or ``number``
    label_type: str

    def __init__(
        self,
        *,
        kind: str = "auto",
        feature_options: dict[str, Any] | None = None,
        cell: str = "lstm",
        hidden_size: int | None = None,
        num_layers: int = 1,
        bidirectional: bool = False,
        embedding_size: int | None = None,
        kernel_size: int | None = None,
        pooling: str | None = None,
        token_dropout: float | None = None,
        input_dropout: float | None = None,
        input_noise: float | None = None,
        dropout: float | None = None,
        recurrent_dropout: float = 0.0,
        residual: bool = False,
        norm: bool = False,
        epochs: int | None = None,
        steps: int = 0,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        schedule: str = "cosine",
        warmup: float = 0.1,
        clip: float = 1.0,
        patience: int | None = None,
        average: float | None = None,
        valid_fraction: float = 0.1,
        seed: int = 0,
        precision: str = "32-true",
        accelerator: str = "auto",
        time_limit: float = 0.0,
        baseline: bool = True,
        verbose: bool = False,
    ) -> None:
        self.kind = kind
        self.feature_options = feature_options
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.embedding_size = embedding_size
        self.kernel_size = kernel_size
        self.pooling = pooling
        self.token_dropout = token_dropout
        self.input_dropout = input_dropout
        self.input_noise = input_noise
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.residual = residual
        self.norm = norm
        self.epochs = epochs
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.warmup = warmup
        self.clip = clip
        self.patience = patience
        self.average = average
        self.valid_fraction = valid_fraction
        self.seed = seed
        self.precision = precision
        self.accelerator = accelerator
        self.time_limit = time_limit
        self.baseline = baseline
        self.verbose = verbose

    # ── what a task defines ──────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def _learn_target(
        self, labels: list[Any], features: Features | None, place_of: Callable[[int], str] | None = None
    ) -> Target:
        """Return the target that training labels teach.

        Args:
            labels: one an item.
            features: fitted; None only checks the labels.
            place_of: how messages name an item.
        """

    @abstractmethod
    def _make_head(self, train_set: EncodedItems) -> Head:
        """Return the head with the loss of these training items."""

    def _start(self, network: SequenceModel, train_set: EncodedItems) -> None:
        """Set up a new network by the training items; by default nothing."""

    def _monitor(self, items: int) -> Monitor:
        """Return what chooses the weights that are kept, by the number of validation items."""
        return Monitor("valid_loss", False, 0.0)

    # ── fitting ──────────────────────────────────────────────────────────────────────────────────────────────

    def fit(self, X: Any, y: Any, *, X_valid: Any = None, y_valid: Any = None) -> Self:
        """Train on items and their labels.

        Args:
            X: items: a list of strings, of arrays (T,) or (T, D), of lists of codes, or an array (N, T[, D]).
            y: one label each.
            X_valid: items to validate on; by default a share of the training items.
            y_valid: their labels.

        Returns:
            self.

        Raises:
            InputError: an item, a label or an option cannot be used; the text says which and why.
        """
        self.check_options()
        kind = None if self.kind == "auto" else self.kind
        corpus = Corpus.from_lists(X, y, kind=kind)
        if X_valid is None and y_valid is None:
            return self.fit_corpus(corpus)
        kind, channels = self.kind_of(corpus), corpus.channels
        return self.fit_corpus(corpus, Corpus.from_lists(X_valid, y_valid, "X_valid", kind=kind, channels=channels))

    def check_options(self) -> None:
        """Raise for every option that is wrong whatever the data are."""
        check_options(self.get_params(deep=False))

    def _prepare(self, corpus: Corpus, valid: Corpus | None, begun: dict[str, Any] | None) -> PreparedItems:
        valid = None if valid is None else valid.by_name(corpus.channels)
        labels = read_labels(corpus)
        valid_labels = labels if valid is None else read_labels(valid)
        chosen = self._choose_rows(labels, hold_out=valid is None)
        if begun is not None:
            self._restore_targets(begun["reads"]["targets"])
        if valid is not None:
            self.target_.check_labels(valid_labels.values, valid.name, valid_labels.place_of)
        if begun is not None:
            self.features_ = restore(begun["reads"]["features"])
        else:
            self.features_ = self._new_features(corpus)
            with corpus.naming_the_place():
                self.features_.fit(corpus.items(chosen))
            self.target_ = self._learn_target(_of_rows(labels.values, chosen), self.features_)
        train_set = self._encode(corpus, labels, np.flatnonzero(chosen))
        if valid is None:
            valid_set = dataclasses.replace(train_set, rows=np.flatnonzero(~chosen))
        else:
            valid_set = self._encode(valid, valid_labels, np.arange(len(valid_labels.values)))
        return PreparedItems(
            notes=self._notes(train_set, valid_set, held_out=valid is None),
            reads={"features": self.features_.to_dict(), "targets": self.target_.to_dict()},
            train=train_set,
            valid=valid_set,
            train_items=corpus.items(chosen),
            valid_items=corpus.items(~chosen) if valid is None else valid.items(),
        )

    def _encode(self, corpus: Corpus, labels: Labels, rows: NDArray[np.int64]) -> EncodedItems:
        """Return all items of a corpus, encoded, with those that count."""
        inputs, contexts = corpus.encode(self.features_)
        targets = self.target_.encode_items(labels.values, contexts, corpus.name, labels.place_of)
        return EncodedItems(inputs, targets, rows, labels.values, contexts)

    def _choose_rows(self, labels: Labels, *, hold_out: bool) -> NDArray[np.bool_]:
        """Return True for each example to train on, False for those that are held out; raise for useless labels."""
        values = labels.values
        # what all labels cannot teach, a part cannot: said before anything is cut
        self.target_ = self._learn_target(values, None, labels.place_of)
        if not hold_out:
            return np.ones(len(values), dtype=bool)
        stratified = self.task == "classify"
        chosen = choose_rows(values, labels.keys, self.valid_fraction, self.seed, stratified=stratified)
        try:
            self._learn_target(_of_rows(values, chosen), None)
        except InputError as error:
            raise InputError(
                f"examples: got {len(values)}; expected more, since with {int((~chosen).sum())} held out for "
                "validation the labels of the others do not differ. Add examples, or give items for validation."
            ) from error
        return chosen

    def _new_features(self, corpus: Corpus) -> Features:
        kind = self.kind_of(corpus)
        named = {"channels": corpus.channels} if kind == "series" and corpus.channels else {}
        return make_features(kind, **{**named, **(self.feature_options or {})})

    def _notes(self, train_set: EncodedItems, valid_set: EncodedItems, *, held_out: bool) -> list[str]:
        """Return what a person is told of the items before the training."""
        lengths = np.concatenate([train_set.lengths, valid_set.lengths])
        notes = [
            # letters or codes: it was decided by the items
            ": ".join(self.features_.describe()[0]) if self.features_.kind == "symbols" else None,
            long_item_warning(lengths, self.features_.is_discrete),
            None if held_out else shared_items(train_set, valid_set),
        ]
        return [note for note in notes if note is not None]

    def _choose(self, prepared: PreparedItems) -> dict[str, Any]:
        facts = recipe.Facts.of(prepared.train.lengths, self.features_, self.target_.size)
        return recipe.fill(self.get_params(deep=False), facts)

    def _make_network(self, prepared: PreparedItems, begun: dict[str, Any] | None) -> SequenceModel:
        spec = SequenceSpec(
            discrete=self.features_.is_discrete,
            input_size=self.features_.size,
            output_size=self.target_.size,
            **{name: self.chosen_[name] for name in recipe.MODEL_OPTIONS},
        )
        check_model_size(build, spec, self.chosen_)
        network = build(spec, seed=self.seed)
        self._start(network, prepared.train)
        return network

    def _make_plan(self, prepared: PreparedItems) -> tuple[FitPlan, str]:
        train_set, valid_set = prepared.train, prepared.valid
        head = self.model_.criterion = self._make_head(train_set)
        plan = FitPlan(
            Measure(head, self.target_),
            train_set,
            valid_set,
            monitor=self._monitor(len(valid_set.rows)),
            batch_size=self.chosen_["batch_size"],
            seed=self.seed,
        )
        return plan, (
            f"{counted(len(train_set.rows), 'item')} to train on, {len(valid_set.rows)} to validate on; "
            f"padding {plan.padding_waste:.1%} of all steps ({plan.unsorted_waste:.1%} without length buckets)"
        )

    def kind_of(self, corpus: Corpus) -> str:
        """Return the kind of the items of a corpus: ``text``, ``series`` or ``symbols``."""
        return corpus.kind if self.kind == "auto" else self.kind

    def _report(self, prepared: PreparedItems, plan: FitPlan, reporter: Reporter) -> None:
        train_set, valid_set, measure = prepared.train, prepared.valid, plan.measure
        if len(valid_set.rows) < FEW_TO_VALIDATE:
            reporter.say(f"Scores on so few items tell little: {counted(len(valid_set.rows), 'item')} to validate on.")
        measured = plan.measured(self.model_)
        guess = guess_of_items(measure, measured, train_set, valid_set)
        guess.check(self.result_, self._train_options(), reporter)
        self.metrics_ = {"split": "validation", **self.target_.report(measured.records)}
        if self.baseline and self.result_.stopped != "interrupted":
            self.metrics_["baseline"] = baseline_scores(
                self.features_,
                prepared.train_items,
                train_set.truth,
                prepared.valid_items,
                [valid_set.labels[row] for row in valid_set.rows],
                self.target_,
            )

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: X may be texts or arrays (N, T) and (N, T, D), where NaN is a missing number."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = tags.input_tags.three_d_array = True
        tags.input_tags.string = tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags

    # ── predicting ───────────────────────────────────────────────────────────────────────────────────────────

    def outputs_of_steps(self, steps: Any) -> NDArray[Any]:
        items = EncodedItems({"steps": steps}, np.empty(0), np.arange(len(steps)))
        return cast(NDArray[Any], run(self.model_, items))

    def stream(self) -> Session:
        """Return a live session: push raw events, get the prediction so far.

        Raises:
            NotStreamableError: the model reads the sequence from both ends.
        """
        fingerprint = getattr(self, "fingerprint_", "")
        return runtime_model(self.model_, self.task, self.features_, self.target_, fingerprint).stream()

    # ── saving ───────────────────────────────────────────────────────────────────────────────────────────────

    def _restore_model(self, spec: dict[str, Any]) -> None:
        self.model_ = build(SequenceSpec.from_dict(spec))

    def _target_state(self) -> dict[str, Any]:
        return {"kind": self.target_.kind, **self.target_.to_dict()}

    def _restore_targets(self, saved: dict[str, Any]) -> None:
        self.target_ = restore_target(saved, self.task)


def _of_rows(values: list[Any], chosen: NDArray[np.bool_]) -> list[Any]:
    """Return the chosen of these values."""
    return [value for value, use in zip(values, chosen, strict=True) if use]
