"""What every task that maps a sequence to one answer shares: options, fitting, predicting, saving, going live.

Axes: N items, K outputs, S numbers of a record.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rekur._options import documented, options_of
from rekur.data import Corpus, EncodedItems
from rekur.data.encoded import named
from rekur.data.labelled import labelled
from rekur.data.memory import as_list
from rekur.data.vectors import WordVectors, open_vectors
from rekur.errors import InputError, describe
from rekur.features import Features, TextFeatures, make_features
from rekur.lower import runtime_model
from rekur.models import ItemNetwork, SequenceSpec, SeriesNetwork, SeriesSpec, build, build_series
from rekur.models.encoder import of_unit_norm
from rekur.models.share_branch import ShareBranch
from rekur.runtime import PredictionMixin, Session
from rekur.runtime.rival import Rival
from rekur.targets import KINDS, Target
from rekur.targets.labels import weights_of
from rekur.tasks.base import bases, branches, recipe, series_net
from rekur.tasks.base.early import check_model_size, check_options
from rekur.tasks.base.estimator import Estimator
from rekur.tasks.base.item_stages import ItemStages
from rekur.tasks.base.linear_rival import fit_linear_rival
from rekur.tasks.base.options import MODEL_OPTIONS, TRAIN_OPTIONS, ItemOptions
from rekur.tasks.base.plan import FitPlan, Measure, Monitor, run
from rekur.tasks.base.series_options import CONVOLUTIONAL, network_of
from rekur.tasks.base.share_rival import fit_share_rival
from rekur.tasks.base.stages import Longer, Stages
from rekur.tasks.base.task import ItemTask


class ItemEstimator(PredictionMixin, ItemTask, Estimator):
    """The shared part of the tasks that read whole items with labels; scikit-learn's conventions hold."""

    #: the kind of the items; ``auto`` decides by the first that is not missing
    kind: Any
    steps_option = "max_length"
    run_options = (*TRAIN_OPTIONS, "batch_size")
    vectors: str | None
    _vectors: WordVectors | None = None

    # ── fitting ──────────────────────────────────────────────────────────────────────────────────────────────

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        groups: Any = None,
        X_valid: Any = None,
        y_valid: Any = None,
        start_from: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train on items and their labels.

        Args:
            X: items: a list of strings, of arrays (T,) or (T, D), of lists of codes or words, or an array (N, T[, D]).
            y: one label each; of a tagger a list with a tag for each step, or of a text its spans.
            sample_weight: how much each item counts, (N,), 0 or more, or one number for all; an item of weight 0 is
                left out. It counts in the loss, in the rival's training, and in the scores of both on the validation
                items, where they are a share of the training items; items of ``X_valid`` count once each.
            groups: what each item stays together with in a fold or in the share that is held out, such as the person
                who was recorded: a name or number each, (N,).
            X_valid: items to validate on; by default a share of the training items.
            y_valid: their labels.
            start_from: a bundle whose features and weights are taken where they fit; see :meth:`fit_corpus`.

        Returns:
            self.

        Raises:
            InputError: an item, a label or an option cannot be used; the text says which and why.
        """
        self.check_options()
        kind = None if self.kind == "auto" else self.kind
        per_step = KINDS[self.target].per_step
        X = as_list(X, "X")
        corpus = labelled(X, y, kind=kind, per_step=per_step)
        if groups is not None:
            if X_valid is not None:
                raise InputError("groups: got them beside X_valid; expected none, as nothing is split. Leave one out.")
            corpus = corpus.grouped(groups)
        if (weights := weights_of(sample_weight, len(X))) is not None:
            corpus = corpus.weighted(weights)
        if X_valid is None and y_valid is None:
            return self.fit_corpus(corpus, start_from=start_from)
        how: dict[str, Any] = {"kind": self.kind_of(corpus), "channels": corpus.channels, "per_step": per_step}
        valid = labelled(X_valid, y_valid, "X_valid", use="evaluation", **how)
        return self.fit_corpus(corpus, valid, start_from=start_from)

    def check_options(self) -> None:
        """Raise for every option that is wrong whatever the data are."""
        options = self.get_params(deep=False)
        self.check_values(options)
        check_options(options)

    def check_corpus(self, corpus: Corpus) -> None:
        """Raise for an option that has no effect on the items of a corpus, by their kind."""
        self.check_effects({**self.get_params(deep=False), "kind": self.kind_of(corpus)})

    def make_stages(self) -> Stages:
        """Return the stages of a training on whole items."""
        return ItemStages(self)

    def kind_of(self, corpus: Corpus) -> str:
        """Return the kind of the items of a corpus: ``text``, ``series`` or ``symbols``."""
        return corpus.kind if self.kind == "auto" else self.kind

    def open_vectors(self) -> dict[str, Any]:
        """Open the trained vectors if there are some, and return the options of the features that read by them."""
        self._vectors = None if self.vectors is None else open_vectors(self.vectors)
        if self._vectors is None:
            return {}
        return {"vector_words": self._vectors.words, "vector_size": self._vectors.size}

    def take_vectors(self) -> Tensor | None:
        """Return the vectors (V, P) that were opened, and forget them; None if none were.

        Raises:
            InputError: their words differ from those of the features, which a resumed run keeps.
        """
        vectors, self._vectors = self._vectors, None
        if vectors is None:
            return None
        if tuple(vectors.words) != getattr(self.features_, "vector_words", ()):
            raise InputError(describe("vectors", self.vectors, "the file with which the run was begun"))
        return torch.from_numpy(vectors.matrix)

    # ── predicting ───────────────────────────────────────────────────────────────────────────────────────────

    def outputs_of_steps(self, steps: Any) -> NDArray[Any]:
        items = EncodedItems(named(steps), np.empty(0), np.arange(len(steps)))
        return cast(NDArray[Any], run(self.model_, items))

    def stream(self) -> Session:
        """Return a live session: push raw events, get the prediction so far.

        Raises:
            NotStreamableError: the model reads the sequence from both ends.
        """
        fingerprint = getattr(self, "fingerprint_", "")
        return runtime_model(self.model_, self.task, self.features_, self.target_, fingerprint).stream()


@documented
class SequenceEstimator(ItemOptions, ItemEstimator):
    """The shared part of :class:`Classifier` and :class:`Regressor`; scikit-learn's conventions hold.

    Options that are None are chosen from the training data by the rules in ``rekur.tasks.base.recipe``; after ``fit``
    what was chosen stands in ``chosen_``.
    """

    def make_features(self, corpus: Corpus) -> Features:
        """Return features of the kind of the items, not fitted yet."""
        kind = self.kind_of(corpus)
        named: dict[str, Any] = {"channels": corpus.channels} if kind == "series" and corpus.channels else {}
        return make_features(kind, **{**named, **self.open_vectors(), **(self.feature_options or {})})

    #: values of options for the convolutional network that go before those of its recipe
    series_rules: ClassVar[dict[str, Any]] = {}
    _series_facts: series_net.SeriesFacts | None = None
    _refitted: ShareBranch | None = None

    def network_of(self, kind: str) -> str:
        """Return the network that reads items of a kind: ``convolutional`` or ``recurrent``."""
        return network_of(self.get_params(deep=False), kind)

    def fold_count(self, corpus: Corpus, items: int) -> int:
        """Return the folds of few series, or as many as there are to be members."""
        if self.network_of(self.kind_of(corpus)) != CONVOLUTIONAL:
            return 0
        if self.split_seed is not None and self.branches is None:
            return 0  # models that are compared are scored on the same share; branches are weighed by folds
        if self.valid_fraction != options_of(type(self))["valid_fraction"].default:
            return 0  # a share was asked for
        members = self.members or (series_net.FOLDS if items < series_net.FEW_ITEMS else 1)
        return members if members > 1 else 0

    def choose_options(self, features: Features, target: Target, train_set: EncodedItems) -> dict[str, Any]:
        """Return all options, those that were left open chosen by the rules of ``rekur.tasks.base.recipe``."""
        if self.network_of(features.kind) == CONVOLUTIONAL:
            self._series_facts = series_net.SeriesFacts.of(train_set)
            if target.joint == "outputs":
                steps, spread = bases.choose_base(train_set, target)
                self._series_facts = self._series_facts._replace(base_steps=steps, spread=spread)
            return series_net.fill(self.get_params(deep=False), train_set, self.series_rules)
        facts = recipe.Facts.of(train_set.lengths, features, target.size)
        return recipe.fill(self.get_params(deep=False), facts)

    def make_network(self, features: Features, target: Target) -> ItemNetwork:
        """Return an untrained network: convolutional, or recurrent with a pool and a linear layer.

        Raises:
            InputError: it does not fit into memory; said before any weight is made.
        """
        if self._series_facts is not None and self.network_of(features.kind) == CONVOLUTIONAL:
            of_data = {"input_size": features.size, "output_size": target.size, "joint": target.joint}
            series = series_net.spec_of(self.chosen_, self._series_facts, **of_data)
            check_model_size(build_series, series, self.chosen_)
            return build_series(series, seed=self.seed)
        sizes = {name: self.chosen_[name] for name in MODEL_OPTIONS}
        if isinstance(features, TextFeatures) and features.vector_size:
            sizes |= {"vector_size": features.vector_size, "trained_size": features.trained_size}
        spec = SequenceSpec(discrete=features.is_discrete, input_size=features.size, output_size=target.size, **sizes)
        check_model_size(build, spec, self.chosen_)
        return build(spec, seed=self.seed)

    def make_plan(
        self, network: ItemNetwork, measure: Measure, train_set: EncodedItems, valid_set: EncodedItems, monitor: Monitor
    ) -> FitPlan:
        """Return the plan of a training, with batches of each member of the network side by side where it has some."""
        if not isinstance(network, SeriesNetwork):
            return super().make_plan(network, measure, train_set, valid_set, monitor)
        return series_net.MemberPlan(
            measure,
            train_set,
            valid_set,
            members=network.spec.members,
            batch_size=self.chosen_["batch_size"],
            epochs=self.chosen_["epochs"],
            seed=self.seed,
            longest=network.spec.longest,
            monitor=series_net.last_weights(),
        )

    def first_options(self, target: Target) -> dict[str, Any]:
        """Return fewer epochs for a network from series to numbers, which is trained longer while that helps."""
        is_convolutional = self.network_of(self.features_.kind) == CONVOLUTIONAL
        if not is_convolutional or target.joint != "outputs" or self._has_length():
            return {}
        return {"epochs": series_net.first_epochs(self.chosen_["epochs"])}

    def longer(self, network: Any, plan: FitPlan) -> Longer | None:
        """Return a longer training of a network of series that does not tell its own training items apart."""
        if not isinstance(plan, series_net.MemberPlan) or self._has_length():
            return None
        return series_net.longer_training(network, plan, self.chosen_["epochs"])

    def _has_length(self) -> bool:
        """Return whether a person said how long a training is."""
        return self.epochs is not None or bool(self.steps)

    def finish_network(self, network: Any, target: Target, train_set: EncodedItems, valid_set: EncodedItems) -> str:
        """Weigh members, and a ridge beside them, by the items that they did not see; see :mod:`.branches`."""
        self.parts_, self._refitted = [], None
        ridge = "ridge" in (self.chosen_["branches"] or "")
        if not isinstance(network, SeriesNetwork) or not (ridge or valid_set.folds is not None):
            return ""
        note, self.parts_, self._refitted = branches.finish(network, target, train_set, valid_set, ridge=ridge)
        return note

    def refit_network(self, network: Any) -> None:
        """Let one ridge of all items take the place of those that did not see some."""
        if self._refitted is not None:
            network.attach(self._refitted)
            self._refitted = None

    def start_network(self, network: Any, target: Target, train_set: EncodedItems) -> None:
        """Give the network the trained vectors, or the linear base of numbers from series."""
        if isinstance(network, SeriesNetwork):
            bases.start_network(network, train_set, target)
        vectors = self.take_vectors()
        if vectors is not None:
            rows = torch.from_numpy(cast(TextFeatures, self.features_).vector_rows())
            network.embedding.vectors.set(of_unit_norm(vectors)[rows] * (rows >= 0)[:, None])

    def make_rival(self, examples: Corpus, train_set: EncodedItems, target: Target) -> Rival | None:
        """Return a linear model of the training items where the target is labels or numbers; else None."""
        return fit_linear_rival(train_set, target) if target.kind in ("label", "number") else None

    def make_rivals(self, examples: Corpus, train_set: EncodedItems, target: Target) -> list[Rival]:
        """Return that of :meth:`make_rival`, and beside it for series a linear model of random convolutions."""
        rivals = super().make_rivals(examples, train_set, target)
        if rivals and train_set.first.values.dtype.kind == "f":
            rivals.append(fit_share_rival(train_set, target))
        return rivals

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: X may be texts or arrays (N, T) and (N, T, D), where NaN is a missing number."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = tags.input_tags.three_d_array = True
        tags.input_tags.string = tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags

    def _restore_model(self, spec: dict[str, Any]) -> None:
        is_series = spec.get("network") == SeriesSpec.network
        self.model_ = build_series(SeriesSpec.from_dict(spec)) if is_series else build(SequenceSpec.from_dict(spec))
