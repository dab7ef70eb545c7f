"""Decoding: statistics of draws, generation from prompts, finished rows, streaming, errors."""

from __future__ import annotations

import numpy as np
import pytest

from rekur.decode import Sampler, generate, generate_all
from rekur.decode.pick import DIRECT, pick
from rekur.errors import InputError
from rekur.features import TextFeatures

FEATURES = TextFeatures("char").fit(["abcdefgh .\n"])


class Remembered:
    """Scores from a table (V, V) by the last token; the state is every token so far, and calls are counted."""

    def __init__(self, table):
        self.table, self.rows, self.steps = np.asarray(table, np.float32), 0, 0

    def begin(self, batch, memory=None):
        return np.empty((batch, 0), np.int64)

    def step(self, ids, state):
        self.rows, self.steps = self.rows + len(ids), self.steps + 1
        return self.table[ids], np.concatenate([state, ids[:, None]], axis=1)

    def select(self, state, rows):
        return state[rows]


def noise(size, seed=0):
    return Remembered(np.random.default_rng(seed).normal(size=(size, size)) * 2)


# ── draws ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 3},
        {"top_k": 4},
        {"top_p": 0.7},
        {"min_p": 0.2},
        {"temperature": 2, "top_k": 6, "top_p": 0.9, "min_p": 0.1},
        {"draw_unknown": True},
    ],
    ids=str,
)
def test_draws_are_as_frequent_as_they_are_probable(options):
    scores = np.random.default_rng(1).normal(size=12).astype(np.float32) * 1.5
    sampler = Sampler(**options, seed=11)
    expected = sampler.probabilities(scores[None])[0]
    rows, times = 200, 100
    draws = sampler.start(rows)
    drawn = np.concatenate([draws.draw(np.tile(scores, (rows, 1)))[0] for _ in range(times)])
    counts = np.bincount(drawn, minlength=12)
    assert counts[expected == 0].sum() == 0
    wanted = expected * rows * times
    chi_square = ((counts - wanted)[wanted > 0] ** 2 / wanted[wanted > 0]).sum()
    assert chi_square < 30  # 11 degrees of freedom at most: exceeded once in 600 draws of a right sampler


def test_draws_of_one_sample_over_time_are_as_frequent_as_they_are_probable():
    scores = np.log(np.array([[0.2, 0.2, 0.1, 0.2, 0.3]]))
    draws = Sampler(seed=3).start(1)
    counts = np.bincount([draws.draw(scores)[0][0] for _ in range(6000)], minlength=5)
    assert counts[:2].tolist() == [0, 0]
    assert np.abs(counts[2:] / 6000 - np.array([1, 2, 3]) / 6).max() < 0.02


def test_samples_and_tokens_are_independent_of_each_other():
    from rekur.decode.sample import _uniforms

    table = np.stack([_uniforms(5, number, block) for number in range(64) for block in range(2)])
    assert len(np.unique(table)) == table.size
    off_diagonal = np.corrcoef(table)[~np.eye(128, dtype=bool)]
    assert np.abs(off_diagonal).max() < 0.32  # five standard deviations of independent rows of 256


def test_large_vocabularies_are_drawn_from_like_small_ones():
    random = np.random.default_rng(0)
    weights = random.exponential(size=(50, DIRECT + 333)) * (random.random((50, DIRECT + 333)) < 0.1)
    uniforms = random.random(50)
    uniforms[:3] = [0, np.nextafter(1, 0), 0.5]
    found, sums = pick(weights, uniforms)
    ends = weights.cumsum(axis=1)
    assert found.tolist() == (ends <= (uniforms * ends[:, -1])[:, None]).sum(axis=1).tolist()
    assert np.allclose(sums, weights.sum(axis=1))
    assert (weights[np.arange(50), found] > 0).all()


def test_weights_of_zero_are_never_picked_whatever_the_number():
    weights = np.zeros((4, 2000), np.float32)
    weights[:, 700] = weights[:, 1200] = 1
    found, _ = pick(weights, np.array([0, 0.5, np.nextafter(0.5, 0), np.nextafter(1, 0)]))
    assert found.tolist() == [700, 1200, 700, 1200]


