"""Laws of programs that are searched: the engine gives what the ops define, whatever stands beside a target."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tests.laws.pair_programs import SOURCES, TOKENS, pair_program, pair_values
from tests.profiles import draws

from rekur.decode import Rules, beam_search
from rekur.program import PairEngine, Part, Program

quick = draws(20, suppress_health_check=[HealthCheck.function_scoped_fixture])
PROGRAMS = {
    (score, is_started): pair_program(score, is_started=is_started)
    for score in ("dot", "additive")
    for is_started in (False, True)
}
sources = st.lists(st.lists(st.integers(0, SOURCES - 1), max_size=7), min_size=1, max_size=5)


@pytest.fixture(params=[False, True], ids=["numpy", "kernels"])
def engines(request, monkeypatch):
    """Engines on NumPy alone, and on the kernels where they are."""
    if not request.param:
        monkeypatch.setattr("rekur._kernels.kernels", None)
    return {key: PairEngine(program, weights) for key, (program, weights) in PROGRAMS.items()}


@quick
@given(st.sampled_from(list(PROGRAMS)), sources, st.integers(1, 4), st.data())
def test_the_engine_gives_what_the_ops_define(engines, key, sequences, length, data):
    engine, (program, weights) = engines[key], PROGRAMS[key]
    numbers = np.arange(len(sequences))
    targets = np.empty((len(sequences), 0), np.int64)
    state = engine.begin(len(sequences), engine.encode(sequences))
    for _ in range(length):
        count = len(numbers)
        ids = np.array(data.draw(st.lists(st.integers(0, TOKENS - 1), min_size=count, max_size=count)))
        outputs, new_state = engine.step(ids, state)
        assert np.array_equal(engine.step(ids, state)[0], outputs)  # the state is as it was
        targets = np.concatenate([targets, ids[:, None]], axis=1)
        for number, target, output in zip(numbers, targets, outputs, strict=True):
            expected = pair_values(program, weights, sequences[number], target)[-1]
            assert output[0] == expected[0] == -np.inf
            np.testing.assert_allclose(output[1:], expected[1:], atol=2e-5)
        rows = np.array(data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=7)))
        state, targets, numbers = engine.select(new_state, rows), targets[rows], numbers[rows]


@quick
@given(
    st.sampled_from(list(PROGRAMS)), sources, st.integers(1, TOKENS + 1), st.sets(st.integers(0, TOKENS - 1)), st.data()
)
def test_the_largest_outputs_are_those_of_a_step(engines, key, sequences, count, apart, data):
    engine, others = engines[key], sorted(apart)
    if not engine.most_listed:
        return
    state = engine.begin(len(sequences), engine.encode(sequences))
    ids = np.array(data.draw(st.lists(st.integers(0, TOKENS - 1), min_size=len(sequences), max_size=len(sequences))))
    outputs, after = engine.step(ids, state)
    tokens, scores, of_others, after_too = engine.largest(ids, state, count, others)
    assert np.array_equal(after.arrays["hidden.h"], after_too.arrays["hidden.h"])
    np.testing.assert_allclose(of_others, outputs[:, others], atol=1e-5)
    outputs[:, others] = -np.inf
    expected = np.full(scores.shape, -np.inf, np.float32)
    expected[:, :TOKENS] = np.sort(outputs, axis=1)[:, ::-1][:, :count]
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    there = np.isfinite(scores)
    np.testing.assert_allclose(np.take_along_axis(outputs, tokens, axis=1)[there], scores[there], atol=1e-5)


@quick
@given(st.sampled_from(list(PROGRAMS)), sources, st.integers(1, 4), st.integers(0, 3))
def test_a_search_over_listed_tokens_is_one_over_all(engines, key, sequences, beam, least):
    engine, options = engines[key], {"rules": Rules(end=3, begin=2), "least": least, "most": 5, "beam": beam}
    without = Rules(end=3, begin=2, no_repeat=6)  # such a rule needs all tokens; here it never applies
    listed = beam_search(engine, len(sequences), engine.encode(sequences), **options)
    every = beam_search(engine, len(sequences), engine.encode(sequences), **options | {"rules": without})
    for one, other in zip(listed, every, strict=True):
        assert [each.ids.tolist() for each in one] == [each.ids.tolist() for each in other]
        assert [each.is_cut for each in one] == [each.is_cut for each in other]
        np.testing.assert_allclose([each.score for each in one], [each.score for each in other], atol=1e-5)


@quick
@given(st.sampled_from(list(PROGRAMS)), sources, st.data())
def test_whole_targets_are_scored_as_the_ops_define(engines, key, sequences, data):
    engine, (program, weights) = engines[key], PROGRAMS[key]
    token = st.integers(1, TOKENS - 1)
    targets = [data.draw(st.lists(token, max_size=5)) for _ in sequences]
    scored = engine.log_probabilities(targets, engine.encode(sequences))
    assert [len(each) for each in scored] == [max(0, len(target) - 1) for target in targets]
    for sequence, target, each in zip(sequences, targets, scored, strict=True):
        if len(target) > 1:
            expected = pair_values(program, weights, sequence, target[:-1])
            np.testing.assert_allclose(each, expected[np.arange(len(each)), target[1:]], atol=2e-5)


@quick
@given(st.sampled_from(list(PROGRAMS)), sources, st.data())
def test_an_attention_weighs_the_memory_to_the_context(engines, key, sequences, data):
    engine, (program, weights) = engines[key], PROGRAMS[key]
    targets = [data.draw(st.lists(st.integers(1, TOKENS - 1), max_size=5)) for _ in sequences]
    encoded = engine.encode(sequences)
    decode = program.parts["decode"]
    contexts = Part(decode.inputs, decode.ops[:3], {"output": "context"})
    parts = {"encode": program.parts["encode"], "decode": contexts}
    used = {name: weight for name, weight in program.weights.items() if name != "out"}
    program = Program("translate", parts, used, program.state)
    memories = np.split(encoded.steps["memory"], np.cumsum(encoded.lengths)[:-1])
    shares = engine.attention(targets, encoded)
    for sequence, target, each, memory in zip(sequences, targets, shares, memories, strict=True):
        assert each.shape == (max(0, len(target) - 1), len(sequence))
        if each.size:
            np.testing.assert_allclose(each.sum(axis=1), 1, atol=1e-6)
            np.testing.assert_allclose(each @ memory, pair_values(program, weights, sequence, target[:-1]), atol=2e-5)


@quick
@given(st.sampled_from(list(PROGRAMS)), sources)
def test_a_search_does_not_depend_on_its_mates(engines, key, sequences):
    engine, options = engines[key], {"rules": Rules(end=3, begin=2), "most": 6, "beam": 3, "n_best": 3}
    together = beam_search(engine, len(sequences), engine.encode(sequences), **options)
    for sequence, hypotheses in zip(sequences, together, strict=True):
        alone = beam_search(engine, 1, engine.encode([sequence]), **options)[0]
        assert [each.ids.tolist() for each in alone] == [each.ids.tolist() for each in hypotheses]
        np.testing.assert_allclose([each.score for each in alone], [each.score for each in hypotheses], atol=1e-5)


@pytest.mark.parametrize("key", PROGRAMS)
def test_a_written_program_is_read_again(key):
    program = PROGRAMS[key][0]
    assert Program.from_json(program.to_json()) == program
