"""Generation of texts: token by token, a batch of samples, at a constant cost per token.

Axes: S samples, B of them that have not ended, T tokens, V vocabulary.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur._ids import START
from rekur._memory import available_memory
from rekur._numbers import shown_bytes
from rekur.decode.sample import Sampler
from rekur.decode.steps import Ids, PromptReader, Scores, StepFunction
from rekur.decode.stops import Stops, check_stops
from rekur.errors import InputError, describe

#: minimum bytes of a sample for its text, for each token, and for each token of the vocabulary
_WRITER, _TOKEN, _SCORE = 2000, 16, 8


class TextDecoder(Protocol):
    """A streaming decoder of tokens: the texts from all pushes and from ``finish`` join to the whole text."""

    @property
    def push(self) -> Any:
        """Take the next token numbers, and return the text that is certain."""

    @property
    def finish(self) -> Any:
        """Return the text that was held back."""


class Writer(Protocol):
    """A converter of text to tokens and back, such as ``rekur.features.TextFeatures``."""

    @property
    def size(self) -> int:
        """Vocabulary size V."""

    def transform(self, item: Any, /) -> NDArray[Any]:
        """Return the token numbers (T,) of a text."""

    def unknown(self, text: str, /) -> list[str]:
        """Return the unknown parts of a text."""

    def decoder(self) -> TextDecoder:
        """Return a new decoder."""


@dataclasses.dataclass(frozen=True, eq=False)
class Continuation:
    """The point from which a sample continues as if it had never been interrupted.

    Attributes:
        state: the model's state of one text, after all of ``ids`` except the last.
        ids: all tokens so far, of the prompt and drawn, (T,).
        number: of the sample.
        drawn: the number of drawn tokens.
    """

    state: Any
    ids: Ids
    number: int
    drawn: int


@dataclasses.dataclass(frozen=True)
class Sample:
    """A generated text.

    Attributes:
        number: of the sample, from 0.
        text: the text without the prompt.
        tokens: number of drawn tokens, including those of a stop string.
        log_probability: natural logarithm of their probability under the model itself, at temperature 1.
        stopped: ``length`` or ``stop``.
        ids: the drawn tokens, (T,).
        each: the log-probability of each of them, (T,).
        continuation: the argument with which :func:`generate` continues the text.
    """

    number: int
    text: str
    tokens: int
    log_probability: float
    stopped: str
    ids: Ids = dataclasses.field(repr=False, compare=False)
    each: NDArray[np.float64] = dataclasses.field(repr=False, compare=False)
    continuation: Continuation = dataclasses.field(repr=False, compare=False)


class Event(NamedTuple):
    """A piece of a sample as it is drawn.

    Attributes:
        number: of its sample.
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
    prompt: str | Sequence[int] | Ids = "",
    samples: int = 1,
    max_tokens: int = 200,
    sampler: Sampler | None = None,
    stop: Sequence[str] = (),
    keep_stop: bool = False,
    unknown: str = "error",
    continue_from: Continuation | None = None,
    stream: bool = True,
) -> Iterator[Event]:
    """Yield texts while they are drawn, all samples in one batch; ended samples leave the batch.

    The model first reads a start token, padding (0), then the prompt once for all samples. Options are checked at
    once, before anything is yielded. Each sample has its own random numbers (see :class:`Sampler`), so it depends on
    the other samples only through the last digits of the scores, if the model rounds differently in a batch.

    Args:
        model: scores the next token; a model with ``read`` takes the prompt at once.
        features: reads the prompt and writes the text.
        prompt: the start of all samples, a text or token numbers.
        samples: number of samples, 1 or more.
        max_tokens: most tokens of a sample, 1 or more.
        sampler: how tokens are drawn; None for the default ``Sampler()``.
        stop: strings at which a sample ends; they are found in the drawn text, also across tokens.
        keep_stop: whether a text includes the stop string.
        unknown: the treatment of parts of the prompt unseen in training: ``error``, or ``keep`` to read them
            as the unknown token.
        continue_from: a sample's ``continuation``, from which all samples continue, the first of them with that
            sample's own random numbers; a prompt is read first.
        stream: whether to yield pieces of text as they come; if False, each sample is yielded when it has ended, which
            is faster.

    Raises:
        InputError: an option is out of range, or the prompt has unknown parts.
    """
    samples = _check.whole("samples", samples, low=1)
    max_tokens = _check.whole("max_tokens", max_tokens, low=1)
    _check.choice("unknown", unknown, ("error", "keep"))
    _check.flag("keep_stop", keep_stop)
    stops = check_stops(stop)
    ids = _prompt(features, prompt, unknown)
    _check_memory(samples, 1 if stops else max_tokens, features.size)
    writers = [_TextWriter(Stops(stops, keep=keep_stop)) for _ in range(samples)]
    run = _Run(model, features, sampler or Sampler(), ids, writers, continue_from)
    each_token = _check.flag("stream", stream) or bool(stops)
    return run.events(max_tokens, each_token=each_token, stream=stream)


