"""Ops over windows of steps: a convolution that reads later steps, a step for every few, the scale of a whole series.

Axes: T time, D numbers of a step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rekur.errors import InputError, NotStreamableError
from rekur.program import Engine, Input, Op, Program, State, Weight

SIZE = 3


def sampling(function: str, steps: int, *, pool: str = "mean") -> Program:
    """Return a program that pools one step for every few, twice."""
    states = [State(f"{name}.{role}", shape, dtype) for name in ("a", "b") for role, shape, dtype in SAMPLED]
    roles = {"mean": ("mean", "count"), "max": ("largest", "count"), "last": ("last",)}[pool]
    states += [State("count", (1,), "int64") if role == "count" else State(role, (SIZE,)) for role in roles]
    ops = [
        Op("sample", (reads,), name, SIZE, {}, {role: f"{name}.{role}" for role, *_ in SAMPLED}, options)
        for name, reads, options in (
            ("a", "input", {"function": function, "steps": steps}),
            ("b", "a", {"function": function, "steps": 2}),
        )
    ]
    ops.append(Op(pool, ("b",), "pooled", SIZE, state={role: role for role in roles}))
    return Program.of("classify", Input("rows", SIZE), {}, tuple(states), tuple(ops))


SAMPLED = (("window", (SIZE,), "float32"), ("seen", (1,), "int64"))


def naive_sample(x: Any, function: str, steps: int) -> Any:
    """Return the steps 0, K, 2K, …, each the largest or the mean of the K steps up to it, in float64."""
    join = np.max if function == "max" else np.mean
    parts = [join(x[max(0, end - steps + 1) : end + 1].astype(np.float64), axis=0) for end in range(0, len(x), steps)]
    return np.array(parts).reshape(-1, x.shape[1])


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", ["max", "mean"])
@pytest.mark.parametrize("steps", [2, 3, 7])
def test_a_step_for_every_few_is_what_a_loop_says(function: str, steps: int) -> None:
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(length, SIZE)).astype(np.float32) for length in (0, 1, 2, 5, 14, 15, 40)]
    engine = Engine(sampling(function, steps), {})
    expected = [
        naive_sample(naive_sample(x, function, steps), function, 2).mean(axis=0) if len(x) else np.zeros(SIZE)
        for x in series
    ]
    close(engine.run(series), expected)


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(["max", "mean"]),
    st.sampled_from(["mean", "max", "last"]),
    st.integers(2, 5),
    st.lists(st.integers(0, 9), min_size=1, max_size=6),
)
def test_any_cut_of_a_series_gives_the_same(function: str, pool: str, steps: int, cuts: list[int]) -> None:
    x = np.random.default_rng(len(cuts)).normal(size=(sum(cuts), SIZE)).astype(np.float32)
    engine = Engine(sampling(function, steps, pool=pool), {})
    state, start = engine.initial_state(), 0
    live = engine.live()
    for size in cuts:
        state = engine.advance(x[start : start + size], state)
        live.advance(x[start : start + size])
        start += size
    close(engine.read(state), engine.run([x])[0])
    close(live.read(), engine.run([x])[0])


def test_rows_of_a_batch_stand_at_places_of_their_own() -> None:
    engine = Engine(sampling("max", 3, pool="last"), {})
    rng = np.random.default_rng(1)
    series = rng.normal(size=(3, 11, SIZE)).astype(np.float32)
    many = engine.many()
    states = [many.initial_state(1) for _ in series]
    for row, lead in enumerate((0, 1, 4)):  # some are ahead
        for step in range(lead):
            states[row] = many.step(series[row, step][None], states[row])
    joined = {name: np.concatenate([state[name] for state in states]) for name in states[0]}
    for step in range(7):
        joined = many.step(np.stack([series[row, lead + step] for row, lead in enumerate((0, 1, 4))]), joined)
    expected = engine.run([series[row, : lead + 7] for row, lead in enumerate((0, 1, 4))])
    close(many.read(joined), expected)


@pytest.mark.parametrize(("width", "ahead"), [(5, 2), (4, 3), (41, 20)])
def test_a_centred_convolution_reads_zeros_beyond_the_ends(width: int, ahead: int) -> None:
    rng = np.random.default_rng(2)
    weight, bias = rng.normal(size=(2, SIZE, width)).astype(np.float32), rng.normal(size=2).astype(np.float32)
    ops = (
        Op("conv", ("input",), "conv", 2, {"weight": "w", "bias": "b"}, {}, {"ahead": ahead}),
        Op("max", ("conv",), "max", 2, {}, {"largest": "largest", "count": "count"}),
    )
    states = (State("largest", (2,)), State("count", (1,), "int64"))
    shapes = {"w": Weight(weight.shape), "b": Weight(bias.shape)}
    program = Program.of("classify", Input("rows", SIZE), shapes, states, ops)
    series = [rng.normal(size=(length, SIZE)).astype(np.float32) for length in (1, 3, 60)]
    expected = []
    for x in series:
        padded = np.pad(x.astype(np.float64), ((width - 1 - ahead, ahead), (0, 0)))
        rows = [np.einsum("kd,odk->o", padded[t : t + width], weight) + bias for t in range(len(x))]
        expected.append(np.max(rows, axis=0))
    np.testing.assert_allclose(Engine(program, {"w": weight, "b": bias}).run(series), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(NotStreamableError):
        Engine(program, {"w": weight, "b": bias}).live()


def test_a_series_is_scaled_by_its_own_moments_and_clipped() -> None:
    ops = (
        Op("standardize", ("input",), "own", SIZE, options={"epsilon": 1e-4}),
        Op("clip", ("own",), "clip", SIZE, options={"limit": 1.5}),
        Op("last", ("clip",), "last", SIZE, state={"last": "last"}),
    )
    program = Program.of("classify", Input("rows", SIZE), {}, (State("last", (SIZE,)),), ops)
    rng = np.random.default_rng(3)
    series = [(5 + 3 * rng.normal(size=(length, SIZE))).astype(np.float32) for length in (1, 4, 30)]
    series.append(np.full((6, SIZE), 7, np.float32))  # nothing varies
    wide = [x.astype(np.float64) for x in series]
    expected = [np.clip((x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-4), -1.5, 1.5)[-1] for x in wide]
    close(Engine(program, {}).run(series), expected)
    assert not program.causal


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (Op("sample", ("input",), "a", SIZE, {}, {}, {"function": "sum", "steps": 2}), r"function: got 'sum'"),
        (Op("sample", ("input",), "a", SIZE, {}, {}, {"function": "max", "steps": 1}), r"steps: got 1"),
        (Op("clip", ("input",), "a", SIZE, options={"limit": -1.0}), r"limit: got -1"),
    ],
)
def test_an_option_that_is_out_of_range_is_named(op: Op, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Program.of("classify", Input("rows", SIZE), {}, (), (op,))


def test_steps_of_two_rates_are_not_joined_and_are_no_output() -> None:
    state = tuple(State(role, shape, dtype) for role, shape, dtype in SAMPLED)
    roles = {role: role for role, *_ in SAMPLED}
    sample = Op("sample", ("input",), "a", SIZE, {}, roles, {"function": "max", "steps": 2})
    with pytest.raises(InputError, match="as many steps"):
        Program.of("classify", Input("rows", SIZE), {}, state, (sample, Op("add", ("a", "input"), "b", SIZE)))
    with pytest.raises(InputError, match="a step for every 2"):
        Program.of("tag", Input("rows", SIZE), {}, state, (sample,))
