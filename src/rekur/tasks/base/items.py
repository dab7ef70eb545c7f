"""What every task that maps a sequence to one answer shares: options, fitting, predicting, saving, going live.

Axes: N items, K outputs, S numbers of a record.
"""

from __future__ import annotations

from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from rekur.data import Corpus, EncodedItems
from rekur.features import Features, make_features
from rekur.lower import runtime_model
from rekur.models import ItemNetwork, SequenceSpec, build
from rekur.runtime import PredictionMixin, Session
from rekur.targets import Target
from rekur.tasks.base import recipe
from rekur.tasks.base.driver import Stages
from rekur.tasks.base.early import check_model_size, check_options
from rekur.tasks.base.estimator import Estimator
from rekur.tasks.base.item_stages import ItemStages
from rekur.tasks.base.plan import run
from rekur.tasks.base.task import ItemTask


class SequenceEstimator(PredictionMixin, ItemTask, Estimator):
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

    def make_stages(self) -> Stages:
        """Return the stages of a training on whole items."""
        return ItemStages(self)

    def make_features(self, corpus: Corpus) -> Features:
        """Return features of the kind of the items, not fitted yet."""
        kind = self.kind_of(corpus)
        named = {"channels": corpus.channels} if kind == "series" and corpus.channels else {}
        return make_features(kind, **{**named, **(self.feature_options or {})})

    def choose_options(self, features: Features, target: Target, train_set: EncodedItems) -> dict[str, Any]:
        """Return all options, those that were left open chosen by the rules of ``rekur.tasks.base.recipe``."""
        facts = recipe.Facts.of(train_set.lengths, features, target.size)
        return recipe.fill(self.get_params(deep=False), facts)

    def make_network(self, features: Features, target: Target) -> ItemNetwork:
        """Return an untrained recurrent network with a pool and a linear layer.

        Raises:
            InputError: it does not fit into memory; said before any weight is made.
        """
        spec = SequenceSpec(
            discrete=features.is_discrete,
            input_size=features.size,
            output_size=target.size,
            **{name: self.chosen_[name] for name in recipe.MODEL_OPTIONS},
        )
        check_model_size(build, spec, self.chosen_)
        return build(spec, seed=self.seed)

    def kind_of(self, corpus: Corpus) -> str:
        """Return the kind of the items of a corpus: ``text``, ``series`` or ``symbols``."""
        return corpus.kind if self.kind == "auto" else self.kind

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
