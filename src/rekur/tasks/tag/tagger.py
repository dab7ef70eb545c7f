"""Tag: a tag for every word of a sentence.

Axes: N sentences, K outputs of a step.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, ClassVar, cast

import numpy as np
import torch

from rekur._options import documented
from rekur._tokenizer import USUAL_CUT, Passage
from rekur.data import Corpus, EncodedItems, LengthBuckets
from rekur.data.documents import holds_documents, passages, sentences
from rekur.data.memory import plain_labels
from rekur.data.pieces import Lanes, parts_of
from rekur.data.ragged import Ragged
from rekur.errors import InputError, describe
from rekur.features import Features, WordFeatures, make_features
from rekur.metrics.spans import RIGHT, TOKENS, records_by_sentence
from rekur.models import ItemNetwork, TaggerSpec, build_tagger
from rekur.models.heads import Head
from rekur.models.tagger import TagsHead
from rekur.runtime.rival import Rival
from rekur.runtime.rivals import FrequentTags
from rekur.runtime.span_rival import SpanDictionary
from rekur.targets import TagsTarget, Target
from rekur.targets.labels import weights_of
from rekur.tasks.base.early import check_model_size
from rekur.tasks.base.items import ItemEstimator
from rekur.tasks.base.linear_rival import fit_window_rival
from rekur.tasks.base.plan import Monitor, run
from rekur.tasks.tag import recipe
from rekur.tasks.tag.options import MODEL_OPTIONS, TagOptions
from rekur.tasks.tag.shifts import label_shifts, outputs_of_labels
from rekur.train.world import current

#: rows on either side of a step that the rival of a series sees, those behind it only if the network sees them too
WINDOW = 7
#: chunks from which on a series is long, and lanes side by side at most
LONG_CHUNKS, MOST_LANES = 4, 32
#: steps to validate on below which the loss decides which weights are kept, and not the share of right ones
FEW_STEPS = 2000


@documented
class Tagger(TagOptions, ItemEstimator):
    r"""A recurrent network that gives every word of a sentence, or every row of a series, a tag.

    .. math:: p_t = \mathrm{softmax}(z_t), \qquad \mathcal{L} = -\frac{1}{T} \sum_t \log p_{t, y_t}

    Rows of numbers are standardized, and their tags are plain classes.

    A word is read as itself, by its beginnings and ends, and by its shape. Tags may be classes, such as parts of
    speech, or mark spans, such as entities in BIO or BIOES; tags that may not follow each other are never predicted.

    Items are lists of words with a tag for each, or texts with spans ``(start, end, label)`` in characters, which are
    cut into words and sentences.

    Attributes:
        metrics_: scores of the kept weights on the validation sentences, with a rival beside them.
        history_: one row an evaluation.
        chosen_: the options as they were used.

    Example:
        >>> sentences = [["Ada", "left", "Oslo"], ["Oslo", "is", "fine"]] * 8
        >>> tags = [["B-PER", "O", "B-LOC"], ["B-LOC", "O", "O"]] * 8
        >>> model = Tagger(epochs=2, hidden_size=8, baseline=False).fit(sentences, tags)
        >>> [len(row) for row in model.predict([["Ada", "is", "fine"], ["Oslo"]])]
        [3, 1]
    """

    task: ClassVar[str] = "tag"
    target: ClassVar[str] = "tags"
    target_: TagsTarget
    steps_option: ClassVar[str] = ""
    run_options = (*ItemEstimator.run_options, "batch_steps", "chunk_length")

    def examples(self, corpus: Corpus) -> Corpus:
        """Return sequences with tags, which say what a step is; texts with spans are cut into sentences."""
        self.kind_ = self.kind_of(corpus)
        if self.kind_ == "words" and holds_documents(corpus):
            return passages(corpus, self.cut or USUAL_CUT, self.bad_spans)
        for name, default in (("cut", None), ("bad_spans", "error")):
            if getattr(self, name) != default:
                raise InputError(describe(name, getattr(self, name), "none for lists of words", "It is for texts."))
        return sentences(corpus)

    def kind_of(self, corpus: Corpus) -> str:
        """Return the kind of the items of a corpus: ``words`` or ``series``."""
        return self.item_kind(super().kind_of(corpus))

    def make_features(self, corpus: Corpus) -> Features:
        """Return features of words, of texts that are cut into words, or of rows of numbers, not fitted yet."""
        options = {name: value for name, value in (self.feature_options or {}).items() if value is not None}
        if self.kind_ == "series":
            return make_features("series", **({"channels": corpus.channels} if corpus.channels else {}), **options)
        first = next(iter(corpus), None)
        cut = self.cut or USUAL_CUT if first is not None and isinstance(first.item, Passage) else None
        return make_features("words", **options, cut=cut, **self.open_vectors())

    def target_options(self) -> dict[str, Any]:
        """Return whether tags are decoded exactly, which needs whole items, and whether they are plain classes."""
        plain = self.kind_ == "series"
        return {"exact": self.bidirectional and not plain, "plain": plain}

    def choose_options(self, features: Features, target: Target, train_set: EncodedItems) -> dict[str, Any]:
        """Return all options, those that were left open chosen by the rules of ``rekur.tasks.tag.recipe``."""
        facts = recipe.Facts.of(train_set.lengths, of_words=features.is_discrete)
        return recipe.fill(self.get_params(deep=False), facts)

    def make_network(self, features: Features, target: Target) -> ItemNetwork:
        """Return an untrained encoder with a linear layer at every step.

        Raises:
            InputError: it does not fit into memory; said before any weight is made.
        """
        columns = features.sizes if isinstance(features, WordFeatures) else ()
        spec = TaggerSpec(
            columns=columns,
            input_size=0 if columns else features.size,
            output_size=target.size,
            vector_size=features.vector_size if isinstance(features, WordFeatures) else 0,
            **{name: self.chosen_[name] for name in MODEL_OPTIONS},
        )
        check_model_size(build_tagger, spec, self.chosen_)
        return build_tagger(spec, seed=self.seed)

    def start_network(self, network: Any, target: Target, train_set: EncodedItems) -> None:
        """Give the network the trained vectors."""
        vectors = self.take_vectors()
        if vectors is not None:
            network.encoder.embedding.set_vectors(vectors)

    def finish_network(self, network: Any, target: Target, train_set: EncodedItems, valid_set: EncodedItems) -> str:
        """Make labels of spans more or less likely where that finds more of those of the validation sentences."""
        tags = cast(TagsTarget, target)
        labels = outputs_of_labels(tags)
        shifts = label_shifts(run(network, valid_set), tags, valid_set) if labels else {}
        with torch.no_grad():
            for label, shift in shifts.items():
                for _, head in network.members:
                    head.bias[labels[label]] += shift
        told = ", ".join(f"{label} {shift:+g}" for label, shift in shifts.items())
        return f"Shifts for the highest entity F1 on the validation sentences: {told}." if told else ""

    def make_head(self, target: Target, train_set: EncodedItems) -> Head:
        """Return the cross entropy of the tag of every word."""
        return TagsHead(target.size)

    def make_batches(self, train_set: EncodedItems) -> LengthBuckets:
        """Return batches of sentences with about as many words each; with ``batch_size``, of as many sentences."""
        size, steps = self.chosen_["batch_size"], self.chosen_["batch_steps"]
        if size is not None:
            return LengthBuckets(train_set.lengths, size, seed=self.seed)
        return LengthBuckets(train_set.lengths, 1, seed=self.seed, batch_steps=steps)

    def hold_out(self, corpus: Corpus) -> tuple[Corpus, Corpus, str] | None:
        """Return the beginning of a single series to train on, and its end to validate on."""
        lengths = [len(example.item) for example in islice(corpus, 2)] if self.kind_ == "series" else []
        if len(lengths) != 1 or lengths[0] < 2:
            return None
        held = min(lengths[0] - 1, max(1, round(lengths[0] * self.valid_fraction)))
        told = f"one series: its last {held:,} of {lengths[0]:,} steps validate"
        return corpus.steps(0, lengths[0] - held), corpus.steps(lengths[0] - held), told

    def training_parts(self, train_set: EncodedItems) -> EncodedItems:
        """Return long series in parts of ``chunk_length`` steps where the model reads from both ends."""
        if not (self.bidirectional and self._is_long(train_set)):
            return train_set
        parts = np.array(parts_of(train_set.lengths, self.chosen_["chunk_length"]), np.int64)
        rows, starts, lengths = train_set.rows[parts[:, 0]], parts[:, 1], parts[:, 2]
        return EncodedItems(
            {name: each.parts(rows, starts, lengths) for name, each in train_set.inputs.items()},
            cast(Ragged, train_set.targets).parts(rows, starts, lengths),
            np.arange(len(parts)),
            weights=None if train_set.weights is None else train_set.weights[rows],
        )

    def make_lanes(self, train_set: EncodedItems) -> Lanes | None:
        """Return long series as lanes, along which a model that reads forward carries its state."""
        if self.bidirectional or not self._is_long(train_set):
            return None
        chunk, size = self.chosen_["chunk_length"], current().size
        count = int(train_set.lengths.sum()) // (chunk * recipe.CHUNKS_A_PASS)
        count = self.chosen_["batch_size"] or min(MOST_LANES, count)
        return Lanes(train_set.lengths, count=max(1, count // size) * size, chunk=chunk, seed=self.seed)

    def _is_long(self, train_set: EncodedItems) -> bool:
        longest = int(train_set.lengths.max(initial=0))
        return self.kind_ == "series" and longest > LONG_CHUNKS * self.chosen_["chunk_length"]

    def make_rival(self, examples: Corpus, train_set: EncodedItems, target: Target) -> Rival:
        """Return the most frequent tag of each word in training, or logistic regression on a window of rows."""
        if self.kind_ == "series":
            later = WINDOW if self.bidirectional else self.look_ahead
            return fit_window_rival(train_set, cast(TagsTarget, target), earlier=WINDOW, later=later)
        sentences = ((example.item, example.label) for example in examples)
        weights = train_set.record_weights(np.arange(len(train_set)))
        return FrequentTags.fit(sentences, cast(TagsTarget, target), weights)

    def make_rivals(self, examples: Corpus, train_set: EncodedItems, target: Target) -> list[Rival]:
        """Return that of :meth:`make_rival`, and where tags of words mark spans the dictionary of those of training."""
        tags = cast(TagsTarget, target)
        rivals = super().make_rivals(examples, train_set, target)
        if self.kind_ == "words" and tags.scheme.has_spans:
            sentences = ((example.item, example.label) for example in examples)
            weights = train_set.record_weights(np.arange(len(train_set)))
            rivals.append(SpanDictionary.fit(sentences, tags, weights))
        return rivals

    def make_monitor(self, target: Target, valid_set: EncodedItems) -> Monitor:
        """Return the metric that decides for a tagger; of few steps it says little, and the loss decides."""
        if valid_set.lengths.sum() < FEW_STEPS:
            return super().make_monitor(target, valid_set)
        return Monitor(f"valid_{target.decides}", True, 0.0)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of words with the right tag.

        Args:
            X: sentences.
            y: their tags, as for ``fit``; one that training lacks counts as missed.
            sample_weight: weights of the sentences, (N,).
        """
        corpus = Corpus.labelled(X, y, kind=self.features_.kind, per_step=True)
        weights = weights_of(sample_weight, len(plain_labels(y, "y")))
        corpus = self.parts_of(corpus if weights is None else corpus.weighted(weights))
        records = records_by_sentence(self.records_of(corpus))
        if weights is not None:
            weights = np.array([example.weight for example in corpus])
        right, words = records[:, RIGHT], records[:, TOKENS]
        if weights is None:
            return float(right.sum() / words.sum())
        return float(weights @ right / (weights @ words))

    def _restore_model(self, spec: dict[str, Any]) -> None:
        self.model_ = build_tagger(TaggerSpec.from_dict(spec))