@pytest.mark.parametrize("options", [{}, {"temperature": 0.3, "top_k": 2}, {"temperature": 0}, {"top_p": 0.4}], ids=str)
@pytest.mark.parametrize("rows", [1, 3])
def test_log_probabilities_are_those_of_the_model_itself(options, rows):
    scores = np.random.default_rng(2).normal(size=(rows, 9)).astype(np.float32)
    ids, found = Sampler(**options, seed=0).start(rows).draw(scores)
    wide = scores.astype(np.float64)
    expected = wide - np.log(np.exp(wide[:, 1:]).sum(axis=1, keepdims=True))
    assert np.allclose(found, expected[np.arange(rows), ids], rtol=1e-6)


def test_an_unknown_token_that_is_all_but_certain_is_still_not_drawn():
    scores = np.array([[0, 500, 1, 2]], np.float32)
    ids, log_probabilities = Sampler(0).start(1).draw(scores)
    assert ids.tolist() == [3]
    assert log_probabilities[0] == pytest.approx(-498)
    assert Sampler(0, draw_unknown=True).start(1).draw(scores)[0].tolist() == [1]


def test_a_penalty_makes_used_tokens_rarer_and_forgets_those_outside_the_window():
    scores = np.array([[0, 0, 2, 1, -1, -2]], np.float32)
    plain = Sampler().probabilities(scores)[0]
    for window, used in [(0, {2, 5}), (1, {5}), (2, {2, 5})]:
        found = Sampler(repetition_penalty=2, repetition_window=window).probabilities(scores, [2, 5])[0]
        ratio = found[2:] / plain[2:]
        assert {token for token, r in enumerate(ratio, 2) if r < 1} == used
    draws = Sampler(0, repetition_penalty=1e9, repetition_window=2).start(1, history=[4, 4])
    assert [draws.draw(scores)[0][0] for _ in range(6)] == [2, 3, 2, 2, 3, 2]


def test_a_seed_is_a_sample_and_no_seed_is_another_each_time():
    scores = np.zeros((4, 1000), np.float32)
    first = Sampler(seed=9).start(4).draw(scores)[0].tolist()
    assert first == Sampler(seed=9).start(4).draw(scores)[0].tolist()
    assert first != Sampler(seed=10).start(4).draw(scores)[0].tolist()
    assert Sampler().start(4).draw(scores)[0].tolist() != Sampler().start(4).draw(scores)[0].tolist()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"temperature": -0.5}, "temperature: got -0.5; expected a number of 0 or more."),
        ({"temperature": float("nan")}, "temperature: got nan; expected a number of 0 or more."),
        (
            {"temperature": 1e-9},
            "temperature: got 1e-09; expected 0, or a number in [1e-06, 1e+06]. For the likeliest token take 0.",
        ),
        ({"temperature": 1e9}, "temperature: got 1000000000.0; expected 0, or a number in [1e-06, 1e+06]."),
        ({"top_k": -1}, "top_k: got -1; expected a whole number of 0 or more."),
        ({"top_p": 0}, "top_p: got 0; expected a number in (0, 1]. For the likeliest token take top_k=1."),
        ({"top_p": 1.5}, "top_p: got 1.5; expected a number in (0, 1]."),
        ({"min_p": 1}, "min_p: got 1; expected a number in [0, 1)."),
        ({"repetition_penalty": 0.5}, "repetition_penalty: got 0.5; expected a number of 1 or more."),
        ({"repetition_window": -1}, "repetition_window: got -1; expected a whole number of 0 or more."),
        ({"seed": 2**64}, f"seed: got {2**64}; expected a whole number in [0, {2**64 - 1}]."),
        ({"draw_unknown": 1}, "draw_unknown: got 1; expected True or False."),
    ],
)
def test_options_out_of_range_are_refused(options, text):
    with pytest.raises(InputError) as caught:
        Sampler(**options)
    assert str(caught.value) == text


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(rows, bad):
    scores = np.zeros((rows, 5), np.float32)
    scores[-1, 3] = bad
    with pytest.raises(InputError) as caught:
        Sampler().start(rows).draw(scores)
    assert str(caught.value) == (
        "scores of the next token: got NaN or infinity; expected finite numbers. "
        "The model's weights may be damaged, or its training diverged."
    )