def generate_all(model: StepFunction, features: Writer, **options: Any) -> list[Sample]:
    """Return all samples by their numbers; options are those of :func:`generate`."""
    events = generate(model, features, **{"stream": False, **options})
    return sorted((event.sample for event in events if event.sample is not None), key=lambda sample: sample.number)


class _TextWriter:
    """The text of one sample: decoded and cut at a stop string."""

    def __init__(self, stops: Stops) -> None:
        self.stops = stops
        self._decoder: TextDecoder
        self._pieces: list[str] = []

    def start(self, decoder: TextDecoder, ids: list[int]) -> None:
        """Start after some tokens, since the separator before a word depends on the previous one."""
        self._decoder = decoder
        if ids:
            decoder.push(ids)

    def push(self, ids: list[int]) -> str:
        """Add tokens, and return the text that is certain."""
        text = self.stops.push(self._decoder.push(ids))
        if text:
            self._pieces.append(text)
        return text

    def finish(self) -> str:
        """Return the rest of the text."""
        rest = ""
        if not self.stops.found:
            rest = self.stops.push(self._decoder.finish()) + self.stops.finish()
            self._pieces.append(rest)
        return rest

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self._pieces)


class _Run:
    """One call of :func:`generate`."""

    def __init__(
        self,
        model: StepFunction,
        features: Writer,
        sampler: Sampler,
        prompt: Ids,
        writers: list[_TextWriter],
        begun: Continuation | None,
    ) -> None:
        self._model, self._features, self._sampler, self._writers = model, features, sampler, writers
        self._record = _Record(len(writers))
        history = np.empty(0, np.int64) if begun is None else begun.ids
        self._first, self._drawn = (0, 0) if begun is None else (begun.number, begun.drawn)
        self._state = None if begun is None else begun.state
        last = history[-1:] if len(history) else np.array([START])
        self._unread, self._ids = np.concatenate([last, prompt]), np.concatenate([history, prompt])

    def events(self, max_tokens: int, *, each_token: bool, stream: bool) -> Iterator[Event]:
        """Draw, write and step, token by token; without ``each_token`` texts are written when they end."""
        model, samples = self._model, len(self._writers)
        scores, state = self._read()
        if samples > 1:
            _check_memory(samples, 1, scores.shape[1], _bytes_of(state))
            scores, state = np.repeat(scores, samples, axis=0), model.select(state, np.zeros(samples, np.int64))
        draws = self._sampler.start(samples, first_number=self._first, history=self._ids, position=self._drawn)
        begin = self._ids.tolist()
        for writer in self._writers:
            writer.start(self._features.decoder(), begin)
        live = np.arange(samples)
        for left in range(max_tokens - 1, -1, -1):
            ids, log_probabilities = draws.draw(scores)
            self._record.add(live, ids, log_probabilities)
            ended: list[int] = []
            if each_token or not left:
                fresh = ids[:, None].tolist() if each_token else [self._record.ids(n).tolist() for n in live.tolist()]
                for row, sample in enumerate(live.tolist()):
                    writer = self._writers[sample]
                    text = writer.push(fresh[row])
                    if writer.stops.found or not left:
                        ended.append(row)
                        yield self._end(row, sample, text, state)
                    elif text and stream:
                        yield Event(self._first + sample, text, None)
            if len(ended) == len(live):
                return
            if ended:
                rows = np.delete(np.arange(len(live)), ended)
                live, ids, state = live[rows], ids[rows], model.select(state, rows)
                draws.select(rows)
            scores, state = model.step(ids, state)

    def _read(self) -> tuple[Scores, Any]:
        """Return the scores (1, V) after all unread tokens, and the state."""
        model, state = self._model, self._state
        if state is None:
            state = model.begin(1)
        if isinstance(model, PromptReader):
            return model.read(self._unread, state)
        scores: Scores = np.empty(0)
        for number in self._unread:
            scores, state = model.step(np.array([number]), state)
        return scores, state

    def _end(self, row: int, sample: int, text: str, state: Any) -> Event:
        writer = self._writers[sample]
        text += writer.finish()
        ids, each = self._record.ids(sample), self._record.each(sample)
        number, all_ids = self._first + sample, np.concatenate([self._ids, ids])
        here = Continuation(self._model.select(state, np.array([row])), all_ids, number, self._drawn + len(ids))
        stopped = "stop" if writer.stops.found else "length"
        return Event(number, text, Sample(number, writer.text, len(ids), float(each.sum()), stopped, ids, each, here))


