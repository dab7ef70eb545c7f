"""Laws of decoding: what is kept is what is defined, a sample is its own, a cut changes nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws

from rekur.decode import Sampler, generate, generate_all
from rekur.features import TextFeatures

quick = draws(20)

TEXT = "the quick brown fox jumps over the lazy dog, and it did so again and again"
FEATURES = {kind: TextFeatures(kind).fit([TEXT]) for kind in ("char", "word", "byte")}


class Machine:
    """h' = 0.7 h + E[x] in float64, one row at a time, so that a row is the same whoever stands beside it."""

    def __init__(self, size, hidden=6):
        random = np.random.default_rng(7)
        self.table = random.normal(size=(size, hidden))
        self.out = random.normal(size=(hidden, size)).astype(np.float32)
        self.rows = 0

    def begin(self, batch, memory=None):
        return np.zeros((batch, self.table.shape[1]))

    def step(self, ids, state):
        self.rows += len(ids)
        after = 0.7 * state + self.table[ids]
        scores = np.stack([(row.astype(np.float32)[:, None] * self.out).sum(axis=0) for row in after])
        return scores, after

    def select(self, state, rows):
        return state[rows]


MACHINES = {kind: Machine(features.size) for kind, features in FEATURES.items()}


def score_rows(min_rows=1):
    """Scores (B, V) with many ties among them, and sometimes an impossible token."""
    value = st.sampled_from([-np.inf, -8.0, -1.5, -1.0, 0.0, 0.25, 0.5, 2.0, 9.0])
    sizes = st.tuples(st.integers(min_rows, 5), st.integers(3, 12))
    return sizes.flatmap(
        lambda size: st.lists(
            st.lists(value, min_size=size[1], max_size=size[1]).filter(lambda row: max(row[2:]) > -np.inf),
            min_size=size[0],
            max_size=size[0],
        )
    ).map(lambda rows: np.array(rows, np.float32))


options = st.fixed_dictionaries(
    {
        "temperature": st.sampled_from([0, 0.3, 1.0, 2.5]),
        "top_k": st.integers(0, 14),
        "top_p": st.sampled_from([0.05, 0.5, 0.9, 1.0]),
        "min_p": st.sampled_from([0.0, 0.1, 0.6]),
        "repetition_penalty": st.sampled_from([1.0, 1.3, 5.0]),
        "repetition_window": st.integers(0, 3),
        "draw_unknown": st.booleans(),
    }
)


def reference(row, history, o):
    """The probabilities of one row by the definition, token by token."""
    first = 1 if o["draw_unknown"] else 2
    score = {token: float(row[token]) for token in range(first, len(row))}
    if o["repetition_penalty"] > 1:
        finite = [z for z in score.values() if z > -np.inf]
        mean = sum(finite) / len(finite)
        used = history[-o["repetition_window"] :] if o["repetition_window"] else history
        theta = o["repetition_penalty"]
        for token in score:
            score[token] -= mean
            if token in used:
                score[token] = score[token] / theta if score[token] > 0 else score[token] * theta
    order = sorted(score, key=lambda token: (-score[token], token))
    if o["temperature"] == 0:
        return {order[0]: 1.0}
    best = score[order[0]]
    weight = {token: math.exp((score[token] - best) / o["temperature"]) for token in order}
    kept = order[: o["top_k"] or None]
    if o["top_p"] < 1:
        whole, sum_so_far, nucleus = sum(weight[token] for token in kept), 0.0, []
        for token in kept:
            nucleus.append(token)
            sum_so_far += weight[token]
            if sum_so_far >= o["top_p"] * whole:
                break
        kept = nucleus
    kept = [token for token in kept if weight[token] >= o["min_p"]]
    total = sum(weight[token] for token in kept)
    return {token: weight[token] / total for token in kept if weight[token] > 0}


@quick
@given(score_rows(), options, st.lists(st.integers(2, 4), max_size=4))
def test_what_is_kept_and_how_likely_it_is_follow_the_definition(scores, o, history):
    sampler = Sampler(**o)
    found = sampler.probabilities(scores, history)
    for row, probabilities in zip(scores, found, strict=True):
        expected = reference(row, history, o)
        close = {"rel": 1e-5}
        assert set(np.flatnonzero(probabilities)) <= set(expected)
        for token, probability in expected.items():
            # beyond single precision's range a weight is 0
            assert probabilities[token] == pytest.approx(probability, **close, abs=1e-35)


@quick
@given(score_rows(), st.sampled_from([0.2, 1.0, 3.0]))
def test_keeping_one_is_taking_the_likeliest(scores, temperature):
    one = Sampler(temperature, top_k=1, seed=0).start(len(scores)).draw(scores)
    greedy = Sampler(0).start(len(scores)).draw(scores)
    assert one[0].tolist() == greedy[0].tolist() == (scores[:, 2:].argmax(axis=1) + 2).tolist()
    assert np.allclose(one[1], greedy[1], rtol=1e-12)


@quick
@given(score_rows(), st.integers(0, 2**64 - 1))
def test_options_that_keep_everything_change_nothing(scores, seed):
    plain = Sampler(seed=seed).start(len(scores)).draw(scores)
    size = scores.shape[1]
    same = Sampler(1, size, 1.0, 0.0, 1.0, seed, repetition_window=5).start(len(scores)).draw(scores)
    assert plain[0].tolist() == same[0].tolist()
    assert np.allclose(plain[1], same[1], rtol=1e-12)