def test_scores_of_another_batch_are_refused():
    with pytest.raises(InputError) as caught:
        Sampler().start(2).draw(np.zeros((3, 5)))
    assert str(caught.value) == "shape of the scores: got (3, 5); expected (2, V) with V above 2."


# ── generation ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_log_probability_is_the_sum_over_the_tokens_drawn():
    model = noise(FEATURES.size)
    (sample,) = generate_all(model, FEATURES, prompt="ab", max_tokens=20, sampler=Sampler(0.7, top_k=5, seed=1))
    ids = [0, *FEATURES.transform("ab"), *sample.ids]
    table = model.table.astype(np.float64)[:, 1:]
    each = table - np.log(np.exp(table).sum(axis=1, keepdims=True))
    expected = [each[before, token - 1] for before, token in zip(ids[2:-1], sample.ids, strict=True)]
    assert sample.each.tolist() == pytest.approx(expected, rel=1e-5)
    assert sample.log_probability == pytest.approx(sum(expected), rel=1e-5)
    assert (sample.tokens, sample.stopped, FEATURES.decode(sample.ids)) == (20, "length", sample.text)


def test_the_model_reads_the_start_token_the_prompt_and_all_but_the_last_token_drawn():
    (sample,) = generate_all(noise(FEATURES.size), FEATURES, prompt="abc", max_tokens=4)
    read = [0, *FEATURES.transform("abc"), *sample.ids[:-1]]
    assert sample.continuation.state.tolist() == [read]


def test_without_a_prompt_generation_starts_from_the_start_token():
    model = noise(FEATURES.size)
    (sample,) = generate_all(model, FEATURES, max_tokens=1, sampler=Sampler(0))
    assert sample.ids.tolist() == [model.table[0, 2:].argmax() + 2]


def test_the_prompt_is_read_once_for_all_samples_and_ended_samples_cost_nothing():
    model = noise(FEATURES.size, seed=4)
    samples = generate_all(
        model, FEATURES, prompt="abcde", samples=30, max_tokens=50, stop=["."], sampler=Sampler(seed=0)
    )
    lengths = [sample.tokens for sample in samples]
    assert len(set(lengths)) > 10
    assert model.rows == 6 + sum(length - 1 for length in lengths)
    for sample in samples:
        assert sample.stopped == ("stop" if sample.tokens < 50 else "length") or sample.tokens == 50
        assert "." not in sample.text


def test_a_step_costs_the_same_at_any_length():
    class Watched:
        """Counts the characters that are decoded."""

        size, pushed = FEATURES.size, 0

        def transform(self, text):
            return FEATURES.transform(text)

        def unknown(self, text):
            return []

        def decoder(self):
            inner = FEATURES.decoder()

            class Counting:
                @staticmethod
                def push(numbers):
                    Watched.pushed += len(numbers)
                    return inner.push(numbers)

                finish = staticmethod(inner.finish)

            return Counting()

    for stream in (True, False):
        Watched.pushed = 0
        model = noise(FEATURES.size)
        model.select = lambda state, rows: state
        list(generate(model, Watched(), prompt="abc", max_tokens=300, stop=["zzz"], stream=stream))
        assert Watched.pushed == 303
        assert model.rows == 4 + 299


def test_events_come_while_the_text_is_drawn():
    model = noise(FEATURES.size)
    events = generate(model, FEATURES, samples=2, max_tokens=10, sampler=Sampler(seed=1))
    first = next(events)
    assert (first.number, len(first.text), first.sample, model.steps) == (0, 1, None, 1)
    rest = [first, *events]
    for number in (0, 1):
        mine = [event for event in rest if event.number == number]
        assert [event.sample is None for event in mine] == [True] * 9 + [False]
        assert "".join(event.text for event in mine) == mine[-1].sample.text


