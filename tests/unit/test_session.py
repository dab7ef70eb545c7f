"""Sessions: what they refuse, and in which words."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pytest
from tests.stepped import Decoded, Stepped

from rekur._tensors import pack
from rekur.errors import InputError, describe
from rekur.features.base import Features, FeatureStream
from rekur.runtime import Session, Update
from rekur.runtime.session_state import read_state

FRESH = "Push the sequence again into a new session."


class Letters(Features):
    """Text to letters, one step each; upper case counts once the next letter is known."""

    kind = "text"
    is_discrete = True
    size = 256

    def fit(self, items):
        return self

    def transform(self, item):
        return np.frombuffer(item.encode("latin-1"), np.uint8).astype(np.int32)

    def stream(self):
        return LetterStream(self)

    def to_dict(self):
        return {}

    @classmethod
    def from_dict(cls, saved):
        return cls()

    def describe(self):
        return []


class LetterStream(FeatureStream):
    def __init__(self, features):
        self.features, self.last = features, ""

    def push(self, event):
        if not isinstance(event, str):
            raise InputError(describe("event", event, "text"))
        text = self.last + event
        self.last = text[-1:]
        return self.features.transform(text[:-1])

    def pending(self):
        return self.features.transform(self.last)

    def reset(self):
        self.last = ""

    def get_state(self) -> dict[str, Any]:
        return {"last": self.last}

    def set_state(self, state):
        self.last = state["last"]


class Count:
    """How often each of the letters came."""

    def __init__(self, fingerprint="a" * 64, size=256):
        self.fingerprint, self.size, self.broken = fingerprint, size, False

    def live(self):
        return Stepped(self)

    def initial_state(self):
        return [np.zeros(self.size, np.int64)]

    def step(self, steps, state):
        if self.broken:
            raise KeyboardInterrupt
        return [state[0] + np.bincount(steps, minlength=self.size)]

    def read(self, state):
        return state[0]


def common(scores):
    return chr(int(scores.argmax())) if scores.any() else ""


@pytest.fixture
def session():
    return Session(Count(), Letters(), Decoded(common))


def refused(session, data):
    with pytest.raises(InputError) as caught:
        session.set_state(data)
    return str(caught.value)


def test_prediction_counts_what_is_pending_and_state_what_is_certain(session):
    assert session.prediction() == ""
    assert session.push("b").tentative == "b"
    assert session.steps == 0
    assert session.push("aa").tentative == "a"
    assert session.steps == 2
    assert session.state[0].sum() == 2
    assert repr(session) == "Session(model=aaaaaaaaaaaa…, steps=2)"


def test_an_event_of_no_kind_leaves_the_session_as_it_was(session):
    session.push("abc")
    before = session.get_state()
    with pytest.raises(InputError) as caught:
        session.push(3.5)
    assert str(caught.value) == "event: got 3.5; expected text."
    assert session.get_state() == before


def test_after_the_end_a_sequence_takes_no_events(session):
    session.push("abb")
    assert session.finish() == Update("b", None)
    assert session.steps == 3
    for call in (lambda: session.push("f"), session.prediction, session.get_state, session.finish):
        with pytest.raises(InputError) as caught:
            call()
        assert str(caught.value) == (
            "session: got a call after finish(); expected reset(), which begins another sequence."
        )
    session.reset()
    assert session.push("a") == Update(None, "a")


def test_an_update_has_the_attributes_of_its_prediction():
    assert Update(None, 3 + 4j).imag == Update(3 + 4j, None).imag == 4
    assert float(Update(None, 2)) == float(Update(2, None)) == 2
    final, tentative = Update(None, "b")
    assert (final, tentative) == (None, "b")
    with pytest.raises(AttributeError):
        _ = Update(None, 3).label


def test_a_state_of_version_1_is_read_with_a_fresh_target(session):
    session.push("abc")
    fields, arrays = read_state(session.get_state())
    del fields["target"]
    text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    rest = len(text).to_bytes(4, "little") + text + pack("state", {"000000": arrays[0]})
    session.reset()
    session.set_state(sealed(1, rest))
    assert session.push("c").tentative == "c"


def test_state_is_a_copy(session):
    session.push("abc")
    session.state[0][:] = 1000
    assert session.state[0].max() == 1


def test_reset_forgets_everything(session):
    fresh = session.get_state()
    session.push("abc")
    session.reset()
    assert session.get_state() == fresh


def test_a_state_of_another_model_is_refused(session):
    other = Session(Count("b" * 64), Letters(), Decoded(common))
    assert refused(session, other.get_state()) == (
        "state: got one of the model bbbbbbbbbbbb…; expected one of the model aaaaaaaaaaaa…. "
        f"A state only goes with the weights and features it came from. {FRESH}"
    )


def test_a_state_of_other_shapes_is_refused(session):
    other = Session(Count(size=300), Letters(), Decoded(common))
    assert refused(session, other.get_state()) == (f"state: got arrays int64[300]; expected arrays int64[256]. {FRESH}")


@pytest.mark.parametrize(
    ("data", "got"),
    [
        ("text", "a str"),
        (None, "a NoneType"),
        ([1, 2], "a list"),
        (b"", "0 bytes"),
        (b"\x80\x04}.", "4 bytes that start with 80 04 7d 2e"),
    ],
)
def test_what_is_no_state_is_refused(session, data, got):
    assert refused(session, data) == f"state: got {got}; expected the bytes that get_state() returned."


def test_a_state_cut_short_or_changed_is_refused_and_changes_nothing(session):
    session.push("abc")
    whole = session.get_state()
    for size in (1, 13, 40, len(whole) - 1):
        assert refused(session, whole[:size]) == (
            f"state: got {size} bytes that start with {whole[: min(size, 8)].hex(' ')}; expected a state with the "
            f"checksum that it was saved with. The bytes were cut short or changed. {FRESH}"
        )
    for at in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[at] ^= 4
        refused(session, bytes(flipped))
    refused(session, whole + b"\0")
    assert session.get_state() == whole


def sealed(version, rest):
    head = version.to_bytes(2, "little")
    return b"rekur-state\n" + head + hashlib.sha256(head + rest).digest() + rest


def test_a_newer_state_is_refused(session):
    data = sealed(3, b"whatever comes then")
    assert refused(session, data) == "state: got version 3; expected version 2 or lower. It needs a newer Rekur."


@pytest.mark.parametrize(
    "rest",
    [
        b"\0\0\0\0",
        b"\4\0\0\0null" + b"\2\0\0\0\0\0\0\0{}",
        b"\xff\xff\xff\xff{}",
        b"\2\0\0\0{}" + b"\x80\x04 a pickle in a state",
        (200_000).to_bytes(4, "little") + b"[" * 200_000,
    ],
)
def test_a_forged_state_is_refused(session, rest):
    data = sealed(1, rest)
    assert refused(session, data) == (
        f"state: got {len(data)} bytes that start with 72 65 6b 75 72 2d 73 74; expected JSON and arrays. {FRESH}"
    )


def test_a_state_without_its_parts_is_refused(session):
    text = json.dumps({"fingerprint": "a" * 64}).encode()
    rest = len(text).to_bytes(4, "little") + text + b"\2\0\0\0\0\0\0\0{}"
    assert refused(session, sealed(1, rest)) == f"state: got arrays none; expected arrays int64[256]. {FRESH}"


def test_a_push_that_was_cut_short_is_not_papered_over(session):
    session.push("abc")
    before = session.get_state()
    session._model.broken = True
    with pytest.raises(KeyboardInterrupt):
        session.push("de")
    session._model.broken = False
    for call in (lambda: session.push("f"), session.prediction, session.get_state):
        with pytest.raises(InputError) as caught:
            call()
        assert str(caught.value) == (
            "session: got 'a push that was cut short'; expected reset(), or set_state() with a state from before it."
        )
    session.set_state(before)
    assert session.push("c").tentative == "c"
