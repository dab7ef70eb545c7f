"""Sessions: one live sequence of a model. Raw events in, predictions out, the state as plain bytes.

Axes: T steps, R certain outputs, K numbers of an output.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from rekur._tensors import Array
from rekur.errors import InputError, describe
from rekur.features.base import Features, FeatureStream, Steps
from rekur.runtime.session_state import FRESH, read_state, refusal, shapes, write_state
from rekur.targets.base import LastRow, TargetStream, join_contexts


@dataclasses.dataclass(slots=True)  # of the ways to hold two values, the fastest to make
class Update:
    """The result of an event.

    The attributes of a prediction, such as ``label``, can be read from the update of a model with one prediction an
    item; ``float(update)`` is the number of a regressor, and ``final, tentative = update`` takes it apart.

    Attributes:
        final: the piece of the prediction that will not change; None if there is none.
        tentative: the piece that :meth:`Session.finish` would add if the sequence ended here; None after the end.
    """

    final: Any
    tentative: Any

    @property
    def prediction(self) -> Any:
        """The prediction so far of a model with one prediction an item."""
        return self.final if self.tentative is None else self.tentative

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.prediction, name)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.final, self.tentative))

    def __float__(self) -> float:
        return float(self.prediction)


class LiveSequence(Protocol):
    """One sequence of a model, which takes steps and remembers.

    For every cut of the steps into pieces, the state is that which one call with the whole gives.
    """

    def advance(self, steps: Steps, /) -> Any:
        """Take T >= 0 more steps: int32 (T,) or (T, C) ids or float32 (T, D) rows.

        Returns:
            the outputs that are certain now, (R, K); a model with one output an item may return None.
        """

    def scores(self, pending: Steps, /) -> Array:
        """Return the output (K,) as if the sequence ended after T >= 0 more steps, which are forgotten again; of a
        model with one output an item."""

    def finish(self) -> Array:
        """Return the outputs that were held back, (R, K): the sequence ends here; of a model with one output a step."""

    def rest(self, pending: Steps, /) -> Array:
        """Return the outputs that would follow if the sequence ended after T >= 0 more steps, which are forgotten; of
        a model with one output a step."""

    def get_state(self) -> list[Array]:
        """Return copies of everything that is remembered; always of the same shapes and types."""

    def set_state(self, state: list[Array], /) -> None:
        """Take over what :meth:`get_state` returned; it is copied."""


class Decoder(Protocol):
    """What a session needs of a target; a :class:`rekur.targets.Target` is one."""

    @property
    def per_step(self) -> bool:
        """Whether there is an output at every step."""

    def answer(self, outputs: Array, /) -> Any:
        """Return what a person reads from the output (K,) of an item."""

    def stream(self) -> TargetStream:
        """Return a new stream of outputs."""

    def join(self, pieces: Sequence[Any], /) -> Any:
        """Return the prediction that pieces add up to."""

    def present_piece(self, piece: Any, context: Any, /) -> Any:
        """Return a piece of a prediction, with its context, as a person reads it."""


@runtime_checkable
class Places(Protocol):
    """A target whose predictions are distributions."""

    def place(self, prediction: Any, step: int, value: float, /) -> dict[str, float | None]:
        """Return where a value falls at a step of a prediction, which may be None: ``quantile`` and ``probability``."""


class StepModel(Protocol):
    """What a session runs: a causal model."""

    @property
    def fingerprint(self) -> str:
        """A text that changes whenever the weights or the features do, such as a bundle's fingerprint."""

    def live(self) -> Any:
        """Return a new sequence, a :class:`LiveSequence`."""


