"""Searches: what is refused, what is cut, and which rows are stepped."""

from __future__ import annotations

import numpy as np
import pytest

from rekur.decode import (
    Hypothesis,
    Rules,
    Sampler,
    beam_search,
    choose_alpha,
    greedy_search,
    length_limits,
    sample_sequences,
)
from rekur.errors import InputError

RULES = Rules(end=2)


class Table:
    """Log-probabilities (V,) of the next token by the last; calls, and the searches that the rows are of, are kept."""

    def __init__(self, probabilities):
        with np.errstate(divide="ignore"):
            self.table = np.log(np.asarray(probabilities, np.float32))
        self.searches = []

    def begin(self, batch, memory=None):
        return np.arange(batch)

    def step(self, ids, state):
        self.searches.append(state.tolist())
        return self.table[ids], state

    def select(self, state, rows):
        return state[rows]


def endless(size=5):
    """A model that gives the end next to nothing."""
    table = np.full((size, size), 1.0 / (size - 3))
    table[:, :2], table[:, 2] = 0, 1e-6
    return Table(table)


ENDLESS = endless().table


def run(search, model, **options):
    return search(model, options.pop("batch", 1), **{"rules": RULES, "most": 4} | options)


class ListedTable(Table):
    """The same, where the likeliest tokens of a row are listed."""

    most_listed = 9

    @property
    def vocabulary(self):
        return self.table.shape[1]

    def largest(self, ids, state, count, apart):
        scores, state = self.step(ids, state)
        others = scores[:, apart]
        scores[:, apart] = -np.inf
        tokens = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        return tokens, np.take_along_axis(scores, tokens, axis=1), others, state


searches = pytest.mark.parametrize("search", [beam_search, greedy_search, sample_sequences])


def one_of(result):
    return result[0][0] if isinstance(result[0], list) else result[0]


@searches
def test_a_sequence_without_an_end_is_cut_and_says_so(search):
    hypothesis = one_of(run(search, endless(), most=7))
    assert len(hypothesis.ids) == 7
    assert hypothesis.is_cut
    assert hypothesis.log_probability == pytest.approx(7 * np.log(0.5) + np.log(1e-6), rel=1e-5)


@searches
def test_an_end_in_time_is_no_cut(search):
    table = endless().table.copy()
    table[:, 2] = np.log(0.999)
    model = endless()
    model.table = table
    hypothesis = one_of(run(search, model, least=2, most=2))
    assert len(hypothesis.ids) == 2
    assert not hypothesis.is_cut


@searches
def test_where_nothing_may_follow_the_sequence_ends(search):
    hypothesis = one_of(run(search, endless(), rules=Rules(end=2, no_repeat=1), most=50, least=20))
    assert sorted(hypothesis.ids.tolist()) == [3, 4]
    assert hypothesis.is_cut


@searches
def test_a_forced_end_that_is_impossible_has_no_probability(search):
    model = endless()
    model.table[:, 2] = -np.inf
    hypothesis = one_of(run(search, model))
    assert len(hypothesis.ids) == 4
    assert hypothesis.is_cut
    assert hypothesis.log_probability == -np.inf


@searches
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("token", [2, 3])
def test_broken_weights_are_refused_by_name(search, value, token):
    model = endless()
    model.table[:, token] = value
    expected = (
        "of the next token: got NaN; expected numbers of at most 0. The model's" if np.isnan(value) else "got inf"
    )
    with pytest.raises(InputError, match=expected):
        run(search, model)


@pytest.mark.parametrize("search", [beam_search, greedy_search])
def test_listed_tokens_are_checked_as_all_are(search):
    model = ListedTable(np.exp(ENDLESS))
    hypothesis = one_of(run(search, model, most=7))
    assert len(hypothesis.ids) == 7
    assert hypothesis.is_cut
    assert hypothesis.log_probability == pytest.approx(7 * np.log(0.5) + np.log(1e-6), rel=1e-5)
    with pytest.raises(InputError, match="vocabulary of the model: got 5; expected more than 9, the end"):
        run(search, model, rules=Rules(end=9))
    for value, expected in ((np.nan, "got NaN"), (np.inf, "got inf"), (30, "got 30")):
        model.table[:, 2] = value
        with pytest.raises(InputError, match=f"of the next token: {expected}"):
            run(search, model)
    model.table[:, 2] = -np.inf
    assert one_of(run(search, model)).log_probability == -np.inf


@searches
def test_scores_that_are_no_log_probabilities_are_refused(search):
    model = endless()
    model.table = model.table + 30
    with pytest.raises(InputError, match=r"expected numbers of at most 0\. A step function gives log-probabilities"):
        run(search, model)


