"""What every task that maps a sequence to one answer shares: options, fitting, predicting, saving, going live.

Axes: N items, K scores.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rekur._numbers import counted
from rekur.data import Corpus, Encoded, choose_rows, read_labels
from rekur.data.overlap import shared_items
from rekur.errors import InputError
from rekur.features import make_features, restore
from rekur.models import SequenceSpec, build
from rekur.runtime import Answering, Session, answers_from
from rekur.ship import live_model
from rekur.tasks import recipe
from rekur.tasks.baseline import baseline_scores
from rekur.tasks.early import check_model_size, check_options, long_item_warning
from rekur.tasks.estimator import Estimator
from rekur.tasks.guess import Guess
from rekur.tasks.plan import FitPlan, run
from rekur.train import Checkpoints, History, Reporter

#: validation items below which scores are said to tell little
FEW_TO_VALIDATE = 4


class SequenceEstimator(Answering, Estimator):
    """The shared part of :class:`Classifier` and :class:`Regressor`; scikit-learn's conventions hold.

    Options that are None are chosen from the training data by the rules in ``rekur.tasks.recipe``; after ``fit``
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
    #: what a guess that reads no item predicts, and what the loss is called
    guess_name: ClassVar[str]
    loss_name: ClassVar[str]
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
    def _learn_targets(self, labels: list[Any], place_of: Callable[[int], str] | None = None) -> None:
        """Learn from training labels what the scores are to mean: ``answers_``.

        Args:
            labels: one an item.
            place_of: the number of an item, from 0 -> how messages name it.
        """

    @abstractmethod
    def _loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of scores (B, K)."""

    def _start(self, train_set: Encoded) -> None:
        """Give the new model what the training items say at once; by default nothing."""

    @abstractmethod
    def _quick_metrics(self, scores: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
        """Return the few metrics that are followed during training."""

    @abstractmethod
    def _guess(self, targets: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores (K,) that are best for training targets if no item is read."""

    @abstractmethod
    def _losses(self, scores: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
        """Return the loss of each item (N,) for scores (N, K)."""

    def _shown_loss(self, loss: float) -> float:
        """Return a mean of :meth:`_losses` as what ``loss_name`` says."""
        return loss

    def _has_more_hits(self, scores: NDArray[Any], guess: NDArray[Any], targets: NDArray[Any]) -> bool:
        """Return whether more of the answers are right with ``scores`` than with ``guess``, (N, K) each."""
        return False

    def _monitor(self, items: int) -> tuple[str, bool, float]:
        """Return by which metric on ``items`` validation items weights are kept, whether larger is better, and how
        much worse than the best it may be for later weights to be kept instead."""
        return "valid_loss", False, 0.0

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
        check_options(self)
        kind = None if self.kind == "auto" else self.kind
        corpus = Corpus.from_lists(X, y, kind=kind)
        if X_valid is None and y_valid is None:
            return self.fit_corpus(corpus)
        kind, channels = self._kind_of(corpus), corpus.channels
        return self.fit_corpus(corpus, Corpus.from_lists(X_valid, y_valid, "X_valid", kind=kind, channels=channels))

    @torch.inference_mode(False)
    @torch.enable_grad()
    def fit_corpus(
        self,
        corpus: Corpus,
        valid: Corpus | None = None,
        *,
        reporter: Reporter | None = None,
        history: History | None = None,
        checkpoints: Checkpoints | None = None,
        on_evaluation: Callable[[dict[str, Any]], bool] | None = None,
    ) -> Self:
        """Train on examples that are read in passes, such as the rows of a file larger than memory.

        Args:
            corpus: examples to train on.
            valid: examples to validate on; by default a share of ``corpus`` is held out.
            reporter: tells a person how it goes.
            history: takes one row an evaluation.
            checkpoints: where to keep what is needed to go on; see :class:`rekur.train.Checkpoints`.
            on_evaluation: is given the row of each evaluation; training ends where it returns True.
        """
        reporter = self._reporter(reporter)
        check_options(self)
        begun = None if checkpoints is None else checkpoints.begun()
        valid = None if valid is None else valid.by_name(corpus.channels)
        train_set, valid_set, chosen = self._prepare(corpus, valid, begun)
        if self.features_.kind == "symbols":
            reporter.say(": ".join(self.features_.describe()[0]))  # letters or codes: it was decided by the items
        lengths = np.concatenate([train_set.lengths, valid_set.lengths])
        if (warning := long_item_warning(lengths, self.features_.is_discrete)) is not None:
            reporter.say(warning)
        if valid is not None and (warning := shared_items(train_set, valid_set)) is not None:
            reporter.say(warning)
        self.history_ = history or History()
        facts = recipe.Facts.of(train_set.lengths, self.features_, self.answers_.size)
        self.chosen_ = recipe.fill(self.get_params(deep=False), facts)
        spec = SequenceSpec(
            discrete=self.features_.is_discrete,
            input_size=self.features_.size,
            output_size=self.answers_.size,
            **{name: self.chosen_[name] for name in recipe.MODEL_OPTIONS},
        )
        check_model_size(build, spec, self.chosen_)
        self.model_ = build(spec, seed=self.seed)
        self._start(train_set)
        plan = FitPlan(self, train_set, valid_set, self.chosen_["batch_size"], self.seed)
        what = (
            f"{counted(len(train_set.rows), 'item')} to train on, {len(valid_set.rows)} to validate on; "
            f"padding {plan.padding_waste:.1%} of all steps ({plan.unsorted_waste:.1%} without length buckets)"
        )
        if checkpoints is not None:
            checkpoints.identify(
                task=self.task,
                model=spec.to_dict(),
                options={name: self.chosen_[name] for name in (*recipe.TRAIN_OPTIONS, "batch_size")},
                data=f"{train_set.fingerprint()}:{valid_set.fingerprint()}",
                reads={"features": self.features_.to_dict(), "targets": self.answers_.to_dict()},
            )
        self._train(plan, what, reporter=reporter, checkpoints=checkpoints, on_evaluation=on_evaluation)
        self._report(corpus, valid, chosen, train_set, valid_set, reporter)
        return self

    def _prepare(
        self, corpus: Corpus, valid: Corpus | None, begun: dict[str, Any] | None
    ) -> tuple[Encoded, Encoded, NDArray[np.bool_]]:
        """Learn targets and features from the training items alone, and return both parts as steps."""
        read = read_labels(corpus)
        labels = read.values
        # what all labels cannot teach, a part cannot: said before anything is cut
        self._learn_targets(labels, read.place_of)
        chosen = np.ones(len(labels), dtype=bool)
        if valid is None:
            chosen = choose_rows(labels, read.keys, self.valid_fraction, self.seed, stratified=self.task == "classify")
            try:
                self._learn_targets([label for label, use in zip(labels, chosen, strict=True) if use])
            except InputError as error:
                raise InputError(
                    f"examples: got {len(labels)}; expected more, since with {int((~chosen).sum())} held out for "
                    "validation the labels of the others do not differ. Add examples, or give items for validation."
                ) from error
        if begun is not None:
            self._restore_targets(begun["reads"]["targets"])
        valid_targets = None
        if valid is not None:
            held_out = read_labels(valid)
            valid_targets = self.answers_.encode(held_out.values, valid.name, held_out.place_of)
        kind = self._kind_of(corpus)
        named = {"channels": corpus.channels} if kind == "series" and corpus.channels else {}
        self.features_ = make_features(kind, **{**named, **(self.feature_options or {})})
        if begun is not None:
            self.features_ = restore(begun["reads"]["features"])
        else:
            with corpus.naming_the_place():
                self.features_.fit(corpus.items(chosen))
        steps, targets = corpus.steps(self.features_), self.answers_.encode(labels, corpus.name, read.place_of)
        train_set = Encoded(steps, targets, np.flatnonzero(chosen))
        if valid is None or valid_targets is None:
            return train_set, Encoded(steps, targets, np.flatnonzero(~chosen)), chosen
        rows = np.arange(len(valid_targets))
        return train_set, Encoded(valid.steps(self.features_), valid_targets, rows), chosen

    def _kind_of(self, corpus: Corpus) -> str:
        return corpus.kind if self.kind == "auto" else self.kind

    def _compare_with_guess(
        self, scores: NDArray[Any], train_truth: NDArray[Any], truth: NDArray[Any], reporter: Reporter
    ) -> None:
        """Warn if the scores (N, K) are worse than a guess, or raise if they are of no model at all."""
        guess = self._guess(train_truth)

        Guess(
            name=self.guess_name,
            measure=self.loss_name,
            split="validation items",
            model=self._losses(scores, truth),
            guess=self._losses(np.broadcast_to(guess, scores.shape), truth),
            training=float(self._losses(np.broadcast_to(guess, (len(train_truth), len(guess))), train_truth).mean()),
            shown=self._shown_loss,
            more_hits=self._has_more_hits(scores, np.broadcast_to(guess, scores.shape), truth),
        ).check(self.result_, self._train_options(), reporter)

    def _report(
        self,
        corpus: Corpus,
        valid: Corpus | None,
        chosen: NDArray[np.bool_],
        train_set: Encoded,
        valid_set: Encoded,
        reporter: Reporter,
    ) -> None:
        """Score the kept weights, and the baseline beside them, on the validation items."""
        if len(valid_set.rows) < FEW_TO_VALIDATE:
            reporter.say(f"Scores on so few items tell little: {counted(len(valid_set.rows), 'item')} to validate on.")
        scores = run(self.model_, valid_set.steps, valid_set.rows)
        self._compare_with_guess(scores, train_set.truth, valid_set.truth, reporter)
        self.metrics_ = {"split": "validation", **self.answers_.metrics(scores, valid_set.truth)}
        if self.baseline and self.result_.stopped != "interrupted":
            held_out = corpus.items(~chosen) if valid is None else valid.items()
            self.metrics_["baseline"] = baseline_scores(
                self.features_,
                corpus.items(chosen),
                train_set.truth,
                held_out,
                valid_set.truth,
                self.answers_.metrics,
            )

    # ── predicting ───────────────────────────────────────────────────────────────────────────────────────────

    def _scores_of_steps(self, steps: Any) -> NDArray[Any]:
        return run(self.model_, steps, np.arange(len(steps)))

    def stream(self) -> Session[Any]:
        """Return a live session: push raw events, get the prediction so far.

        Raises:
            NotStreamableError: the model reads the sequence from both ends.
        """
        model = live_model(self.model_, self.task, getattr(self, "fingerprint_", ""))
        return Session(model, self.features_, self.answers_.present)

    # ── saving ───────────────────────────────────────────────────────────────────────────────────────────────

    def _restore_model(self, spec: dict[str, Any]) -> None:
        self.model_ = build(SequenceSpec.from_dict(spec))

    def _target_state(self) -> dict[str, Any]:
        return self.answers_.to_dict()

    def _restore_targets(self, saved: dict[str, Any]) -> None:
        self.answers_ = answers_from(self.task, saved)