class Session:
    """One live sequence: the streams of features, model and target in a row.

    After every event, all final pieces so far and the tentative one add up to what ``predict`` says of the events so
    far. A session belongs to one thread at a time; sessions of one model share nothing that changes.

    Args:
        model: the model.
        features: turn raw events into steps; fitted.
        target: turns outputs into predictions.

    Example:
        >>> session = Session(model, features, target)  # doctest: +SKIP
        >>> session.push("I have seen").tentative  # doctest: +SKIP
        Prediction('good', 0.61, …)
        >>> session.push(" better films.").tentative  # doctest: +SKIP
        Prediction('bad', 0.83, …)
        >>> session.finish().final  # doctest: +SKIP
        Prediction('bad', 0.83, …)
    """

    def __init__(self, model: StepModel, features: Features, target: Decoder) -> None:
        self._model, self._features, self._target = model, features, target
        self._answer = target.answer
        self._live = model.live()
        self._begin = self._live.get_state()
        self._stream: FeatureStream
        self._steps: int
        #: why no event is taken: ``torn`` by an interrupt in the model, or ``ended``
        self._closed: str
        self.reset()
        #: one row of outputs at the end decides, without a context: no copy is needed for the tentative piece
        self._is_short = not target.per_step and type(self._stream).encode is FeatureStream.encode
        #: no step is certain before the end
        self._holds_all = self._stream.taken is not None

    def push(self, event: Any) -> Update:
        """Take one raw event.

        Args:
            event: the next piece of the sequence, as the features take it: text, a row, several rows.

        Returns:
            the piece that this event made final, and the tentative piece.

        Raises:
            InputError: the event is not of the kind that the features take, and the session is as it was before; or
                the sequence has ended.
        """
        if self._closed:
            self._refuse()
        if not self._is_short:
            return Update(self.advance(event), self.prediction())
        stream, live = self._stream, self._live
        steps = stream.push(event)
        if count := len(steps):
            self._closed = "torn"
            live.advance(steps)
            self._steps += count
            self._closed = ""
        return Update(None, self._answer(live.scores(stream.pending())))

    def advance(self, event: Any) -> Any:
        """Take one raw event and return the piece that it made final, None for none, without a tentative one.

        Raises:
            InputError: as for :meth:`push`.
        """
        if self._closed:
            self._refuse()
        if self._holds_all:
            self._stream.push(event)
            return None
        encoded = self._stream.encode(event)
        steps = encoded.read
        if self._is_short and not len(steps):
            return None
        self._closed = "torn"  # an interrupt in the model would leave the features one event ahead of it
        outputs = self._run(steps, encoded.context)
        self._steps += encoded.length
        final = None if self._is_short else self._present([self._decoder.push(outputs, encoded.context)])
        self._closed = ""
        return final

    def finish(self) -> Update:
        """End the sequence: return the rest as final. :meth:`reset` begins another one.

        Raises:
            InputError: the sequence has ended already.
        """
        if self._closed:
            self._refuse()
        self._closed = "torn"
        if self._is_short:
            steps = self._stream.pending()
            self._live.advance(steps)
            self._steps += len(steps)
            final = self._answer(self._live.scores(steps[:0]))
        else:
            encoded = self._stream.finish()
            outputs = np.concatenate([self._run(encoded.read, encoded.context), self._live.finish()])
            self._steps += encoded.length
            final = self._present([self._decoder.push(outputs, encoded.context), self._decoder.finish()])
        self._closed = "ended"
        return Update(final, None)

    def prediction(self) -> Any:
        """Return what :meth:`finish` would add; of a model with one prediction an item, the prediction so far."""
        if self._closed:
            self._refuse()
        if self._is_short:
            return self._answer(self._live.scores(self._stream.pending()))
        encoded = self._stream.finish()
        steps = encoded.read
        if self._features.begins(encoded.context):
            state = self._live.get_state()
            try:
                outputs = np.concatenate([self._run(steps, encoded.context), self._live.finish()])
            finally:
                self._live.set_state(state)
        else:
            outputs = self._live.rest(steps)
        if type(self._decoder) is LastRow:
            piece, context = self._decoder.rest(outputs, encoded.context)
            return None if piece is None else self._target.present_piece(piece, context)
        decoder = self._target.stream()
        decoder.set_state(self._decoder.get_state())
        return self._present([decoder.push(outputs, encoded.context), decoder.finish()])

    def begin(self, items: Iterable[Any]) -> None:
        """Take items, such as the series that a bundle keeps, as if they had been pushed.

        Raises:
            InputError: a session of this model begins with nothing.
        """
        self._stream.begin(items)

    def place(self, event: Any) -> dict[str, float | None]:
        """Return where an observation falls in the distribution that was forecast before it; it is not pushed.

        Args:
            event: as for :meth:`push`, with one value.

        Returns:
            ``quantile``, the share of the distribution below the value, and ``probability``, that of values which lie
            at least as far outside; None where the value is missing, or nothing was forecast for it.

        Raises:
            InputError: the model forecasts no distribution, or the event has several values.
        """
        if self._closed:
            self._refuse()
        if not isinstance(self._target, Places):
            raise InputError("place: got a model without distributions; expected one that forecasts them.")
        encoded, step, value = self._stream.ahead_of(event)
        decoder = self._target.stream()
        prediction, _ = decoder.push(self._live.rest(encoded.read), encoded.context)
        return self._target.place(prediction, step, value)

    def reset(self) -> None:
        """Forget everything: the session is as it was when made."""
        self._live.set_state(self._begin)
        self._stream, self._decoder = self._features.stream(), self._target.stream()
        self._steps = 0
        self._closed = ""

    def fork(self) -> Self:
        """Return a second session that goes on from here; neither is influenced by the other."""
        other = copy.copy(self)
        other._live = self._model.live()
        other._live.set_state(self._live.get_state())
        other._stream, other._decoder = self._features.stream(), self._target.stream()
        other._stream.set_state(copy.deepcopy(self._stream.get_state()))
        other._decoder.set_state(copy.deepcopy(self._decoder.get_state()))
        return other

    @property
    def steps(self) -> int:
        """How many steps are certain; where the features hold all of them back, how many were taken."""
        return self._steps if self._stream.taken is None else self._stream.taken

    @property
    def waits_for(self) -> str:
        """What is needed before anything can be said, as a phrase; empty where nothing lacks."""
        return self._stream.waits_for

    @property
    def state(self) -> list[Array]:
        """A copy of the model's state after the steps that are certain."""
        return list(self._live.get_state())

    def get_state(self) -> bytes:
        """Return everything that the session remembers, as bytes to be kept anywhere.

        The bytes hold JSON and safetensors, a version and a checksum, and go with the weights and features
        that they came from. The same session always gives the same bytes.

        Raises:
            InputError: the sequence has ended.
        """
        if self._closed:
            self._refuse()
        fields = {"fingerprint": self._model.fingerprint, "steps": self._steps, "stream": self._stream.get_state()}
        return write_state({**fields, "target": self._decoder.get_state()}, self._live.get_state())

    def set_state(self, data: bytes) -> None:
        """Put back what :meth:`get_state` returned, here or in another process; the rest follows bit for bit.

        Args:
            data: bytes of :meth:`get_state`, from a session of the same model.

        Raises:
            InputError: the bytes are not a state, cut short, changed, from a newer Rekur or from another
                model; the session is as it was before.
        """
        fields, state = read_state(data)
        if fields.get("fingerprint") != self._model.fingerprint:
            ours, theirs = self._model.fingerprint[:12], str(fields.get("fingerprint"))[:12]
            fix = f"A state only goes with the weights and features it came from. {FRESH}"
            raise refusal(f"one of the model {theirs}…", f"one of the model {ours}…", fix)
        live = self._model.live()
        want, have = shapes(live.get_state()), shapes(state)
        steps, remembered, decoded = fields.get("steps"), fields.get("stream"), fields.get("target", {})
        if want != have or not isinstance(steps, int) or not isinstance(remembered, dict):
            raise refusal(f"arrays {have}", f"arrays {want}", FRESH)
        stream, decoder = self._features.stream(), self._target.stream()
        stream.set_state(remembered)
        if "target" in fields:  # states of version 1 have none
            try:
                decoder.set_state(decoded)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise refusal("a state of another target", "that of this target", FRESH) from error
        live.set_state(state)
        self._live, self._stream, self._decoder, self._steps = live, stream, decoder, steps
        self._closed = ""

    @classmethod
    def restore(cls, data: bytes, model: StepModel, features: Features, target: Decoder) -> Self:
        """Return a new session that goes on where the one that gave ``data`` stood.

        Raises:
            InputError: as for :meth:`set_state`.
        """
        session = cls(model, features, target)
        session.set_state(data)
        return session

    def _run(self, steps: Steps, context: Any) -> Any:
        """Return the outputs that steps made certain; the model begins anew where a sequence of a text begins."""
        begins = self._features.begins(context)
        if not begins:
            return self._live.advance(steps)
        outputs = [self._live.advance(steps[: begins[0]])]
        for start, end in pairwise([*begins, len(steps)]):
            outputs.append(self._live.finish())
            self._live.set_state(self._begin)
            outputs.append(self._live.advance(steps[start:end]))
        return np.concatenate(outputs)

    def _present(self, pieces: list[tuple[Any, Any]]) -> Any:
        """Return pieces of a prediction, each with its context, as a person reads them; None without any."""
        pieces = [each for each in pieces if each[0] is not None]
        if not pieces:
            return None
        context = reduce(join_contexts, [context for _, context in pieces])
        return self._target.present_piece(self._target.join([piece for piece, _ in pieces]), context)

    def _refuse(self) -> None:
        if self._closed == "torn":
            expected = "reset(), or set_state() with a state from before it"
            raise InputError(describe("session", "a push that was cut short", expected))
        raise InputError("session: got a call after finish(); expected reset(), which begins another sequence.")

    def __repr__(self) -> str:
        return f"Session(model={self._model.fingerprint[:12]}…, steps={self.steps})"
