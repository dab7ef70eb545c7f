"""Laws of tags: every path is legal, Viterbi is the best path there is, and a cut changes nothing."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws

from rekur.decode import GreedyTags, Transitions, legal_transitions, viterbi
from rekur.errors import InputError, ShapeError
from rekur.metrics import SCHEMES, Scheme, detect_scheme

many = draws(150)

MARKING = [scheme for scheme in SCHEMES.values() if scheme.has_spans]
#: whole numbers, so that sums are exact and ties occur, and what cannot be
SCORES = st.sampled_from([-math.inf, -3.0, -1.0, 0.0, 1.0, 2.0])
FINITE = st.sampled_from([-3.0, -1.0, 0.0, 1.0, 2.0])


def sets_of_tags() -> st.SearchStrategy[tuple[list[str], Scheme]]:
    """Tags in any order, of which some may be absent as they may be in a training set."""

    def of_scheme(scheme: Scheme) -> st.SearchStrategy[tuple[list[str], Scheme]]:
        tags = scheme.tag_set(["A", "B"])
        return st.lists(st.sampled_from(tags[1:]), unique=True, max_size=5).flatmap(
            lambda some: st.permutations(["O", *some]).map(lambda order: (list(order), scheme))
        )

    return st.sampled_from(MARKING).flatmap(of_scheme)


def rows(size: int, values: st.SearchStrategy[float], most: int = 4, least: int = 0) -> st.SearchStrategy[np.ndarray]:
    row = st.lists(values, min_size=size, max_size=size)
    return st.lists(row, min_size=least, max_size=most).map(lambda some: np.array(some, np.float64).reshape(-1, size))


@st.composite
def problems(draw: st.DrawFn, values: st.SearchStrategy[float] = SCORES, most: int = 4) -> tuple[Any, ...]:
    tags, scheme = draw(sets_of_tags())
    weights = draw(st.none() | rows(len(tags), values, len(tags), len(tags)))
    return tags, scheme, legal_transitions(tags, scheme), draw(rows(len(tags), values, most)), weights


def brute_force(scores: np.ndarray, transitions: Transitions, weights: np.ndarray | None) -> list[int]:
    """Return the legal path with the fewest impossible steps, the highest sum, and the lowest tags from behind."""
    best, chosen = None, []
    for path in itertools.product(range(transitions.size), repeat=len(scores)):
        if not transitions.allows(path):
            continue
        steps = [scores[t, tag] for t, tag in enumerate(path)]
        steps += [] if weights is None else [weights[pair] for pair in itertools.pairwise(path)]
        finite = [step for step in steps if step > -math.inf]
        key = (len(finite) - len(steps), sum(finite), [-tag for tag in reversed(path)])
        if best is None or key > best:
            best, chosen = key, list(path)
    return chosen


@many
@given(problem=problems())
def test_viterbi_is_the_best_path_of_all(problem: tuple[Any, ...]) -> None:
    _, _, transitions, scores, weights = problem
    path = viterbi(scores, transitions, weights).tolist()
    expected = brute_force(scores, transitions, weights)
    if not np.isneginf(scores).any() and (weights is None or not np.isneginf(weights).any()):
        assert path == expected  # ties too
        return

    def value(tags: list[int]) -> tuple[int, float]:
        steps = [scores[t, tag] for t, tag in enumerate(tags)]
        steps += [] if weights is None else [weights[pair] for pair in itertools.pairwise(tags)]
        return sum(map(math.isinf, steps)), sum(step for step in steps if step > -math.inf)

    assert transitions.allows(path)
    assert value(path) == value(expected)


@many
@given(problem=problems(most=12))
def test_no_path_is_ever_illegal(problem: tuple[Any, ...]) -> None:
    tags, scheme, transitions, scores, weights = problem
    for path in (viterbi(scores, transitions, weights).tolist(), whole(scores, transitions)):
        assert len(path) == len(scores)
        assert transitions.allows(path)
        names = [tags[tag] for tag in path]
        assert scheme.spans(names) == scheme.spans(names, strict=True)


def whole(scores: np.ndarray, transitions: Transitions) -> list[int]:
    stream = GreedyTags(transitions)
    return [*stream.push(scores).tolist(), *stream.finish().tolist()]


@many
@given(problem=problems(most=12), cuts=st.lists(st.integers(0, 12), max_size=6))
def test_greedy_in_pieces_is_greedy_whole(problem: tuple[Any, ...], cuts: list[int]) -> None:
    _, _, transitions, scores, _ = problem
    stream, path = GreedyTags(transitions), []
    for piece in np.split(scores, sorted(min(cut, len(scores)) for cut in cuts)):
        path += stream.push(piece).tolist()
        state = json.loads(json.dumps(stream.get_state()))
        stream = GreedyTags(transitions)  # in another process
        stream.set_state(state)
        ended = GreedyTags(transitions)
        ended.set_state(state)
        so_far = [*path, *ended.finish().tolist()]
        assert so_far == whole(scores[: len(so_far)], transitions)
    path += stream.finish().tolist()
    assert path == whole(scores, transitions)
    assert stream.get_state() == GreedyTags(transitions).get_state()


@many
@given(problem=problems(most=8))
def test_greedy_takes_the_best_tag_that_may_follow(problem: tuple[Any, ...]) -> None:
    _, _, transitions, scores, _ = problem
    path: list[int] = []
    for step, row in enumerate(scores):
        allowed = transitions.first if not path else transitions.legal[path[-1]]
        if step == len(scores) - 1:
            allowed = allowed & transitions.last
        path.append(max(np.flatnonzero(allowed).tolist(), key=lambda tag: (row[tag], -tag)))
    assert whole(scores, transitions) == path


@many
@given(scores=rows(4, SCORES | st.floats(-50, 50), 9))
def test_without_a_scheme_the_best_path_is_the_best_tag_of_each_step(scores: np.ndarray) -> None:
    transitions = legal_transitions(["a", "b", "c", "d"])
    best = scores.argmax(axis=1).tolist()
    assert transitions.is_free
    assert viterbi(scores, transitions).tolist() == best == whole(scores, transitions)
    if not np.isneginf(scores).any():  # the same without the short cut
        assert viterbi(scores, transitions, np.zeros((4, 4))).tolist() == best


@many
@given(problem=problems(values=FINITE), shift=st.floats(-1e6, 1e6))
def test_a_constant_added_to_a_step_changes_nothing(problem: tuple[Any, ...], shift: float) -> None:
    _, _, transitions, scores, weights = problem
    shifted = scores + np.round(shift)
    assert viterbi(shifted, transitions, weights).tolist() == viterbi(scores, transitions, weights).tolist()


@many
@given(problem=problems(most=6))
def test_legal_are_the_tags_that_spans_can_have(problem: tuple[Any, ...]) -> None:
    """A path is legal if and only if it is how its spans are written."""
    tags, scheme, transitions, _, _ = problem
    for length in range(4):
        for path in itertools.product(range(len(tags)), repeat=length):
            names = [tags[tag] for tag in path]
            assert transitions.allows(path) == (scheme.tags(scheme.spans(names), length) == names)


spans_of_a_sentence = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from(["A", "B", "G-C", ""])), max_size=6
)


def laid_out(pieces: list[tuple[int, int, str]]) -> tuple[list[tuple[int, int, str]], int]:
    """Return spans with gaps between, and the length of their sentence."""
    spans, end = [], 0
    for gap, length, label in pieces:
        spans.append((end + gap, end + gap + length, label))
        end += gap + length
    return spans, end + 1


@many
@given(pieces=spans_of_a_sentence, source=st.sampled_from(MARKING), target=st.sampled_from(MARKING))
def test_spans_survive_every_scheme(pieces: list[tuple[int, int, str]], source: Scheme, target: Scheme) -> None:
    spans, length = laid_out(pieces)
    if "IO" in (source.name, target.name):  # one behind another of its label is one with it
        spans = SCHEMES["IO"].spans(SCHEMES["IO"].tags(spans, length))
    tags = source.tags(spans, length)
    assert source.spans(tags) == source.spans(tags, strict=True) == spans
    assert target.spans(target.tags(source.spans(tags), length)) == spans


@many
@given(sentences=st.lists(spans_of_a_sentence, min_size=1, max_size=5), scheme=st.sampled_from(MARKING))
def test_the_scheme_of_written_tags_is_detected(sentences: list[Any], scheme: Scheme) -> None:
    laid = [laid_out([(gap, length, label or "A") for gap, length, label in pieces]) for pieces in sentences]
    written = [scheme.tags(spans, length) for spans, length in laid]
    choice = detect_scheme(written)
    if not choice.scheme.has_spans:
        assert not any(spans for spans, _ in laid)
        return
    assert choice.irregular == 0
    assert [choice.scheme.spans(tags) for tags in written] == [scheme.spans(tags) for tags in written]


def test_a_tag_without_an_end_is_never_chosen() -> None:
    transitions = legal_transitions(["O", "B-A", "I-A", "S-A"], SCHEMES["BIOES"])
    scores = np.array([[0.0, 9.0, 9.0, 1.0]] * 3)
    assert viterbi(scores, transitions).tolist() == [3, 3, 3] == whole(scores, transitions)


def test_long_sums_keep_small_differences() -> None:
    """A number added to every score changes no path, although the sum of 50,000 of them hides small differences."""
    transitions = legal_transitions(["O", "B-A", "I-A"], SCHEMES["BIO2"])
    scores = np.random.default_rng(0).integers(-3, 4, (50_000, 3)) * 2.0**-30
    assert viterbi(scores + 1e4, transitions).tolist() == viterbi(scores, transitions).tolist()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scores_of_any_precision(dtype: Any) -> None:
    transitions = legal_transitions(["O", "B-A", "I-A"], SCHEMES["BIO2"])
    scores = np.array([[1, 0, 0], [0, 0, 4]], dtype)
    assert viterbi(scores, transitions).tolist() == [1, 2]
    assert whole(scores, transitions) == [0, 0]


def test_what_is_refused() -> None:
    transitions = legal_transitions(["O", "B-A", "I-A"], SCHEMES["BIO2"])
    for scores in (np.zeros((2, 4)), np.zeros(3)):
        for decode in (viterbi, whole):
            with pytest.raises(ShapeError, match=r"scores: got \(.*\); expected the shape \(T, 3\)"):
                decode(scores, transitions)
    with pytest.raises(ShapeError, match=r"weights: got \(2, 3\); expected the shape \(3, 3\)"):
        viterbi(np.zeros((2, 3)), transitions, np.zeros((2, 3)))
    for value in (math.nan, math.inf):
        scores = np.zeros((2, 3))
        scores[1, 2] = value
        for decode in (viterbi, whole):
            with pytest.raises(InputError, match=f"scores: step 1, tag 2: got {value}; expected a number or minus"):
                decode(scores, transitions)
    with pytest.raises(InputError, match="tag: got 'E-A'; expected 'O' or a label behind B-, I-, as in BIO2"):
        legal_transitions(["O", "E-A"], SCHEMES["BIO2"])
    with pytest.raises(InputError, match="tags: got 'O'; expected each tag once"):
        legal_transitions(["O", "B-A", "O"])
    with pytest.raises(InputError, match="tags of BIOES: got 'B-A, E-A'; expected one or more that can stand alone"):
        legal_transitions(["B-A", "E-A"], SCHEMES["BIOES"])
