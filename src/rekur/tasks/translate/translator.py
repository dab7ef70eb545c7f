"""Translate: one text from another, token by token.

Axes: N pairs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, cast

import numpy as np
import torch

from rekur._options import documented
from rekur.data import Corpus, EncodedItems, LengthBuckets, Ragged
from rekur.decode import Hypothesis, choose_alpha
from rekur.features import Features, PairFeatures
from rekur.models import DecoderSpec, ItemNetwork, build_decoder
from rekur.models.heads import Head
from rekur.runtime.pair_rivals import CopyRival, LexiconRival
from rekur.runtime.rival import Rival
from rekur.runtime.search import Search, search, search_of
from rekur.targets import Target
from rekur.targets.text import Answer
from rekur.tasks.base.early import check_model_size
from rekur.tasks.base.items import ItemEstimator
from rekur.tasks.base.plan import Measure, Monitor, sampled
from rekur.tasks.translate import recipe
from rekur.tasks.translate.measure import SearchMeasure, TextHead
from rekur.tasks.translate.options import MODEL_OPTIONS, TranslateOptions

#: beam, and number of validation pairs, by whose texts the exponent of the length is chosen
BEAM, RANKED = 5, 500


@documented
class Translator(TranslateOptions, ItemEstimator):
    r"""A recurrent encoder and decoder with attention that writes a text for each text.

    .. math:: p(y \mid x) = \prod_t p(y_t \mid y_{<t}, x)

    Texts are read and written as they are: nothing is normalized, and no mark for unknown ever comes out. Translations,
    answers and summaries are all pairs of texts.

    Attributes:
        metrics_: scores of the kept weights on the validation pairs.
        history_: one row an evaluation.
        chosen_: the options as they were used.

    Example:
        >>> sources, targets = ["one two", "two", "two one", "one"] * 8, ["1 2", "2", "2 1", "1"] * 8
        >>> model = Translator(epochs=2, hidden_size=8, baseline=False).fit(sources, targets)
        >>> len(model.predict(["one one", ""]))
        2
    """

    task: ClassVar[str] = "translate"
    target: ClassVar[str] = "text"
    reads: ClassVar[str] = "pairs"
    kind = "pairs"
    steps_option: ClassVar[str] = "max_length"
    run_options = (*ItemEstimator.run_options, "batch_steps")

    def kind_of(self, corpus: Corpus) -> str:
        """Return the kind of the items of a corpus: ``pairs``."""
        return self.kind

    def make_features(self, corpus: Corpus) -> Features:
        """Return features of pairs, not fitted yet."""
        options = {name: value for name, value in (self.feature_options or {}).items() if value is not None}
        return PairFeatures(**options)

    def features_learn_from(self, examples: Corpus) -> Iterable[Any]:
        """Return the training pairs: a vocabulary of targets is learnt too."""
        return ((example.item, example.label) for example in examples)

    def choose_options(self, features: Features, target: Target, train_set: EncodedItems) -> dict[str, Any]:
        """Return all options, those that were left open chosen by the rules of ``rekur.tasks.translate.recipe``."""
        facts = recipe.Facts(
            pairs=len(train_set),
            tokens=len(train_set.truth),
            vocabulary=target.size,
            is_shared=cast(PairFeatures, features).shared,
            has_time_limit=self.time_limit > 0,
        )
        return recipe.fill(self.get_params(deep=False), facts)

    def make_network(self, features: Features, target: Target) -> ItemNetwork:
        """Return an untrained encoder and decoder.

        Raises:
            InputError: it does not fit into memory; said before any weight is made.
        """
        spec = DecoderSpec(
            columns=(features.size,),
            output_size=target.size,
            **{name: self.chosen_[name] for name in MODEL_OPTIONS},
        )
        check_model_size(build_decoder, spec, self.chosen_)
        return build_decoder(spec, seed=self.seed)

    def start_network(self, network: Any, target: Target, train_set: EncodedItems) -> None:
        """Give the output layer the frequency of each target token."""
        network.start_bias(torch.from_numpy(np.bincount(train_set.truth, minlength=target.size)))

    def make_head(self, target: Target, train_set: EncodedItems) -> Head:
        """Return the log loss of target tokens, which the network computes."""
        return TextHead(target.size)

    def make_batches(self, train_set: EncodedItems) -> LengthBuckets:
        """Return batches of pairs with about as many target tokens each; with ``batch_size``, of as many pairs."""
        lengths = cast(Ragged, train_set.targets).lengths[train_set.rows]
        size, steps = self.chosen_["batch_size"], self.chosen_["batch_steps"]
        if size is not None:
            return LengthBuckets(lengths, size, seed=self.seed)
        return LengthBuckets(lengths, 1, seed=self.seed, batch_steps=steps)

    def make_measure(self, head: Head, target: Target) -> Measure:
        """Return what measures the network after a search, as a text is written, and never after known tokens."""
        return SearchMeasure(head, target)

    def make_rivals(self, examples: Corpus, train_set: EncodedItems, target: Target) -> list[Rival]:
        """Return the copy of the source, and a lexicon that translates word for word."""
        weights = train_set.record_weights(np.arange(len(train_set)))
        pairs = ((example.item, example.label) for example in examples)
        return [CopyRival(), LexiconRival.fit(pairs, None if weights is None else weights.tolist())]

    def make_monitor(self, target: Target, valid_set: EncodedItems) -> Monitor:
        """Return the metric that decides, of texts that a search finds."""
        return Monitor(f"valid_{_deciding(target, valid_set)}", True, 0.0)

    def finish_network(self, network: Any, target: Target, train_set: EncodedItems, valid_set: EncodedItems) -> str:
        """Choose the exponent of the length by the texts of a beam for validation pairs, where it was left open."""
        if self.alpha is not None:
            return ""
        rows = sampled(valid_set.rows, RANKED)
        how = search_of(target.features, beam=BEAM, n_best=BEAM)
        pools = search(network.steps(), valid_set.steps.take(rows), how, stop_early=False)
        labels, metric = valid_set.labels_of(rows), _deciding(target, valid_set)

        def score(best: list[Hypothesis]) -> float:
            return target.score(target.records([[each] for each in best], labels))[metric]

        alpha, _ = choose_alpha(pools, score)
        self.chosen_["alpha"] = alpha
        return f"alpha is {alpha:g}: so the texts of a beam of {BEAM} score highest on the validation pairs."

    @property
    def search_(self) -> Search:
        """How texts are searched."""
        return vars(self).get("_search") or search_of(self.features_, alpha=self.chosen_["alpha"])

    @search_.setter
    def search_(self, how: Search) -> None:
        self._search = how

    def outputs_of_steps(self, steps: Any) -> Any:
        return search(self.model_.steps(), steps, self.search_)

    def score(self, X: Any, y: Any) -> float:
        """Return the BLEU of the texts that are written for sources.

        Args:
            X: sources.
            y: the right text of each, or a list of right texts.
        """
        return float(self.evaluate(X, y)[self.target_.decides])

    def _restore_model(self, spec: dict[str, Any]) -> None:
        self.model_ = build_decoder(DecoderSpec.from_dict(spec))


def _deciding(target: Target, valid_set: EncodedItems) -> str:
    """Return the metric that decides: that of the target, or the character F where texts are too short for it."""
    references = valid_set.labels_of(valid_set.rows)
    answers = [Answer(label if isinstance(label, str) else label[0]) for label in references]
    right = target.score(target.records_of_predictions(answers, references))
    return target.decides if right[target.decides] else "chrf"
