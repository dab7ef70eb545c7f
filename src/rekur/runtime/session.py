"""Sessions: one live sequence of a model. Raw events in, predictions out, the state as plain bytes."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, Self, TypeVar

from rekur._tensors import Array, pack, unpack
from rekur.errors import InputError, describe
from rekur.features.base import Features, FeatureStream, Steps

#: what the session's model predicts
P = TypeVar("P")

_MAGIC = b"rekur-state\n"
_VERSION = 1
#: magic, version (2 bytes), sha256 of all the rest with the version, length of the JSON part (4 bytes)
_HEAD = len(_MAGIC) + 2 + 32 + 4
_FRESH = "Push the sequence again into a new session."


class LiveSequence(Protocol):
    """One sequence of a model, which takes steps and remembers.

    For every cut of the steps into pieces, the state is that which one call with the whole gives.
    """

    def advance(self, steps: Steps, /) -> None:
        """Take T >= 0 more steps: int32 (T,) token numbers or float32 (T, D) rows."""

    def scores(self, pending: Steps, /) -> Array:
        """Return the scores as if the sequence ended after T >= 0 more steps, which are forgotten again."""

    def get_state(self) -> list[Array]:
        """Return copies of everything that is remembered; always of the same shapes and types."""

    def set_state(self, state: list[Array], /) -> None:
        """Take over what :meth:`get_state` returned; it is copied."""


class StepModel(Protocol):
    """What a session runs: a causal model."""

    @property
    def fingerprint(self) -> str:
        """A text that changes whenever the weights or the features do, such as a bundle's fingerprint."""

    def live(self) -> LiveSequence:
        """Return a new sequence."""


class Session(Generic[P]):
    """One live sequence of a model.

    After any events, the prediction is what the model predicts for the whole they add up to:

        certain, pending = features.stream() after the events
        live             = model.live(), which has taken the certain steps
        prediction       = present(live.scores(pending))

    A session belongs to one thread at a time; sessions of one model share nothing that changes.

    Args:
        model: what is run.
        features: how raw events become steps; fitted.
        present: scores -> what the caller gets, such as a label with its probability.

    Example:
        >>> session = Session(model, features, present)  # doctest: +SKIP
        >>> session.push("I have seen")  # doctest: +SKIP
        Label('good', 0.61)
        >>> session.push(" better films.")  # doctest: +SKIP
        Label('bad', 0.83)
    """

    def __init__(self, model: StepModel, features: Features, present: Callable[[Array], P]) -> None:
        self._model, self._features, self._present = model, features, present
        self._stream: FeatureStream
        self._live = model.live()
        self._begin = self._live.get_state()
        self._steps: int
        self._torn: bool
        self.reset()

    def push(self, event: Any) -> P:
        """Take one raw event and return the prediction for everything so far.

        Args:
            event: the next piece of the sequence, as the features take it: text, a row, several rows.

        Raises:
            InputError: the event is not of the kind that the features take; the session is as it was before.
        """
        if self._torn:
            self._refuse_if_torn()
        stream, live = self._stream, self._live
        steps = stream.push(event)
        if count := len(steps):
            self._torn = True
            live.advance(steps)
            self._steps += count
            self._torn = False
        return self._present(live.scores(stream.pending()))

    def advance(self, event: Any) -> None:
        """Take one raw event without making a prediction.

        Raises:
            InputError: as for :meth:`push`.
        """
        self._refuse_if_torn()
        steps = self._stream.push(event)
        if len(steps):
            self._torn = True  # an interrupt in the model would leave the features one event ahead of it
            self._live.advance(steps)
            self._steps += len(steps)
            self._torn = False

    def prediction(self) -> P:
        """Return the prediction for everything so far; before any event, that of the initial state."""
        self._refuse_if_torn()
        return self._present(self._live.scores(self._stream.pending()))

    def reset(self) -> None:
        """Forget everything: the session is as it was when made."""
        self._live.set_state(self._begin)
        self._stream = self._features.stream()
        self._steps = 0
        self._torn = False

    def fork(self) -> Session[P]:
        """Return a second session that goes on from here; neither is influenced by the other."""
        other = copy.copy(self)
        other._live = self._model.live()
        other._live.set_state(self._live.get_state())
        other._stream = self._features.stream()
        other._stream.set_state(copy.deepcopy(self._stream.get_state()))
        return other

    @property
    def steps(self) -> int:
        """How many steps are certain and behind us."""
        return self._steps

    @property
    def state(self) -> list[Array]:
        """A copy of the model's state after the steps that are certain."""
        return self._live.get_state()

    def get_state(self) -> bytes:
        """Return everything that the session remembers, as bytes to be kept anywhere.

        The bytes hold JSON and safetensors, a version and a checksum, and go with the weights and features
        that they came from. The same session always gives the same bytes.
        """
        self._refuse_if_torn()
        stream = self._stream.get_state()
        session = {"fingerprint": self._model.fingerprint, "steps": self._steps, "stream": stream}
        text = json.dumps(session, sort_keys=True, separators=(",", ":")).encode()
        arrays = pack("state", {f"{index:06d}": array for index, array in enumerate(self._live.get_state())})
        rest = len(text).to_bytes(4, "little") + text + arrays
        version = _VERSION.to_bytes(2, "little")
        return _MAGIC + version + hashlib.sha256(version + rest).digest() + rest

    def set_state(self, data: bytes) -> None:
        """Put back what :meth:`get_state` returned, here or in another process; the rest follows bit for bit.

        Args:
            data: bytes of :meth:`get_state`, from a session of the same model.

        Raises:
            InputError: the bytes are not a state, cut short, changed, from a newer Rekur or from another
                model; the session is as it was before.
        """
        session, arrays = _open(data)
        if session.get("fingerprint") != self._model.fingerprint:
            ours, theirs = self._model.fingerprint[:12], str(session.get("fingerprint"))[:12]
            fix = f"A state only goes with the weights and features it came from. {_FRESH}"
            raise _refusal(f"one of the model {theirs}…", f"one of the model {ours}…", fix)
        state = [arrays[name] for name in sorted(arrays)]
        live = self._model.live()
        want, have = _shapes(live.get_state()), _shapes(state)
        steps, remembered = session.get("steps"), session.get("stream")
        if want != have or not isinstance(steps, int) or not isinstance(remembered, dict):
            raise _refusal(f"arrays {have}", f"arrays {want}", _FRESH)
        stream = self._features.stream()
        stream.set_state(remembered)
        live.set_state(state)
        self._live, self._stream, self._steps, self._torn = live, stream, steps, False

    @classmethod
    def restore(cls, data: bytes, model: StepModel, features: Features, present: Callable[[Array], P]) -> Self:
        """Return a new session that goes on where the one that gave ``data`` stood.

        Raises:
            InputError: as for :meth:`set_state`.
        """
        session = cls(model, features, present)
        session.set_state(data)
        return session

    def _refuse_if_torn(self) -> None:
        if self._torn:
            expected = "reset(), or set_state() with a state from before it"
            raise InputError(describe("session", "a push that was cut short", expected))

    def __repr__(self) -> str:
        return f"Session(model={self._model.fingerprint[:12]}…, steps={self._steps})"


