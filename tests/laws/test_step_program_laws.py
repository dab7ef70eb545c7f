"""A program with an output at every step gives the values of its definition, and live what it gives of the whole.

Axes: T time, C columns of ids, K numbers of an output.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.programs import TAGGERS, tagger, values
from tests.profiles import draws

from rekur import _kernels
from rekur.program import Engine, Program, dequantise, draw_sequences, quantise
from rekur.program.stepwise import LiveSteps

CLOSE = 1e-5
LENGTHS = [5, 0, 12, 1, 2, 5]


@pytest.mark.usefixtures("paths")
@draws(15)
@given(**TAGGERS)
def test_outputs_are_those_of_the_definition_in_float64(**options: Any) -> None:
    program, weights = tagger(**options)
    assert program.per_step
    assert program.causal
    assert program.delay == options["delay"]
    sequences = draw_sequences(program, LENGTHS)
    for x, outputs in zip(sequences, Engine(program, weights).run(sequences), strict=True):
        assert outputs.shape == (len(x), program.output_size)
        np.testing.assert_allclose(outputs, values(program, weights, x), atol=CLOSE, rtol=CLOSE)


@pytest.mark.usefixtures("paths")
@pytest.mark.parametrize("columns", [(9,), (11, 5, 4), ()])
def test_a_program_that_reads_both_ways_has_outputs_at_every_step(columns: tuple[int, ...]) -> None:
    program, weights = tagger(columns, bidirectional=True, kernel_size=3, head=("log_softmax",))
    assert not program.causal
    sequences = draw_sequences(program, LENGTHS)
    for x, outputs in zip(sequences, Engine(program, weights).run(sequences), strict=True):
        assert outputs.dtype == np.float32
        np.testing.assert_allclose(outputs, values(program, weights, x), atol=CLOSE, rtol=CLOSE)


@pytest.mark.usefixtures("paths")
@pytest.mark.parametrize(("pool", "bidirectional"), [("last", False), ("ends", True)])
def test_columns_of_ids_before_a_pool(pool: str, bidirectional: bool) -> None:
    program, weights = tagger(pool=pool, bidirectional=bidirectional)
    assert not program.per_step
    sequences = draw_sequences(program, [5, 3, 9])
    outputs = Engine(program, weights).run(sequences)
    assert outputs.shape == (3, program.output_size)
    if pool == "last":
        wanted = [values(program, weights, x) for x in sequences]
        np.testing.assert_allclose(outputs, wanted, atol=CLOSE, rtol=CLOSE)


@pytest.mark.usefixtures("paths")
@draws(15)
@given(**TAGGERS, cuts=st.lists(st.integers(0, 12), max_size=4))
def test_live_is_the_whole_to_the_bit_for_every_cut(cuts: list[int], **options: Any) -> None:
    program, weights = tagger(**options)
    engine, (x,) = Engine(program, weights), draw_sequences(program, [12])
    (whole,) = engine.run([x])
    live = engine.live()
    assert isinstance(live, LiveSteps)
    rows = [live.advance(piece) for piece in np.split(x, sorted(cuts))]
    assert sum(map(len, rows)) == max(0, len(x) - program.delay)
    np.testing.assert_array_equal(np.concatenate([*rows, live.finish()]), whole)
    live.reset()
    for index, step in enumerate(x):
        live.step(step)
        if index >= program.delay:
            np.testing.assert_array_equal(live.read(), whole[index - program.delay])


@pytest.mark.usefixtures("paths")
@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("cut", [0, 1, 2, 7])
def test_a_state_goes_on_where_it_was_taken(delay: int, cut: int) -> None:
    engine = Engine(*tagger(delay=delay, kernel_size=3))
    (x,) = draw_sequences(engine.program, [9])
    (whole,) = engine.run([x])
    first, other = engine.live(), engine.live()
    rows = first.advance(x[:cut])
    other.advance(x[::-1])
    other.set_state(first.get_state())
    rest = np.concatenate([other.advance(x[cut:]), other.finish()])
    np.testing.assert_array_equal(np.concatenate([rows, rest]), whole)
    early, state = engine.run_steps(x[:cut])
    late, state = engine.run_steps(x[cut:], state)
    np.testing.assert_array_equal(np.concatenate([early, late]), whole[: len(x) - delay])
    assert [array.shape for array in state] == [slot.shape for slot in engine.program.state]


@pytest.mark.usefixtures("paths")
@pytest.mark.parametrize("delay", [0, 2])
def test_many_sequences_step_as_each_alone(delay: int) -> None:
    engine = Engine(*tagger(delay=delay))
    x = np.stack(draw_sequences(engine.program, [6, 6, 6]))
    many, whole = engine.many(), engine.run(list(x))
    state = many.initial_state(3)
    for index in range(6):
        state = many.step(x[:, index], state)
        if index >= delay:
            wanted = [outputs[index - delay] for outputs in whole]
            np.testing.assert_allclose(many.read(state), wanted, atol=CLOSE, rtol=CLOSE)


@pytest.mark.skipif(_kernels.kernels is None, reason="the compiled kernels are not installed")
@pytest.mark.parametrize("bidirectional", [False, True])
def test_batch_mates_do_not_matter_to_a_bit(bidirectional: bool) -> None:
    engine = Engine(*tagger(bidirectional=bidirectional))
    sequences = draw_sequences(engine.program, LENGTHS)
    for x, outputs in zip(sequences, engine.run(sequences), strict=True):
        np.testing.assert_array_equal(engine.run([x])[0], outputs)


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_a_quantised_program_computes_with_the_rounded_weights(precision: str) -> None:
    program, weights = tagger(delay=1)
    small, stored = quantise(program, weights, precision)
    _, rounded = dequantise(small, stored)
    sequences = draw_sequences(program, LENGTHS)
    for x, outputs in zip(sequences, Engine(small, stored).run(sequences), strict=True):
        np.testing.assert_allclose(outputs, values(program, rounded, x), atol=CLOSE, rtol=CLOSE)
        exact = values(program, weights, x)
        np.testing.assert_allclose(outputs, exact, atol=0.1)
        assert not len(x) or np.abs(outputs - exact).max() > CLOSE


@draws(15)
@given(**TAGGERS)
def test_format_2_holds_the_whole_program(**options: Any) -> None:
    program, _ = tagger(**options)
    text = program.to_json()
    assert '"version": 2' in text
    assert Program.from_json(text) == program
    assert Program.from_json(text).to_json() == text