def test_words_go_on_with_the_space_that_the_prompt_asks_for():
    features = TextFeatures("word").fit(["go on and on ."])
    (sample,) = generate_all(noise(features.size), features, prompt="go", max_tokens=3, sampler=Sampler(seed=0))
    assert features.decode([*features.transform("go"), *sample.ids]) == "go" + sample.text


def test_bytes_of_a_character_wait_until_it_is_whole():
    features = TextFeatures("byte")
    model = Remembered(np.eye(features.size))
    for before, after in zip([0, *features.transform("aé☃")], features.transform("aé☃"), strict=False):
        model.table[before] = np.eye(features.size)[after]
    events = list(generate(model, features, max_tokens=6, sampler=Sampler(0)))
    assert [event.text for event in events] == ["a", "é", "☃"]


def test_unknown_parts_of_a_prompt_are_listed_or_read_as_unknown():
    model = noise(FEATURES.size)
    with pytest.raises(InputError) as caught:
        generate(model, FEATURES, prompt="aX, b☃X")
    assert str(caught.value) == (
        "prompt: got 'X', ',', '☃', never seen in training; expected what the model knows. "
        "Leave them out, or read them as unknown with unknown='keep' (--unknown keep)."
    )
    (sample,) = generate_all(model, FEATURES, prompt="aX", max_tokens=1, unknown="keep")
    assert sample.continuation.ids[:2].tolist() == [FEATURES.transform("a")[0], 1]


def test_a_prompt_may_be_token_numbers():
    model, sampler = noise(FEATURES.size), Sampler(seed=0)
    text = generate_all(model, FEATURES, prompt="abc", max_tokens=9, sampler=sampler)
    numbers = generate_all(model, FEATURES, prompt=FEATURES.transform("abc"), max_tokens=9, sampler=sampler)
    assert text == numbers


def test_a_continuation_takes_a_further_prompt_and_branches():
    model, sampler = noise(FEATURES.size), Sampler(seed=0)
    (begun,) = generate_all(model, FEATURES, prompt="ab", max_tokens=3, sampler=sampler)
    go_on = {"prompt": "cd", "max_tokens": 4, "sampler": sampler, "continue_from": begun.continuation}
    three = generate_all(model, FEATURES, samples=3, **go_on)
    assert [sample.number for sample in three] == [0, 1, 2]
    assert len({sample.text for sample in three}) == 3
    (alone,) = generate_all(model, FEATURES, **go_on)
    assert (alone.number, alone.text) == (three[0].number, three[0].text)
    read = [*FEATURES.transform("ab"), *begun.ids, *FEATURES.transform("cd")]
    assert three[2].continuation.ids[:7].tolist() == read
    assert three[2].continuation.state[0].tolist() == [0, *read, *three[2].ids[:-1]]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"samples": 0}, "samples: got 0; expected a whole number of 1 or more."),
        ({"max_tokens": 0}, "max_tokens: got 0; expected a whole number of 1 or more."),
        ({"stop": "END"}, "stop: got 'END'; expected a list of strings. Put a single string into a list."),
        ({"stop": ["a", ""]}, "stop: got ''; expected strings of at least one character."),
        ({"unknown": "kep"}, "unknown: got 'kep'; expected one of 'error', 'keep'. Did you mean 'keep'?"),
        ({"prompt": [2, 99]}, "prompt: got 99; expected token numbers in [0, 12]."),
        ({"prompt": [0.5]}, "prompt: got [0.5]; expected a text or a list of token numbers."),
        ({"stream": 1}, "stream: got 1; expected True or False."),
    ],
)
def test_bad_options_are_refused_before_anything_is_drawn(options, text):
    with pytest.raises(InputError) as caught:
        generate(noise(FEATURES.size), FEATURES, **options)
    assert str(caught.value) == text
