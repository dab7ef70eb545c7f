"""The stages of a training on texts: streams in chunks that carry their state.

Axes: N tokens.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from rekur.data import StreamBatches, Tokens, encode_texts
from rekur.data.overlap import shared_texts
from rekur.data.sketch import Sketch
from rekur.data.streams import Pieces
from rekur.data.vectors import WordVectors, open_vectors
from rekur.features import TextFeatures
from rekur.features.vocabulary import vectors_note
from rekur.models import LanguageNetwork
from rekur.runtime.generation import records_of_tokens
from rekur.runtime.ngram import NGram
from rekur.runtime.rival import Rival, rival_records
from rekur.runtime.rivals import NGramRival
from rekur.targets import NextTarget
from rekur.tasks.base.guess import Guess
from rekur.tasks.base.prepared import PreparedText
from rekur.tasks.base.prior import Prior
from rekur.tasks.base.stages import Stages, Trained
from rekur.tasks.language import language_recipe as recipe
from rekur.tasks.language.held_out import hold_out, is_shorter
from rekur.tasks.language.language_plan import LanguagePlan, new_network, parts_of, run, start_embedding
from rekur.train import Reporter
from rekur.train.world import current


class TextTask(Protocol):
    """A task of texts as its stages see it."""

    seed: int
    split_seed: int | None
    valid_fraction: float | None
    tokens: str
    reset: bool | None
    jitter: float
    vectors: str | None
    chosen_: dict[str, Any]

    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def make_features(self, corpus: Any) -> TextFeatures: ...


class TextStages(Stages):
    """Contiguous streams of tokens, the loss of the next one, and records of stretches of the text.

    Args:
        task: the language model.
    """

    def __init__(self, task: TextTask) -> None:
        self._task = task
        self._vectors: WordVectors | None = None

    def prepare(self, corpus: Pieces, valid: Pieces | None, prior: Prior | None) -> PreparedText:
        task = self._task
        features, train_set, valid_set = self._encode(corpus, valid, prior)
        notes = [self._open_vectors(features)]
        if valid is not None and valid_set is not None:
            notes.append(shared_texts(train_set, valid_set, recipe.NO_CHANCE[task.tokens]))
        if valid_set is None:
            notes.append(recipe.by_heart_note(len(train_set)))
        reset = len(train_set.starts) > 1 if task.reset is None else task.reset
        target = NextTarget(features.size, reset=reset)
        return PreparedText(
            features=features,
            target=target,
            notes=[note for note in notes if note is not None],
            reads={"features": features.to_dict(), "targets": {"kind": target.kind, **target.to_dict()}},
            train=train_set,
            valid=train_set if valid_set is None else valid_set,
            by_heart=valid_set is None,
        )

    def _encode(
        self, corpus: Pieces, valid: Pieces | None, prior: Prior | None
    ) -> tuple[TextFeatures, Tokens, Tokens | None]:
        """Return the features, and the training and the validation text as token numbers.

        The vocabulary is that of the training text. Of a text that is too short, nothing is held out, and None is
        returned for validation.
        """
        task = self._task
        if valid is None:
            if task.valid_fraction is None and is_shorter(corpus, recipe.SHORT_CHARACTERS):
                features, tokens = self._encode_training(corpus, prior)
                if len(tokens) < recipe.SHORT:
                    return features, tokens, None
            seed = task.seed if task.split_seed is None else task.split_seed
            corpus, valid = hold_out(corpus, task.valid_fraction or recipe.VALID_FRACTION, seed)
        features, tokens = self._encode_training(corpus, prior)
        return features, tokens, encode_texts(valid, features)

    def _encode_training(self, corpus: Pieces, prior: Prior | None) -> tuple[TextFeatures, Tokens]:
        """Learn the vocabulary of the training text, and return the text as token numbers."""
        features = self._task.make_features(corpus)
        if prior is not None and isinstance(earlier := prior.features_like(features), TextFeatures):
            features = earlier
        else:
            features.fit(piece for _, piece in corpus.pieces())
        recipe.check_vocabulary(features)
        return features, encode_texts(corpus, features)

    def _open_vectors(self, features: TextFeatures) -> str | None:
        """Open the trained vectors of the words of features, and return how many have one; None without vectors."""
        if self._task.vectors is None:
            return None
        words = features.vocabulary_
        self._vectors = open_vectors(self._task.vectors, None, words={*words, *map(str.lower, words)})
        return vectors_note(int((self._vectors.rows(words) >= 0).sum()), len(words))

    def sketch(self, prepared: PreparedText) -> Sketch:
        return Sketch.of_texts([prepared.train, prepared.valid], recipe.NO_CHANCE[self._task.tokens])

    def choose_options(self, prepared: PreparedText) -> dict[str, Any]:
        text, options = prepared.train, self._task.get_params(deep=False)
        documents = len(text.starts) if prepared.target.reset else 1
        size = 0 if self._vectors is None else self._vectors.size
        facts = recipe.Facts.of(self._task.tokens, len(text.ids), prepared.features.size, options, documents, size)
        return recipe.fill(options, facts)

    def make_network(self, prepared: PreparedText, prior: Prior | None) -> LanguageNetwork:
        target = prepared.target
        earlier = prior.model if prior is not None and prior.resumed else None
        network = new_network(self._task.chosen_, prepared.train, target.size, target.reset, earlier)
        if self._vectors is not None:
            start_embedding(network.embedding.weight, self._vectors, prepared.features.vocabulary_)
        return network

    def make_plan(self, network: LanguageNetwork, prepared: PreparedText) -> tuple[LanguagePlan, str]:
        world, text, target = current(), prepared.train, prepared.target
        streams = StreamBatches(
            text.ids,
            text.starts,
            batch_size=self._task.chosen_["batch_size"],
            chunk_length=self._task.chosen_["chunk_length"],
            jitter=self._task.jitter,
            seed=self._task.seed,
            rank=world.rank,
            size=world.size,
            reset=target.reset,
        )
        plan = LanguagePlan(network, streams, prepared.valid, reset=target.reset, by_heart=prepared.by_heart)
        validated = "" if prepared.by_heart else f", {len(prepared.valid.ids):,} to validate on"
        return plan, f"{len(text.ids):,} tokens to train on{validated}; vocabulary of {target.size:,}"

    def report(
        self, trained: Trained, prepared: PreparedText, plan: LanguagePlan, reporter: Reporter
    ) -> dict[str, Any]:
        train_set, valid_set, by_heart, target = prepared.train, prepared.valid, prepared.by_heart, prepared.target
        rows = parts_of(trained.network, len(valid_set.ids))
        each = run(trained.network, valid_set.ids, valid_set.starts, reset=target.reset, rows=rows)
        self.records = records_of_tokens(target, each, valid_set)
        scores = target.report(self.records)
        counts = np.bincount(train_set.ids, minlength=target.size) + 1.0
        nats = np.log(counts.sum() / counts)
        Guess(
            name="each token by how often it occurs in the training text",
            measure="loss",
            split="training text" if by_heart else "validation text",
            model=each.astype(np.float64),
            guess=nats[valid_set.ids],
            training=float(nats[train_set.ids].mean()),
        ).check(trained.result, trained.options, reporter)
        if by_heart:  # its scores say nothing of other texts
            return {"split": "training", **scores, "loss_interval": None, "perplexity_interval": None}
        return {"split": "validation", **scores}

    def score_rival(self, prepared: PreparedText) -> tuple[Rival | None, dict[str, Any]]:
        # a text that was learnt by heart has no rival: its scores say nothing of other texts
        if prepared.by_heart:
            return None, {}
        order, target, valid_set = recipe.BASELINE_ORDER[self._task.tokens], prepared.target, prepared.valid
        rival = NGramRival(NGram(order, target.size).fit(prepared.train.ids))
        return rival, {"name": rival.name, **target.report(rival_records(rival, valid_set, target))}
