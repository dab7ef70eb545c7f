"""Texts scored and drawn token by token, whatever computes the outputs; no PyTorch.

Axes: N tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rekur._values import scalar
from rekur.data import Tokens, encode_texts, texts_in_memory
from rekur.data.example import warn_of_a_file
from rekur.data.streams import Pieces
from rekur.errors import InputError, describe
from rekur.metrics.language import Scored
from rekur.runtime.rival import RivalMixin, rival_records
from rekur.targets import NextTarget
from rekur.targets.gallery import Gallery

if TYPE_CHECKING:
    from rekur.decode import Event, Sample, Sampler, StepFunction


class GenerationMixin(RivalMixin, ABC):
    """Scores texts and continues them; the class that inherits runs the tokens.

    Attributes:
        features_: turn a text into tokens.
        target_: the next token.
    """

    features_: Any
    target_: Any

    @abstractmethod
    def nats_of_tokens(self, ids: NDArray[Any], starts: NDArray[np.int64], *, reset: bool) -> NDArray[np.float32]:
        """Return the negative log-probability of every token (N,), in nats."""

    @abstractmethod
    def step_function(self) -> StepFunction:
        """Return the function that scores the next token of many texts side by side."""

    def evaluate(self, X: Any) -> dict[str, Any]:
        """Return all metrics on texts, as plain JSON; see :meth:`evaluate_corpus`."""
        return self.evaluate_corpus(texts_in_memory(documents(X), name="X"))

    def evaluate_corpus(
        self, corpus: Pieces, gallery: Gallery | None = None, *, reads: Callable[[Tokens], None] | None = None
    ) -> dict[str, Any]:
        """Return loss, perplexity, bits per character and per byte on texts that are read in pieces, as plain JSON.

        The scores of a rival that is kept stand beside them.

        Args:
            corpus: the texts.
            gallery: is given all of them as one item, for a page.
            reads: is given their tokens.
        """
        tokens = self.encode_corpus(corpus)
        if reads is not None:
            reads(tokens)
        nats = self.nats_of_tokens(tokens.ids, tokens.starts, reset=self.target_.reset)
        if gallery is not None:
            gallery.add(-nats, None, tokens.context)
        return self._report_of(nats, tokens)

    def _report_of(self, nats: NDArray[Any], tokens: Tokens) -> dict[str, Any]:
        """Return the scores of the tokens of texts with these negative log-probabilities (N,), and of the rival."""
        report: dict[str, Any] = self.target_.report(records_of_tokens(self.target_, nats, tokens))
        if (rival := self.rival()) is not None:
            scores = self.target_.score(rival_records(rival, tokens, self.target_))
            report["rival"] = {"name": rival.name, **scores}
        return report

    def records_of(self, corpus: Pieces, *, reads: Callable[[Tokens], None] | None = None) -> NDArray[np.float64]:
        """Return the records of the stretches of texts, (R, 5); see :class:`rekur.targets.NextTarget`.

        With 20 documents or more each is a stretch.

        Args:
            corpus: the texts.
            reads: is given their tokens.
        """
        tokens = encode_texts(corpus, self.features_)
        if reads is not None:
            reads(tokens)
        nats = self.nats_of_tokens(tokens.ids, tokens.starts, reset=self.target_.reset)
        return records_of_tokens(self.target_, nats, tokens)

    def encode_corpus(self, corpus: Pieces) -> Tokens:
        """Return texts as token numbers."""
        return encode_texts(corpus, self.features_)

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
        from rekur.decode import Sampler

        sampler = Sampler(temperature, top_k, top_p, min_p, repetition_penalty, seed)
        events = self.generate_events(prompt, sampler, samples=samples, max_tokens=max_tokens, stop=stop)
        done = [event.sample for event in events if event.sample is not None]
        return sorted(done, key=lambda sample: sample.number)

    def generate_events(self, prompt: str, sampler: Sampler, **options: Any) -> Iterator[Event]:
        """Yield what is drawn as it is drawn; see :func:`rekur.decode.generate`."""
        from rekur.decode import generate

        return generate(self.step_function(), self.features_, prompt=prompt, sampler=sampler, **options)


def records_of_tokens(target: NextTarget, nats: NDArray[Any], tokens: Tokens) -> NDArray[np.float64]:
    """Return the records of the stretches of a text, (R, 5).

    Args:
        target: the next token.
        nats: the negative log-probability of every token, (N,).
        tokens: the text.
    """
    return target.record(-nats, None, tokens.context)


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