@searches
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"most": 0}, "most: got 0; expected a whole number of 1 or more"),
        ({"most": [3, 0], "batch": 2}, "most: got 0; expected a whole number of 1 or more"),
        ({"most": 2.5}, "most: got 2.5; expected a whole number of 1 or more, or 1 of them"),
        ({"most": [3, 3]}, "most: got "),
        ({"least": -1}, "least: got -1"),
        ({"least": 5}, "least: got 5; expected at most 4, the most tokens"),
        ({"alpha": -0.1}, "alpha: got -0.1; expected a number of 0 or more"),
        ({"alpha": float("nan")}, "alpha: got nan"),
        ({"rules": Rules(end=9)}, "shape of the log-probabilities: got .*1, 5.; expected .1, V. with V above 9"),
    ],
)
def test_options_out_of_range_are_refused(search, options, message):
    with pytest.raises(InputError, match=message):
        run(search, endless(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 0}, "beam: got 0"),
        ({"beam": 2, "n_best": 3}, r"n_best: got 3; expected a whole number in \[1, 2\]"),
        ({"n_best": 0}, "n_best: got 0"),
    ],
)
def test_a_beam_that_is_none_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        run(beam_search, endless(), **options)


def test_rules_and_limits_are_checked():
    for options, message in [
        ({"end": 1}, "never: got 1; expected tokens other than the end"),
        ({"end": -1}, "end: got -1"),
        ({"end": 2, "no_repeat": -1}, "no_repeat: got -1"),
    ]:
        with pytest.raises(InputError, match=message):
            Rules(**options)
    for limits, message in [
        ({"max_length": 0}, "max_length: got 0"),
        ({"max_ratio": 0}, "max_ratio: got 0"),
        ({"min_ratio": -1}, "min_ratio: got -1"),
        ({"min_ratio": 2, "max_ratio": 1}, "max_ratio: got 1; expected 2 or more, the min_ratio"),
    ]:
        with pytest.raises(InputError, match=message):
            length_limits([3], **limits)
    with pytest.raises(InputError, match="end: got 0; expected a token that may be drawn, 2 or more"):
        sample_sequences(endless(), 1, rules=Rules(end=0, never=(1,)), most=3)


def test_limits_follow_the_source():
    assert [limits.tolist() for limits in length_limits([0, 5])] == [[0, 0], [20, 35]]
    least, most = length_limits([0, 5], min_ratio=0.3, max_ratio=1.5, max_length=6)
    assert least.tolist() == [0, 2]
    assert most.tolist() == [1, 6]


def test_a_beam_wider_than_the_vocabulary_gives_all_there_is():
    hypotheses = run(beam_search, endless(), beam=50, n_best=50, most=2)[0]
    assert {tuple(each.ids.tolist()) for each in hypotheses} == {(), (3,), (4,), (3, 3), (3, 4), (4, 3), (4, 4)}


def test_searches_that_end_leave_the_batch_and_the_others_stay_together():
    model = Table([[0, 0, 0.2, 0.5, 0.3]] * 5)
    run(beam_search, model, batch=3, most=[1, 3, 6], beam=2, alpha=0, stop_early=False)
    assert model.searches[0] == [0, 1, 2]
    assert all(rows == sorted(rows) for rows in model.searches)
    assert 0 not in model.searches[2]
    assert max(len(rows) for rows in model.searches) <= 6
    hungry = Table([[0, 0, 0.9, 0.05, 0.05]] * 5)
    run(beam_search, hungry, beam=4, alpha=0)
    assert len(hungry.searches) == 1  # nothing is likelier than to end at once
    patient = Table([[0, 0, 0.9, 0.05, 0.05]] * 5)
    run(beam_search, patient, beam=4, alpha=0, stop_early=False)
    assert len(patient.searches) > 1


def test_no_search_at_all_gives_nothing():
    for search in (beam_search, greedy_search, sample_sequences):
        assert run(search, endless(), batch=0) == []


def test_drawn_sequences_follow_the_probabilities():
    model = Table([[0, 0, 0.2, 0.5, 0.3]] * 5)
    drawn = run(sample_sequences, model, batch=4000, sampler=Sampler(seed=3))
    firsts = [each.ids[0] if len(each.ids) else 2 for each in drawn]
    shares = np.bincount(firsts, minlength=5) / len(firsts)
    assert np.allclose(shares, [0, 0, 0.2, 0.5, 0.3], atol=0.03)


def test_the_smallest_of_equal_exponents_is_chosen_and_nothing_is_scored_twice():
    pool = [Hypothesis(np.array([5]), -2.0, 0), Hypothesis(np.array([5, 6, 7]), -3.0, 0)]
    calls = []

    def length(best):
        calls.append(best)
        return len(best[0].ids)

    assert choose_alpha([pool], length, (2, 1, 0)) == (1.0, {2.0: 3.0, 1.0: 3.0, 0.0: 1.0})
    assert len(calls) == 2
    for pools, alphas in (([], (1,)), ([[]], (1,)), ([pool], ()), ([pool], (-1,))):
        with pytest.raises(InputError):
            choose_alpha(pools, length, alphas)