def _open(data: Any) -> tuple[Mapping[str, Any], dict[str, Array]]:
    """Return the JSON part and the arrays of a state, or say why it is none."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise _refusal(f"a {type(data).__name__}", "the bytes that get_state() returned")
    data = bytes(data)
    if data[: len(_MAGIC)] != _MAGIC[: len(data)] or not data:
        raise _refusal(_said(data), "the bytes that get_state() returned")
    at = len(_MAGIC)
    version, checksum, rest = data[at : at + 2], data[at + 2 : at + 34], data[at + 34 :]
    if len(data) < _HEAD or hashlib.sha256(version + rest).digest() != checksum:
        expected = "a state with the checksum that it was saved with"
        raise _refusal(_said(data), expected, f"The bytes were cut short or changed. {_FRESH}")
    if int.from_bytes(version, "little") > _VERSION:
        got = f"version {int.from_bytes(version, 'little')}"
        raise _refusal(got, f"version {_VERSION} or lower", "It needs a newer Rekur.")
    length = int.from_bytes(rest[:4], "little")
    try:
        session = json.loads(rest[4 : 4 + length])
        arrays = unpack(rest[4 + length :])
    except (ValueError, RecursionError) as error:
        raise _refusal(_said(data), "JSON and arrays", _FRESH) from error
    if not isinstance(session, dict):
        raise _refusal(_said(data), "JSON and arrays", _FRESH)
    return session, arrays


def _refusal(got: str, expected: str, fix: str = "") -> InputError:
    text = f"state: got {got}; expected {expected}."
    return InputError(f"{text} {fix}" if fix else text)


def _shapes(state: list[Array]) -> str:
    return ", ".join(f"{array.dtype}{list(array.shape)}" for array in state) or "none"


def _said(data: bytes) -> str:
    return f"{len(data)} bytes that start with {data[:8].hex(' ')}" if data else "0 bytes"
