"""Laws of sessions: any cut = the whole, out and in again = never interrupted, forks are apart."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws
from tests.stepped import Decoded, Stepped

from rekur.features import SeriesFeatures, SymbolFeatures, TextFeatures
from rekur.runtime import Session, Update, read_bundle, write_bundle

quick = draws(12)
KINDS = ("word", "char", "byte", "bpe", "symbols", "series")
HIDDEN = 5
RAW = Decoded(lambda scores: scores.tobytes())


class Average:
    """h_t = 0.9 h_{t-1} + 0.1 E[x_t] in float32, or + 0.1 E x_t for rows; reads W h and the parity of t."""

    fingerprint = "f" * 64

    def __init__(self, features):
        random = np.random.default_rng(0)
        self.table = random.normal(size=(features.size, HIDDEN)).astype(np.float32)
        self.out = random.normal(size=(HIDDEN, 3)).astype(np.float32)
        self.discrete = features.is_discrete

    def live(self):
        return Stepped(self)

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


@cache
def fitted(kind):
    if kind == "series":
        return SeriesFeatures(["heat", "load"]).fit([[[1.0, 2.0], [3.0, None]], [[0.5, -1.0]]])
    if kind == "symbols":
        return SymbolFeatures().fit(["ACGT", "GATTACA"])
    return TextFeatures(kind).fit(["the café is open", "the bar is open, ABBA abba", "b a a"])


def pieces(kind, most=6):
    """Lists of events of a kind."""
    if kind == "series":
        value = st.none() | st.floats(-100, 100, width=32)
        return st.lists(st.lists(st.tuples(value, value).map(list), max_size=3), max_size=most)
    letters = "ACGTN" if kind == "symbols" else "abéA, \n1"
    return st.lists(st.text(letters, max_size=6), max_size=most)


def whole(kind, events):
    return [row for rows in events for row in rows] if kind == "series" else "".join(events)


def make(kind):
    return Session(Average(fitted(kind)), fitted(kind), RAW)


def predict(kind, events):
    """What the model says of a whole item, without any stream."""
    features = fitted(kind)
    model, item = Average(features), whole(kind, events)
    state = model.initial_state()
    steps = features.transform(item) if len(item) else ()
    return model.read(model.step(steps, state) if len(steps) else state).tobytes()


def after(kind, events):
    session = make(kind)
    for event in events:
        session.advance(event)
    return session


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(data=st.data())
def test_live_is_batch_after_every_event(kind, data):
    events = data.draw(pieces(kind))
    session = make(kind)
    assert session.prediction() == predict(kind, [])
    for end, event in enumerate(events, 1):
        assert session.push(event) == Update(None, predict(kind, events[:end]))
        assert session.fork().finish() == Update(predict(kind, events[:end]), None)
    assert session.finish().final == predict(kind, events)


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(data=st.data())
def test_any_cut_is_the_whole(kind, data):
    """Asking for predictions on the way, or cutting more finely, leaves the same state to the byte."""
    events = data.draw(pieces(kind))
    fine = make(kind)
    for event in events:
        at = data.draw(st.integers(0, len(event)))
        fine.push(event[:at])
        fine.push(event[at:])
    assert after(kind, events).get_state() == fine.get_state()
    assert after(kind, [whole(kind, events)]).get_state() == fine.get_state()


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(data=st.data())
def test_state_out_and_in_goes_on_to_the_same_bits(kind, data):
    session = after(kind, data.draw(pieces(kind)))
    saved = session.get_state()
    features = fitted(kind)
    again = Session.restore(saved, Average(features), features, RAW)
    assert (again.get_state(), again.steps) == (saved, session.steps)
    for event in data.draw(pieces(kind, 3)):
        assert again.push(event) == session.push(event)
    assert again.get_state() == session.get_state()
    session.set_state(saved)
    assert session.get_state() == saved


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(data=st.data())
def test_forks_do_not_influence_each_other(kind, data):
    before, left, right = (data.draw(pieces(kind, 3)) for _ in range(3))
    session = after(kind, before)
    fork = session.fork()
    assert fork.get_state() == session.get_state()
    for one, other in zip(left, right, strict=False):
        session.push(one)
        fork.push(other)
    both = min(len(left), len(right))
    assert session.prediction() == predict(kind, before + left[:both])
    assert fork.prediction() == predict(kind, before + right[:both])
    fork.reset()
    assert fork.get_state() == make(kind).get_state()
    assert session.prediction() == predict(kind, before + left[:both])


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(data=st.data(), at=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_every_changed_byte_of_a_state_is_noticed(kind, data, at, change):
    session = after(kind, data.draw(pieces(kind)))
    saved = session.get_state()
    changed = bytearray(saved)
    changed[int(at * len(changed))] ^= change
    with pytest.raises(ValueError, match=r"^state: got "):
        session.set_state(bytes(changed))
    assert session.get_state() == saved


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_event_leaves_the_session_as_it_was(kind):
    session = make(kind)
    session.push([[1.0, 2.0]] if kind == "series" else "A")
    before = session.get_state()
    for event in (object(), 1j, [["a", "b"]] if kind == "series" else 3.5):
        with pytest.raises(ValueError, match="expected"):
            session.push(event)
        assert session.get_state() == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_over_a_bundle_is_one_over_what_was_saved(kind, tmp_path):
    features = fitted(kind)
    model = Average(features)
    arrays = {"table": model.table, "out": model.out}
    bundle = write_bundle(tmp_path / "m", {"task": "classify"}, arrays, features, {}, [], "")
    loaded = Average(bundle.features())
    for name, array in read_bundle(tmp_path / "m").weights().items():
        assert array.tobytes() == arrays[name].tobytes()
        setattr(loaded, name, array)
    live, saved = make(kind), Session(loaded, bundle.features(), RAW)
    for event in ([[1.0, 2.0]], [[None, 3.0], [0.1, 0.2]]) if kind == "series" else ("CA", "T G"):
        assert live.push(event) == saved.push(event)
    assert live.get_state() == saved.get_state()
