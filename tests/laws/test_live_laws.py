"""Live = whole for every kind of target: after each event, finals so far + tentative = what predict says so far.

The definition stands beside it: the tentative piece is what a copy of the session that ends here would add, and the
pieces of a target of steps are as many as its steps.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.programs import CLASSES, tagger
from tests.profiles import draws

from rekur._schemes import SCHEMES
from rekur.features import TextFeatures, WordFeatures
from rekur.program import Input, Op, Program, State, Weight
from rekur.runtime import Model
from rekur.runtime.session import Update
from rekur.runtime.session_state import read_state
from rekur.targets import KINDS, LabelTarget, NextTarget, NumberTarget, TagsTarget

WORDS = ["Ada", "saw", "the", "old", "engine", "at", "Turin"]
TEXT = TextFeatures("word").fit([" ".join(WORDS)])
HIDDEN = 5


def pooled(outputs: int, task: str, pool: str) -> tuple[Program, dict[str, Any]]:
    """Return a program that reads tokens and gives one row of outputs."""
    draw = np.random.default_rng(0)
    weights = {
        "table": draw.normal(size=(TEXT.size, HIDDEN)).astype(np.float32),
        "w": draw.normal(size=(outputs, HIDDEN)).astype(np.float32),
    }
    for role in ("ih", "hh"):
        weights[f"weight_{role}"] = draw.normal(size=(3 * HIDDEN, HIDDEN)).astype(np.float32)
        weights[f"bias_{role}"] = draw.normal(size=3 * HIDDEN).astype(np.float32)
    roles = {f"{kind}_{role}": f"{kind}_{role}" for kind in ("weight", "bias") for role in ("ih", "hh")}
    states = {"last": {"last": "pool"}, "mean": {"mean": "pool", "count": "count"}}[pool]
    body = (
        Op("embed", ("input",), "embedded", HIDDEN, {"table": "table"}),
        Op("recur", ("embedded",), "y", HIDDEN, roles, {"h": "h"}, {"cell": "gru", "hidden": HIDDEN}),
    )
    ops = (
        *body,
        Op(pool, ("y",), "pooled", HIDDEN, state=states),
        Op("affine", ("pooled",), "o", outputs, {"weight": "w"}),
    )
    state = [State("h", (HIDDEN,)), State("pool", (HIDDEN,))]
    state += [State("count", (1,), "int64")] if pool == "mean" else []
    shapes = {name: Weight(array.shape) for name, array in weights.items()}
    return Program.of(task, Input("tokens", TEXT.size), shapes, tuple(state), ops), weights


def of_text(target: Any, task: str, pool: str = "mean") -> Model:
    return Model(*pooled(target.size, task, pool), TEXT, target, threads=1, fingerprint="f")


def of_words(delay: int, tags: list[str], scheme: str, inner: str, exact: bool) -> Model:
    features = WordFeatures(min_count=1, prefixes=0, suffixes=2, buckets=7).fit([WORDS])
    target = TagsTarget(tags, scheme=SCHEMES[scheme], inner=SCHEMES[inner], exact=exact)
    assert target.size == CLASSES
    program, weights = tagger(features.sizes, delay=delay)
    return Model(program, weights, features, target, threads=1, fingerprint="f")


PLAIN, ENTITIES = ["A", "D", "N", "V"], ["B-X", "I-X", "B-Y", "I-Y"]
MODELS = {
    "label": of_text(LabelTarget(["a", "b", "c"], multi_label=False), "classify"),
    "several": of_text(LabelTarget(["a", "b", "c"], multi_label=True), "classify"),
    "number": of_text(NumberTarget(3.0, 2.0), "regress"),
    "next": of_text(NextTarget(TEXT.size, reset=True), "language", "last"),
    "tags": of_words(0, PLAIN, "none", "none", exact=False),
    "tags that look ahead": of_words(2, PLAIN, "none", "none", exact=False),
    "entities": of_words(1, ENTITIES, "BIO2", "BIO2", exact=False),
    "entities by Viterbi": of_words(1, ["B-X", "I-X", "E-X", "S-X"], "BIOES", "BIOES", exact=True),
}
each = pytest.mark.parametrize("name", MODELS)
events = given(words=st.lists(st.sampled_from([*WORDS, "unseen", "Turing"]), max_size=8), seed=st.integers(0, 2**31))


def pieces_of(model: Model, words: list[str], seed: int) -> list[Any]:
    """Return an item cut anywhere: a text between characters, a list between words."""
    item: Any = words if model.features_.kind == "words" else "".join(f"{word} " for word in words)
    cuts = np.sort(np.random.default_rng(seed).integers(0, len(item) + 1, 5)).tolist()
    return [item[a:b] for a, b in zip([0, *cuts], [*cuts, len(item)], strict=True)]


def joined(pieces: list[Any]) -> Any:
    """Return all pieces of a presented prediction as comparable lists, without spans, which pieces cut."""
    pieces = [piece for piece in pieces if piece is not None]
    if pieces and isinstance(pieces[0], dict):
        keys = ("tokens", "tags", "probabilities")
        return [[entry for piece in pieces for entry in piece[key]] for key in keys]
    if pieces and isinstance(pieces[0], list):
        return [entry for piece in pieces for entry in piece]
    return pieces[-1] if pieces else []


def whole(model: Model, pieces: list[Any]) -> Any:
    """Return the prediction of all pieces together, as ``predict`` presents it."""
    item: Any = list(chain(*pieces)) if model.features_.kind == "words" else "".join(pieces)
    if model.target_.kind == "next":
        return model.log_probabilities(item)[0].each.tolist() if item else []
    encoded: Any = model.features_.encode(item)
    return joined(model.present_steps([encoded.inputs["steps"]], [encoded.context]))  # type: ignore[arg-type]


def assert_same(left: Any, right: Any) -> None:
    if isinstance(left, list) and not left:  # no steps yet
        assert right in ([], [[], [], []])
    elif hasattr(left, "probabilities"):
        assert (left.label, left.probabilities) == (right.label, pytest.approx(right.probabilities, abs=1e-5))
    elif isinstance(left, list) and isinstance(left[0], list):
        assert left[:2] == right[:2]
        assert left[2] == pytest.approx(right[2], abs=1e-5)
    else:
        assert left == pytest.approx(right, abs=1e-4)


def test_every_kind_has_a_case_but_texts_which_a_search_finds_and_forecasts() -> None:
    assert {model.target_.kind for model in MODELS.values()} == set(KINDS) - {"text", "distribution"}


@each
@draws(10)
@events
def test_finals_and_the_tentative_piece_are_the_prediction_so_far(name: str, words: list[str], seed: int) -> None:
    model = MODELS[name]
    session, finals, seen = model.stream(), list[Any](), list[Any]()
    for number, piece in enumerate(pieces_of(model, words, seed)):
        update = session.push(piece)
        finals.append(update.final)
        seen.append(piece)
        assert session.fork().finish() == Update(update.tentative, None)
        assert_same(joined([*finals, update.tentative]), whole(model, seen))
        if number % 2:
            state = session.get_state()
            session = model.stream()
            session.set_state(state)
            assert session.get_state() == state
    rest = session.finish()
    assert rest.tentative is None
    assert_same(joined([*finals, rest.final]), whole(model, seen))


@each
@draws(10)
@events
def test_a_guess_on_the_way_changes_nothing(name: str, words: list[str], seed: int) -> None:
    model = MODELS[name]
    asked, quiet = model.stream(), model.stream()
    for piece in pieces_of(model, words, seed):
        final = quiet.advance(piece)
        assert asked.push(piece).final == final
        asked.prediction()
        assert asked.get_state() == quiet.get_state()
    assert asked.finish() == quiet.finish()
    asked.reset()
    assert asked.get_state() == model.stream().get_state()


def test_pieces_are_as_many_as_steps_and_late_by_the_look_ahead() -> None:
    session = MODELS["tags that look ahead"].stream()
    updates = [session.push(word) for word in WORDS]
    assert [0 if update.final is None else len(update.final["tags"]) for update in updates] == [0, 0, 1, 1, 1, 1, 1]
    assert [update.final["tokens"] for update in updates[2:]] == [[word] for word in WORDS[:5]]
    assert session.finish().final["tokens"] == WORDS[5:]
    exact = MODELS["entities by Viterbi"].stream()
    assert all(exact.push(word).final is None for word in WORDS)
    assert len(exact.finish().final["tags"]) == len(WORDS)
    text = MODELS["next"].stream()
    counts = [(len(u.final or ()), len(u.tentative or ())) for u in map(text.push, ("Ada sa", "w ", "the"))]
    assert counts == [(1, 1), (1, 0), (0, 1)]


def test_a_piece_has_no_spans_which_it_may_cut() -> None:
    model = MODELS["entities by Viterbi"]
    session = model.stream()
    session.push(WORDS[:3])
    assert set(session.finish().final) == {"tokens", "tags", "probabilities"}
    steps, contexts = model.encode([WORDS])
    assert set(model.present_steps(steps, contexts)[0]) == {"tokens", "tags", "probabilities", "spans"}


def test_states_of_targets_are_plain() -> None:
    session = MODELS["entities by Viterbi"].stream()
    session.push(WORDS[:3])
    fields, arrays = read_state(session.get_state())
    assert np.shape(fields["target"]["rows"]) == (2, CLASSES)
    assert fields["target"]["context"] == WORDS[:3]
    assert len(arrays) == len(MODELS["entities by Viterbi"].engine.program.state)
