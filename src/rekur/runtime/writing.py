"""What every language model can do with texts, whatever computes the scores; no PyTorch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._values import scalar
from rekur.data import Tokens, encode_texts, texts_in_memory
from rekur.data.example import warn_of_a_file
from rekur.data.streams import Pieces
from rekur.decode import Event, Sample, Sampler, StepFunction, generate
from rekur.errors import InputError, describe
from rekur.features import TextFeatures
from rekur.metrics import Scored, language_scores


class Writing(ABC):
    """Texts in, their probability out, and texts that go on; whoever inherits runs the tokens.

    Attributes:
        features_: what turns text into tokens.
    """

    features_: TextFeatures

    @abstractmethod
    def nats_of_tokens(self, ids: NDArray[Any], starts: NDArray[np.int64], *, reset: bool) -> NDArray[np.float32]:
        """Return the negative log-probability of every token (N,), in nats."""

    @abstractmethod
    def _step_function(self) -> StepFunction:
        """Return what scores the next token of many texts side by side."""

    @abstractmethod
    def _resets(self) -> bool:
        """Return whether the state begins anew with each document."""

    def evaluate(self, X: Any) -> dict[str, Any]:
        """Return all metrics on texts, as plain JSON; see :meth:`evaluate_corpus`."""
        return self.evaluate_corpus(texts_in_memory(documents(X), name="X"))

    def evaluate_corpus(self, corpus: Pieces) -> dict[str, Any]:
        """Return loss, perplexity, bits per character and per byte on texts that are read in pieces, as plain JSON."""
        return self._scores_of(encode_texts(corpus, self.features_))

    def _scores_of(self, tokens: Tokens) -> dict[str, Any]:
        return language_scores(self.nats_of_tokens(tokens.ids, tokens.starts, reset=self._resets()), tokens)

    def log_probabilities(self, X: Any) -> list[Scored]:
        """Return how probable each text is, with the probability of every token given those before it.

        Args:
            X: a text, or a list of texts; each stands for itself.
        """
        scored = []
        if isinstance(X, str):
            warn_of_a_file([X], "rekur.data.open_texts gives the texts of a file.")
        for text in documents(X):
            ids = self.features_.transform(text)
            each = -self.nats_of_tokens(ids, np.zeros(min(1, len(ids)), np.int64), reset=True)
            pieces = tuple(self.features_.decode([number]) for number in ids)
            scored.append(Scored(text, float(each.sum()), len(ids), len(text), each, pieces))
        return scored

    def generate(
        self,
        prompt: str = "",
        *,
        samples: int = 1,
        max_tokens: int = 200,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        stop: Sequence[str] = (),
        seed: int | None = None,
    ) -> list[Sample]:
        """Return texts that the model goes on with after a prompt.

        Args:
            prompt: what they begin with; all its characters must be known.
            samples: how many; all are drawn in one batch.
            max_tokens: tokens to draw at most, after the prompt.
            temperature: below 1 the likely becomes likelier, above 1 less so; 0 always takes the likeliest.
            top_k: draw from the k likeliest tokens only; 0 for all.
            top_p: draw from the fewest tokens that have this much probability together, in (0, 1].
            min_p: draw from tokens at least this share as probable as the likeliest, in [0, 1).
            repetition_penalty: by how much tokens that were used become less likely; 1 for not at all.
            stop: texts at which a sample ends; they are left out.
            seed: of the draws; None for another each time.

        Raises:
            InputError: an option is out of range, or the prompt has characters that are not known.
        """
        sampler = Sampler(temperature, top_k, top_p, min_p, repetition_penalty, seed)
        events = self.generate_events(prompt, sampler, samples=samples, max_tokens=max_tokens, stop=stop)
        done = [event.sample for event in events if event.sample is not None]
        return sorted(done, key=lambda sample: sample.number)

    def generate_events(self, prompt: str, sampler: Sampler, **options: Any) -> Iterator[Event]:
        """Yield what is drawn as it is drawn; see :func:`rekur.decode.generate`."""
        return generate(self._step_function(), self.features_, prompt=prompt, sampler=sampler, **options)


def documents(X: Any) -> list[str]:
    """Return texts as a list of one or more: of an array or a column the Python values that it holds.

    Raises:
        InputError: it is no text and no list, or the name of a file.
    """
    X = scalar(X)
    if isinstance(X, Path):
        fix = "Read it: rekur.data.open_texts gives what fit_corpus and evaluate_corpus take."
        raise InputError(describe("X", str(X), "a text, not the name of a file", fix))
    if isinstance(X, str):
        return [X]
    if isinstance(X, bytes | bytearray | Mapping | Set) or hasattr(X, "columns") or not isinstance(X, Iterable):
        fix = "Give one of its columns." if hasattr(X, "columns") else ""
        raise InputError(describe("X", type(X).__name__, "a text, or a list of texts", fix))
    return [scalar(text) for text in X]