class _Record:
    """The tokens drawn for each sample, and their log-probabilities."""

    def __init__(self, samples: int) -> None:
        self._ids, self._each = np.empty((samples, 64), np.int64), np.empty((samples, 64))
        self._lengths = np.zeros(samples, np.int64)
        self._count = 0

    def add(self, live: Ids, ids: Ids, each: NDArray[np.float64]) -> None:
        """Add one more token of the samples that have not ended."""
        if self._count == self._ids.shape[1]:
            self._ids, self._each = (np.concatenate([array] * 2, axis=1) for array in (self._ids, self._each))
        self._ids[live, self._count], self._each[live, self._count] = ids, each
        self._count += 1
        self._lengths[live] = self._count

    def ids(self, sample: int) -> Ids:
        """Return the tokens of a sample, (T,)."""
        return self._ids[sample, : self._lengths[sample]].copy()

    def each(self, sample: int) -> NDArray[np.float64]:
        """Return the log-probabilities of a sample's tokens, (T,)."""
        return self._each[sample, : self._lengths[sample]].copy()


def _check_memory(samples: int, tokens: int, vocabulary_size: int, state: int = 0) -> None:
    """Raise if samples with this number of tokens and bytes of state do not fit into memory."""
    needed = samples * (_WRITER + _TOKEN * max(64, tokens) + _SCORE * vocabulary_size + state)
    free = available_memory()
    if free is not None and needed > free:
        expected = f"at most {shown_bytes(free)}, what this machine has free"
        got = f"about {shown_bytes(needed)} for samples × tokens = {samples} × {tokens}"
        raise InputError(f"memory: got {got}; expected {expected}. Draw fewer at a time.")


def _bytes_of(state: Any) -> int:
    """Return the bytes of all arrays in a state."""
    if isinstance(state, dict):
        return sum(map(_bytes_of, state.values()))
    if isinstance(state, list | tuple):
        return sum(map(_bytes_of, state))
    return int(getattr(state, "nbytes", 0))


def _prompt(features: Writer, prompt: str | Sequence[int] | Ids, unknown: str) -> Ids:
    """Return the token numbers of a prompt; raise for unknown parts."""
    if not isinstance(prompt, str):
        ids = np.asarray(prompt)
        if ids.ndim != 1 or (len(ids) and ids.dtype.kind not in "iu"):
            raise InputError(describe("prompt", prompt, "a text or a list of token numbers"))
        wrong = ids[(ids < 0) | (ids >= features.size)]
        if len(wrong):
            raise InputError(describe("prompt", wrong[0], f"token numbers in [0, {features.size - 1}]"))
        return ids.astype(np.int64)
    strange = features.unknown(prompt) if unknown == "error" else []
    if strange:
        shown = ", ".join(repr(part) for part in strange[:10]) + (", …" if len(strange) > 10 else "")
        fix = "Leave them out, or read them as unknown with unknown='keep' (--unknown keep)."
        raise InputError(f"prompt: got {shown}, never seen in training; expected what the model knows. {fix}")
    return np.asarray(features.transform(prompt), np.int64)
