"""Texts that go on: one token after the other, many samples side by side, at a constant cost a token.

Axes: B samples side by side, V vocabulary, T tokens of the prompt.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur.decode.sample import Ids, Sampler, Scores
from rekur.errors import InputError, describe


class StepFunction(Protocol):
    """A model that says what comes next, and keeps the state of many texts side by side."""

    def start(self, prompt: Ids) -> tuple[Scores, Any]:
        """Return the scores (1, V) of what follows the token numbers (T,) of a prompt, and the state behind it."""

    def step(self, ids: Ids, state: Any) -> tuple[Scores, Any]:
        """Return the scores (B, V) of what follows one more token of each text, (B,), and the state."""

    def select(self, state: Any, rows: Ids) -> Any:
        """Return the state of some of the texts, each as often as it is asked for."""


class TextDecoder(Protocol):
    """Token numbers on their way to text."""

    def push(self, numbers: Sequence[int], /) -> str: ...

    def finish(self) -> str: ...


class Writer(Protocol):
    """What turns text into token numbers and back; ``rekur.features.TextFeatures`` does."""

    def transform(self, item: Any) -> NDArray[Any]: ...

    def unknown(self, text: str) -> list[str]: ...

    def decoder(self) -> Any: ...


@dataclasses.dataclass(frozen=True)
class Sample:
    """A text that was drawn.

    Attributes:
        number: which of the samples it is, from 0.
        text: what was drawn, without the prompt.
        tokens: number of tokens drawn.
        log_probability: natural logarithm of their probability under the model itself, at temperature 1.
        stopped: ``length`` or ``stop``.
    """

    number: int
    text: str
    tokens: int
    log_probability: float
    stopped: str


class Event(NamedTuple):
    """A piece of a sample as it is drawn.

    Attributes:
        number: which of the samples it belongs to.
        text: the next piece of its text.
        sample: the whole sample with its last piece, else None.
    """

    number: int
    text: str
    sample: Sample | None


def generate(
    model: StepFunction,
    features: Writer,
    *,
    sampler: Sampler,
    prompt: str = "",
    samples: int = 1,
    max_tokens: int = 200,
    stop: Sequence[str] = (),
    unknown: str = "error",
) -> Iterator[Event]:
    """Yield texts as they are drawn, all samples together; one that has ended costs nothing any more.

    Options are checked at once, before anything is yielded.

    Args:
        model: what says what comes next.
        features: what reads the prompt and writes the text.
        sampler: how tokens are drawn.
        prompt: what all samples begin with.
        samples: how many are drawn, 1 or more.
        max_tokens: tokens to draw for each at most, 1 or more.
        stop: texts at which a sample ends; they are left out.
        unknown: what is done with parts of the prompt that were never seen in training: ``error``, or ``keep`` to
            read them as the unknown token.

    Raises:
        InputError: an option is out of range, or the prompt has unknown parts.
    """
    _check.whole("samples", samples, low=1)
    _check.whole("max_tokens", max_tokens, low=1)
    _check.choice("unknown", unknown, ("error", "keep"))
    stops = tuple(stop)
    if isinstance(stop, str) or not all(isinstance(text, str) and text for text in stops):
        raise InputError(describe("stop", stop, "a list of texts that are not empty"))
    strange = features.unknown(prompt)
    if strange and unknown == "error":
        shown = ", ".join(repr(part) for part in strange[:10]) + (" …" if len(strange) > 10 else "")
        fix = "Leave them out, or read them as unknown with unknown='keep' (--unknown keep)."
        raise InputError(f"prompt: got {shown}, never seen in training; expected what the model knows. {fix}")
    ids = np.asarray(features.transform(prompt), dtype=np.int64)
    return _draw(model, features, sampler, ids, samples, max_tokens, stops)


def _draw(
    model: StepFunction,
    features: Writer,
    sampler: Sampler,
    prompt: Ids,
    samples: int,
    max_tokens: int,
    stops: tuple[str, ...],
) -> Iterator[Event]:
    scores, state = model.start(prompt)
    live = np.arange(samples)
    if samples > 1:
        scores, state = np.repeat(scores, samples, axis=0), model.select(state, np.zeros(samples, np.int64))
    writers = [_Writer(number, features.decoder(), prompt, stops) for number in range(samples)]
    used = None
    if sampler.repetition_penalty > 1:
        used = np.zeros(scores.shape, dtype=bool)
        used[:, prompt] = True
    chances = sampler.chances(samples)
    for left in range(max_tokens - 1, -1, -1):
        ids = sampler.draw(scores, chances.next(live), used)
        sure = _log_probability(scores, ids)
        going = np.ones(len(live), dtype=bool)
        for row, number in enumerate(live):
            writer = writers[number]
            text = writer.push(int(ids[row]), float(sure[row]))
            done = writer.stopped or left == 0
            if done:
                going[row] = False
                text += writer.finish()
            if text or done:
                yield Event(int(number), text, writer.sample() if done else None)
        if left == 0 or not going.any():
            return
        if not going.all():
            rows = np.flatnonzero(going)
            live, ids, state = live[rows], ids[rows], model.select(state, rows)
            used = None if used is None else used[rows]
        if used is not None:
            used[np.arange(len(ids)), ids] = True
        scores, state = model.step(ids, state)


class _Writer:
    """One sample on its way: its text, what of it may be the beginning of a stop text, its probability."""

    def __init__(self, number: int, decoder: Any, prompt: Ids, stops: tuple[str, ...]) -> None:
        self._number, self._decoder, self._stops = number, decoder, stops
        decoder.push(prompt.tolist())  # what stands between the prompt and the first word depends on both
        self._text: list[str] = []
        self._held = ""
        self._tokens, self._log_probability = 0, 0.0
        self.stopped = False

    def push(self, token: int, log_probability: float) -> str:
        """Take a token and return the text that is certain."""
        self._tokens += 1
        self._log_probability += log_probability
        return self._pass(self._decoder.push([token]))

    def finish(self) -> str:
        """Return the rest of the text."""
        rest = "" if self.stopped else self._pass(self._decoder.finish())
        if not self.stopped and self._held:
            self._text.append(self._held)
            rest, self._held = rest + self._held, ""
        return rest

    def sample(self) -> Sample:
        """Return the whole sample."""
        why = "stop" if self.stopped else "length"
        return Sample(self._number, "".join(self._text), self._tokens, self._log_probability, why)

    def _pass(self, text: str) -> str:
        """Return what of the text so far is certain to come before any stop text."""
        if self._stops:
            text = self._held + text
            found = [place for place in (text.find(stop) for stop in self._stops) if place >= 0]
            if found:
                self.stopped, self._held = True, ""
                text = text[: min(found)]
            else:
                keep = max(_overlap(text, stop) for stop in self._stops)
                text, self._held = text[: len(text) - keep], text[len(text) - keep :]
        if text:
            self._text.append(text)
        return text


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of a text may be the beginning of a stop text."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0


def _log_probability(scores: Scores, ids: Ids) -> NDArray[np.float64]:
    wide = scores.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    picked = wide[np.arange(len(ids)), ids]
    return np.asarray(picked - np.log(np.exp(wide).sum(axis=1)))
