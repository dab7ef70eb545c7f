"""Laws of sessions: any cut = the whole, out and in again = never interrupted, forks are apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rekur.features.base import Features, FeatureStream
from rekur.runtime import Session

quick = settings(max_examples=20, deadline=None)
HIDDEN = 5


class Words(Features):
    """Words to numbers by their letters; the last word is certain once a space follows."""

    kind = "text"
    is_discrete = True
    size = 11

    def fit(self, items):
        return self

    def transform(self, item):
        return np.array([sum(map(ord, word)) % self.size for word in item.split(" ") if word], np.int32)

    def stream(self):
        return WordStream(self)

    def to_dict(self):
        return {}

    @classmethod
    def from_dict(cls, saved):
        return cls()

    def describe(self):
        return []


class WordStream(FeatureStream):
    def __init__(self, features):
        self.features, self.memory = features, [""]

    def push(self, event):
        *certain, self.memory[0] = (self.memory[0] + event).split(" ")
        return self.features.transform(" ".join(certain))

    def pending(self):
        return self.features.transform(self.memory[0])

    def reset(self):
        self.memory = [""]

    def get_state(self):
        return {"memory": self.memory}

    def set_state(self, state):
        self.memory = state["memory"]


class Average:
    """h_t = 0.9 h_{t-1} + 0.1 E[x_t] in float32, or + 0.1 E x_t for rows; reads the softmax of W h."""

    fingerprint = "f" * 64

    def __init__(self, size, discrete):
        random = np.random.default_rng(0)
        self.table = random.normal(size=(size, HIDDEN)).astype(np.float32)
        self.out = random.normal(size=(HIDDEN, 3)).astype(np.float32)
        self.discrete = discrete

    def initial_state(self):
        return [np.full(HIDDEN, 0.5, np.float32), np.array(0, np.int64)]

    def step(self, steps, state):
        hidden, count = state
        for step in steps:
            taken = self.table[step] if self.discrete else step @ self.table
            hidden = np.float32(0.9) * hidden + np.float32(0.1) * taken
        return [hidden, np.array(count + len(steps))]

    def read(self, state):
        return state[0] @ self.out + np.float32(state[1] % 2)


def make_text():
    return Session(Average(Words.size, True), Words(), lambda scores: scores.tobytes())


def predict(session, item):
    """What the model says of a whole item, without any stream."""
    model, steps = session._model, session._features.transform(item)
    state = model.initial_state()
    if len(steps):
        state = model.step(steps, state)
    return model.read(state).tobytes()


texts = st.text("ab  é", max_size=30)


@quick
@given(st.lists(st.text("ab  é", max_size=6), max_size=8))
def test_pushing_in_any_cut_is_the_whole(pieces):
    session = make_text()
    assert session.prediction() == predict(session, "")
    for end, piece in enumerate(pieces, 1):
        assert session.push(piece) == predict(session, "".join(pieces[:end]))


@quick
@given(st.lists(st.text("ab ", max_size=6), max_size=8))
def test_advancing_without_a_prediction_changes_nothing(pieces):
    silent, loud = make_text(), make_text()
    for piece in pieces:
        silent.advance(piece)
        for _ in range(2):
            loud.push(piece[: len(piece) // 2])
            piece = piece[len(piece) // 2 :]
        loud.push(piece)
    assert silent.get_state() == loud.get_state()


@quick
@given(before=texts, after=st.lists(st.text("ab ", max_size=5), max_size=5))
def test_state_out_and_in_goes_on_to_the_same_bits(before, after):
    session = make_text()
    session.advance(before)
    data = session.get_state()
    model, features, present = session._model, session._features, session._present
    again = Session.restore(data, model, features, present)
    assert again.get_state() == data
    assert again.steps == session.steps
    for piece in after:
        assert again.push(piece) == session.push(piece)
    assert again.get_state() == session.get_state()
    session.set_state(data)
    assert session.get_state() == data


@quick
@given(before=texts, left=texts, right=texts)
def test_forks_do_not_influence_each_other(before, left, right):
    session = make_text()
    session.advance(before)
    fork = session.fork()
    assert fork.get_state() == session.get_state()
    assert session.push(left) == predict(session, before + left)
    assert fork.push(right) == predict(session, before + right)
    fork.reset()
    assert session.prediction() == predict(session, before + left)


@quick
@given(text=texts, at=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_every_changed_byte_of_a_state_is_noticed(text, at, change):
    session = make_text()
    session.advance(text)
    whole = session.get_state()
    data = bytearray(whole)
    data[int(at * len(data))] ^= change
    with pytest.raises(ValueError, match=r"^state: got "):
        session.set_state(bytes(data))
    assert session.get_state() == whole
