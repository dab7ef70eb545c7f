"""Laws of searches: a beam is its definition, a search is its own, stopping early changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws

from rekur.decode import Rules, Sampler, beam_search, choose_alpha, greedy_search, sample_sequences
from rekur.decode.candidates import best_candidates
from rekur.decode.rules import Masks

quick = draws(20)
END = 2


class Tree:
    """Log-probabilities (V,) that depend on the whole sequence and on a number of each search, its memory."""

    def __init__(self, size, sharpness=2.0):
        self.size, self.sharpness = size, sharpness

    def begin(self, batch, memory):
        return np.asarray(memory), np.empty((batch, 0), np.int64)

    def step(self, ids, state):
        numbers, history = state
        history = np.concatenate([history, ids[:, None]], axis=1)
        rows = [
            self.row(number, tokens) for number, tokens in zip(numbers.tolist(), history[:, 1:].tolist(), strict=True)
        ]
        return np.array(rows, np.float32).reshape(len(ids), self.size), (numbers, history)

    def row(self, number, tokens):
        scores = self.sharpness * np.random.default_rng([number, *tokens]).normal(size=self.size)
        return (scores - np.log(np.exp(scores).sum())).astype(np.float32)

    def select(self, state, rows):
        return state[0][rows], state[1][rows]


class Listing(Tree):
    """The same, where the likeliest tokens of a row are listed, up to four of them."""

    most_listed = 4

    @property
    def vocabulary(self):
        return self.size

    def largest(self, ids, state, count, apart):
        scores, state = self.step(ids, state)
        others = scores[:, apart]
        scores[:, apart] = -np.inf
        tokens = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        listed = np.take_along_axis(scores, tokens, axis=1)
        wider = [(0, 0), (0, count - tokens.shape[1])]
        return np.pad(tokens, wider), np.pad(listed, wider, constant_values=-np.inf), others, state


def follows(tokens, row, rules, least, most):
    """The tokens that may follow and their log-probabilities, and whether the end comes too early, by definition."""
    n = rules.no_repeat
    runs = {tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)} if n else set()
    allowed = [token for token in range(len(row)) if token not in (0, 1, END)]
    allowed = [token for token in allowed if not n or (*tokens, token)[-n:] not in runs]
    if not allowed or len(tokens) == most:
        cut = not allowed or float(max(row[token] for token in allowed)) > row[END]
        return {END: float(row[END])}, cut
    return {token: float(row[token]) for token in ([END] if len(tokens) >= least else []) + allowed}, False


def beam_by_definition(model, number, rules, least, most, beam, alpha):
    live, ended = [((), 0.0)], []
    while live and len(ended) < beam:
        after = []
        for tokens, total in live:
            tokens_after, cut = follows(tokens, model.row(number, tokens), rules, least, most)
            after += [((*tokens, token), total + logp, cut) for token, logp in tokens_after.items()]
        after.sort(key=lambda each: -each[1])
        after = after[: beam - len(ended)]
        ended += [(each[0][:-1], each[1], each[2]) for each in after if each[0][-1] == END]
        live = [each[:2] for each in after if each[0][-1] != END]
    return sorted(ended, key=lambda each: -each[1] / (len(each[0]) + 1) ** alpha)


def all_by_definition(model, number, rules, least, most, alpha, tokens=(), total=0.0):
    after, cut = follows(tokens, model.row(number, tokens), rules, least, most)
    ended = [(tokens, total + after[END], cut)] if END in after else []
    for token in set(after) - {END}:
        ended += all_by_definition(model, number, rules, least, most, alpha, (*tokens, token), total + after[token])
    return sorted(ended, key=lambda each: -each[1] / (len(each[0]) + 1) ** alpha)


def plain(hypotheses):
    return [(tuple(each.ids.tolist()), each.is_cut) for each in hypotheses]


def same(hypotheses, expected, alpha):
    """Whether hypotheses are those of the definition, with their scores."""
    assert plain(hypotheses) == [(tokens, cut) for tokens, _, cut in expected]
    for hypothesis, (tokens, total, _) in zip(hypotheses, expected, strict=True):
        assert hypothesis.log_probability == pytest.approx(total, rel=1e-5, abs=1e-5)
        assert hypothesis.score == pytest.approx(total / (len(tokens) + 1) ** alpha, rel=1e-5, abs=1e-5)


rules_of = st.builds(Rules, end=st.just(END), no_repeat=st.integers(0, 3))
alphas = st.sampled_from([0.0, 0.5, 1.0, 2.0])
trees = st.sampled_from([Tree, Listing])


@quick
@given(trees, st.integers(1, 3), st.integers(1, 4), st.integers(0, 2), rules_of, alphas, st.integers(0, 10**6))
def test_a_wide_beam_is_exhaustive(tree, free, most, least, rules, alpha, number):
    model, least = tree(END + 1 + free), min(least, most)
    width = (free + 1) ** most
    options = {"rules": rules, "least": least, "most": most, "alpha": alpha}
    pool = beam_search(model, 1, [number], beam=width, n_best=width, **options)[0]
    expected = all_by_definition(model, number, rules, least, most, alpha)
    same(pool, expected, alpha)
    same(beam_search(model, 1, [number], beam=width, **options)[0], expected[:1], alpha)


@quick
@given(trees, st.integers(4, 9), st.integers(1, 6), st.integers(0, 3), st.integers(1, 7), rules_of, alphas, st.data())
def test_a_beam_is_its_definition_whoever_stands_beside_it(tree, size, most, least, beam, rules, alpha, data):
    model, numbers = tree(size), data.draw(st.lists(st.integers(0, 1000), min_size=1, max_size=4))
    limits = np.array(data.draw(st.lists(st.integers(1, 6), min_size=len(numbers), max_size=len(numbers))))
    least = np.minimum(least, limits)
    n_best = data.draw(st.integers(1, beam))
    options = {"rules": rules, "beam": beam, "alpha": alpha, "n_best": n_best}
    lists = beam_search(model, len(numbers), numbers, least=least, most=limits, **options)
    for number, low, high, hypotheses in zip(numbers, least, limits, lists, strict=True):
        expected = beam_by_definition(model, number, rules, low, high, beam, alpha)
        same(hypotheses, expected[:n_best], alpha)
        assert len(set(plain(hypotheses))) == len(hypotheses)
        one = beam_search(model, 1, [number], least=low, most=high, **options | {"n_best": 1})[0]
        assert plain(one) == plain(hypotheses[:1])


@quick
@given(
    trees,
    st.integers(4, 9),
    st.integers(1, 8),
    rules_of,
    alphas,
    st.lists(st.integers(0, 1000), min_size=1, max_size=5),
)
def test_a_beam_of_one_is_greedy(tree, size, most, rules, alpha, numbers):
    options = {"rules": rules, "most": most, "alpha": alpha}
    beam = beam_search(tree(size), len(numbers), numbers, beam=1, **options)
    greedy = greedy_search(tree(size), len(numbers), numbers, **options)
    plainly = greedy_search(Tree(size), len(numbers), numbers, **options)
    assert plain(greedy) == plain(plainly)
    for hypotheses, hypothesis in zip(beam, greedy, strict=True):
        same(hypotheses, [(tuple(hypothesis.ids.tolist()), hypothesis.log_probability, hypothesis.is_cut)], alpha)


@quick
@given(st.integers(4, 9), st.integers(1, 6), st.lists(st.integers(0, 1000), min_size=1, max_size=4), st.integers(1, 6))
def test_one_search_serves_all_exponents(size, most, numbers, beam):
    options = {"rules": Rules(end=END), "most": most, "beam": beam}
    pools = beam_search(Tree(size), len(numbers), numbers, n_best=beam, stop_early=False, **options)
    exponents = (0.0, 0.7, 1.5)
    scored = choose_alpha(pools, lambda best: float(sum(each.score for each in best)), exponents)[1]
    for alpha in exponents:
        best = beam_search(Tree(size), len(numbers), numbers, alpha=alpha, **options)
        if alpha == 0:  # later ones with the same best are not scored again
            assert scored[alpha] == pytest.approx(sum(hypotheses[0].score for hypotheses in best))
        again = [max((each.at(alpha) for each in pool), key=lambda each: each.score) for pool in pools]
        assert plain(again) == plain([hypotheses[0] for hypotheses in best])


@quick
@given(st.integers(1, 1300), st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(4, 9), st.data())
def test_the_likeliest_continuations_are_the_first_of_all(free, rows, width, data):
    seed, digits = data.draw(st.integers(0, 1000)), data.draw(st.sampled_from([0, 1, 6]))
    random = np.random.default_rng(seed)
    scores = np.round(-random.exponential(size=(sum(rows), END + 1 + free)), digits).astype(np.float32)
    searches, totals = np.repeat(np.arange(len(rows)), rows), np.round(-random.exponential(size=sum(rows)), digits)
    given_scores = scores.copy()
    masks = Masks(Rules(end=END), len(rows), 0, 9)
    allowed = masks.apply(scores, np.empty((len(scores), 0), np.int64), searches)
    best = best_candidates(allowed, totals, searches, width, end=END)
    allowed.restore()
    assert (scores == given_scores).all()
    for search in range(len(rows)):
        every = [
            (-(totals[row] + float(scores[row, token])), row, token)
            for row in np.flatnonzero(searches == search).tolist()
            for token in range(END, scores.shape[1])
        ]
        mine = searches[best.rows] == search
        chosen = list(
            zip((-best.totals[mine]).tolist(), best.rows[mine].tolist(), best.tokens[mine].tolist(), strict=True)
        )
        expected = sorted(every)[:width]
        assert [each[0] for each in chosen] == [each[0] for each in expected]
        if END + 1 + free <= 200:  # the end counts as the first token where blocks are compared
            assert chosen == expected


@quick
@given(st.integers(4, 9), st.integers(1, 6), rules_of, st.integers(0, 2**64 - 1), st.integers(0, 3), st.data())
def test_a_drawn_sequence_depends_on_its_seed_and_number_alone(size, most, rules, seed, top_k, data):
    numbers = data.draw(st.lists(st.integers(0, 1000), min_size=1, max_size=4))
    options = {"rules": rules, "most": most, "sampler": Sampler(1.3, top_k, seed=seed)}
    together = sample_sequences(Tree(size), len(numbers), numbers, **options)
    for row, (number, hypothesis) in enumerate(zip(numbers, together, strict=True)):
        alone = sample_sequences(Tree(size), 1, [number], first_number=row, **options)
        assert plain(alone) == plain([hypothesis])
        every = all_by_definition(Tree(size), number, rules, 0, most, 1.0) if size == 4 else []
        if every:
            total = {(tokens, cut): total for tokens, total, cut in every}[plain([hypothesis])[0]]
            assert hypothesis.log_probability == pytest.approx(total, abs=1e-5)