@quick
@given(score_rows(min_rows=2), options, st.integers(0, 1000), st.data())
def test_a_draw_does_not_depend_on_its_mates(scores, o, seed, data):
    sampler = Sampler(**o, seed=seed)
    together = sampler.start(len(scores))
    alone = [sampler.start(1, first_number=number) for number in range(len(scores))]
    kept = np.arange(len(scores))
    for _ in range(4):
        ids, log_probabilities = together.draw(scores[kept])
        for row, number in enumerate(kept):
            one, log_probability = alone[number].draw(scores[number : number + 1])
            assert one[0] == ids[row]
            assert log_probability[0] == pytest.approx(log_probabilities[row], rel=1e-12, abs=1e-12)
        rows = np.array(sorted(data.draw(st.sets(st.integers(0, len(kept) - 1), min_size=1))))
        together.select(rows)
        kept = kept[rows]


@quick
@given(score_rows(), options, st.integers(-40, 40))
def test_adding_a_number_to_all_scores_changes_nothing(scores, o, shift):
    before = Sampler(**o).probabilities(scores, [2, 3])
    after = Sampler(**o).probabilities((scores.astype(np.float64) + shift), [2, 3])
    assert np.allclose(before, after, rtol=1e-4, atol=1e-6)


@quick
@given(st.sampled_from(sorted(FEATURES)), st.integers(1, 5), st.integers(1, 5), options, st.integers(0, 99))
def test_a_sample_does_not_depend_on_how_many_are_drawn_nor_on_streaming(kind, few, more, o, seed):
    def drawn(samples, **how):
        sampler = Sampler(**{**o, "draw_unknown": False}, seed=seed)
        found = generate_all(
            MACHINES[kind], FEATURES[kind], prompt="the ", samples=samples, max_tokens=12, sampler=sampler, **how
        )
        return [(sample.number, sample.text, sample.ids.tolist(), sample.stopped) for sample in found]

    assert drawn(few) == drawn(few + more, stream=True)[:few]


@quick
@given(st.sampled_from(sorted(FEATURES)), st.integers(1, 300), st.integers(1, 30), st.integers(0, 99), st.booleans())
def test_going_on_is_never_having_stopped(kind, before, after, seed, penalised):
    sampler = Sampler(repetition_penalty=1.5 if penalised else 1.0, repetition_window=7, seed=seed)
    model, features = MACHINES[kind], FEATURES[kind]
    *_, begun = generate_all(model, features, prompt="fox", samples=3, max_tokens=before, sampler=sampler)
    (rest,) = generate_all(model, features, max_tokens=after, sampler=sampler, continue_from=begun.continuation)
    *_, whole = generate_all(model, features, prompt="fox", samples=3, max_tokens=before + after, sampler=sampler)
    assert [*begun.ids, *rest.ids] == list(whole.ids)
    assert begun.log_probability + rest.log_probability == pytest.approx(whole.log_probability)
    assert rest.number == whole.number == 2
    assert rest.continuation.ids.tolist() == whole.continuation.ids.tolist()
    if kind != "byte":  # a cut may fall inside a character, which is then told as one that is damaged
        assert begun.text + rest.text == whole.text


stop_lists = st.lists(st.text("ab ", min_size=1, max_size=3), max_size=3)


class Spelled:
    """Features whose tokens are the given pieces of text, numbered from 2."""

    def __init__(self, pieces):
        self.pieces, self.size = pieces, len(pieces) + 2

    def transform(self, text):
        return np.empty(0, np.int32)

    def unknown(self, text):
        return []

    def decoder(self):
        class Joined:
            push = staticmethod(lambda numbers: "".join(self.pieces[number - 2] for number in numbers))
            finish = staticmethod(lambda: "")

        return Joined()


class Counter:
    """Says that token n + 1 follows token n; after none, 2."""

    def __init__(self, size):
        self.size = size

    def begin(self, batch, memory=None):
        return None

    def step(self, ids, state):
        return np.eye(self.size + 1)[np.maximum(ids + 1, 2)], None

    def select(self, state, rows):
        return None


def stopped_by_hand(text, stops, keep):
    """What a reader who sees one character after the other would keep."""
    for end in range(1, len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            return text[: end if keep else end - max(map(len, found))], True
    return text, False


@draws(40)
@given(st.lists(st.text("ab ", max_size=4), min_size=1, max_size=8), stop_lists, st.booleans())
def test_a_text_ends_at_the_first_stop_string_however_it_is_cut_into_tokens(pieces, stops, keep):
    features, model = Spelled(pieces), Counter(len(pieces) + 2)
    options = {"sampler": Sampler(0), "max_tokens": len(pieces), "stop": stops, "keep_stop": keep}
    events = list(generate(model, features, **options))
    sample = events[-1].sample
    expected, found = stopped_by_hand("".join(pieces), stops, keep)
    assert sample.text == "".join(event.text for event in events) == expected
    assert sample.stopped == ("stop" if found else "length")
    assert generate_all(model, features, **options) == [sample]
    if found:  # not one token more was drawn than was needed
        assert not stopped_by_hand("".join(pieces[: sample.tokens - 1]), stops, keep)[1]
