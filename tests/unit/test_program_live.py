"""One live sequence on the kernels: the same as op after op in NumPy, and nothing that it is given can hurt it."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from rekur import _kernels
from rekur.cells import CELLS
from rekur.errors import InputError
from rekur.lower import lower
from rekur.models import LanguageSpec, SequenceSpec, build, build_language
from rekur.nn.ngram import run_keys
from rekur.program import Engine, Live
from rekur.program import engine as engines
from rekur.program import plain as plain_cells
from rekur.program.live_native import NativeLive

pytestmark = pytest.mark.skipif(_kernels.kernels is None, reason="the compiled kernels are not installed")

MODELS: dict[str, Any] = {
    "every pool": SequenceSpec(
        discrete=False,
        input_size=5,
        output_size=3,
        cell="lstm",
        hidden_size=33,
        num_layers=2,
        kernel_size=4,
        pooling="last+mean+max+attention",
        norm=True,
        residual=True,
    ),
    "one step of a window": SequenceSpec(
        discrete=True, input_size=9, output_size=1, cell="rnn_relu", hidden_size=7, kernel_size=1, pooling="max"
    ),
    "tied tokens": LanguageSpec(vocabulary_size=12, hidden_size=6, embedding_size=5, tied=True),
    "runs and recall": LanguageSpec(
        vocabulary_size=4,
        hidden_size=6,
        embedding_size=5,
        ngrams=(2, 3),
        ngram_rows=(6, 6),
        recall=(2, 4),
        recall_slots=8,
    ),
    "clusters": LanguageSpec(
        vocabulary_size=12, hidden_size=6, embedding_size=6, softmax="adaptive", cutoffs=(4, 8), cell="gru"
    ),
}

MODELS |= {
    f"{cell} of {size}": SequenceSpec(
        discrete=False, input_size=5, output_size=3, cell=cell, hidden_size=size, num_layers=2, pooling="last"
    )
    for cell in CELLS
    for size in (1, 36)
}


def both(name: str) -> tuple[Engine, NativeLive, Live]:
    """Return the engine of a model, and one sequence of it on the kernels and one in NumPy."""
    spec = MODELS[name]
    model: Any = build(spec, seed=1) if isinstance(spec, SequenceSpec) else build_language(spec, seed=1)
    if getattr(model, "ngram_embedding", None) is not None:
        keys, _ = run_keys(torch.arange(40)[None] % 7 % 4, torch.zeros(1, 2, dtype=torch.int64), (2, 3), None)
        model.ngram_embedding.know([keys[order][0].unique()[:5] for order in (2, 3)])
    program, weights = lower(model)
    engine = Engine(program, weights)
    native = engine.live()
    assert isinstance(native, NativeLive)
    with mock.patch.object(_kernels, "kernels", None):
        return engine, native, Live(program, weights, {})


def steps_of(engine: Engine, count: int) -> list[Any]:
    rng = np.random.default_rng(0)
    size = engine.program.input.size
    if engine.program.input.kind == "tokens":
        return [int(token) for token in rng.integers(0, size, count)]
    return list(rng.normal(size=(count, size)).astype(np.float32))


@pytest.mark.parametrize("name", MODELS)
def test_the_kernels_and_numpy_say_the_same_after_every_step(name: str) -> None:
    engine, native, plain = both(name)
    for step in steps_of(engine, 12):
        native.step(step)
        plain.step(step)
        np.testing.assert_allclose(native.read(), plain.read(), atol=1e-5)
        np.testing.assert_array_equal(native.read(), native.read(), "reading changes nothing")
    for (mine, ours), (other, theirs) in zip(native.get_state().items(), plain.get_state().items(), strict=True):
        assert (mine, ours.dtype, ours.shape) == (other, theirs.dtype, theirs.shape)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_state_is_a_copy_and_brings_everything_back(name: str) -> None:
    engine, native, _ = both(name)
    first, second = steps_of(engine, 6), steps_of(engine, 10)[6:]
    for step in first:
        native.step(step)
    kept = native.get_state()
    for step in second:
        native.step(step)
    wanted = native.read()
    native.reset()
    for array in kept.values():
        assert not array.flags.writeable or array.base is None
    native.set_state(kept)
    for step in second:
        native.step(step)
    np.testing.assert_array_equal(native.read(), wanted)


@pytest.mark.parametrize(
    ("name", "step", "text"),
    [
        ("tied tokens", 12, "step: got 12; expected a whole number in [0, 12)."),
        ("tied tokens", -1, "step: got -1; expected a whole number in [0, 12)."),
        ("tied tokens", 1 << 80, f"step: got {1 << 80}; expected a whole number in [0, 12)."),
        ("every pool", np.zeros(4, np.float32), "expected a row of the input's size."),
    ],
)
def test_a_step_that_cannot_be_leaves_the_sequence_as_it_was(name: str, step: Any, text: str) -> None:
    engine, native, _ = both(name)
    native.step(steps_of(engine, 1)[0])
    before = native.get_state()
    with pytest.raises(InputError) as caught:
        native.step(step)
    assert str(caught.value).endswith(text)
    for name, array in native.get_state().items():
        np.testing.assert_array_equal(array, before[name])


def test_steps_may_be_numbers_and_rows_of_other_types() -> None:
    engine, native, plain = both("tied tokens")
    native.step(np.int64(3))
    plain.step(np.int64(3))
    np.testing.assert_allclose(native.read(), plain.read(), atol=1e-5)
    engine, native, plain = both("every pool")
    row = steps_of(engine, 1)[0]
    native.step(row.astype(np.float64)[::1])
    plain.step(row)
    np.testing.assert_allclose(native.read(), plain.read(), atol=1e-5)


@pytest.mark.parametrize("name", ["tied tokens", "every pool"])
def test_steps_in_one_call_are_steps_one_by_one(name: str) -> None:
    engine, native, plain = both(name)
    steps = np.array(steps_of(engine, 9))
    for step in steps:
        native.step(step)
    wanted = native.read()
    other = np.int32 if steps.ndim == 1 else np.float64
    for given in (steps, np.repeat(steps, 2, axis=0)[::2], steps.astype(other), steps[:0]):
        native.reset()
        native.advance(given[:4])
        native.advance(given[4:])
        if len(given):
            np.testing.assert_array_equal(native.read(), wanted)
    plain.advance(steps)
    np.testing.assert_allclose(plain.read(), wanted, atol=1e-5)
    wrong = np.array([1, 12]) if steps.ndim == 1 else np.zeros((2, 4), np.float32)
    with pytest.raises(InputError, match="step: got"):
        native.advance(wrong)


def test_the_kernels_write_into_a_row_of_the_outputs_size_only() -> None:
    kernel = _kernels.kernels.Live([3, 2, 2], 0, [GOOD], [LAST], [])
    for row in (np.zeros(3, np.float32), np.zeros(2), np.zeros((2, 1), np.float32), [0.0, 0.0]):
        with pytest.raises(ValueError, match="output"):
            kernel.read(row)


def test_nan_stays_in_the_largest_value() -> None:
    engine, native, _ = both("every pool")
    rows = steps_of(engine, 3)
    native.step(rows[0])
    native.step(np.full(5, np.nan, np.float32))
    native.step(rows[1])
    assert np.isnan(native.read()).all()


GOOD = {"op": "affine", "reads": [0], "writes": 1, "weight": np.zeros((2, 3), np.float32)}
LAST = {"op": "last", "reads": [1], "writes": 2, "state": np.zeros(2, np.float32)}


@pytest.mark.parametrize(
    "change",
    [
        {"op": "affinity"},
        {"weight": np.zeros((2, 2), np.float32)},
        {"weight": np.zeros((2, 3))},
        {"weight": None},
        {"reads": []},
        {"reads": [7]},
        {"writes": 9},
        {"op": "embed"},
        {"op": "add"},
        {"op": "recur"},
        {"op": "conv", "depth": 6},
        {"op": "layer_norm"},
        {"op": "ngrams"},
        {"op": "recall"},
        {"op": "recall", "orders": []},
        {"op": "recall", "orders": [17], "slots": 8},
        {"op": "recall", "orders": [2], "slots": 7, "before": np.zeros(2, np.int64)},
        {"op": "recall", "orders": [2], "slots": 8, "before": np.zeros(1, np.int64)},
        {"op": "recall", "orders": [2], "slots": 8, "before": np.zeros(2, np.int64), "memory": np.zeros(7, np.int64)},
        {"op": "padding"},
        {"op": "clusters"},
        {"op": "slice", "first": 2},
        {"op": "slice", "first": -1},
        {"op": "mix", "candidates": 3},
        {"op": "mix", "candidates": 0},
        {"op": "quantiles", "below": 1},
        {"op": "average"},
        {"op": "asinh"},
    ],
)
def test_the_kernels_refuse_ops_that_do_not_fit(change: dict[str, Any]) -> None:
    kernels = _kernels.kernels
    kernels.Live([3, 2, 2], 0, [GOOD], [LAST], [])
    changed = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises((ValueError, IndexError)):
        kernels.Live([3, 2, 2], 0, [changed], [LAST], [])
    with pytest.raises(ValueError, match="got none"):
        kernels.Live([3, 2, 2], 0, [], [], [])


def test_weights_are_packed_once_for_all_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    made, real = list[Any](), plain_cells.Stepper
    monkeypatch.setattr(plain_cells, "Stepper", lambda layers: made.append(layers) or real(layers))
    engine, first, _ = both("every pool")
    before = len(made)
    second, third, _ = engine.live(), engine.live(), engine.many()
    assert len(made) == before > 0
    steps = steps_of(engine, 5)
    for step in steps:
        first.step(step)
    alone = first.read()
    for step in steps[:2]:
        second.step(step)
    for step in steps:
        third.step(step)
    np.testing.assert_array_equal(third.read(), alone, "its own state")
    for step in steps[2:]:
        second.step(step)
    np.testing.assert_array_equal(second.read(), alone, "its own state")


def test_a_token_that_is_none_cannot_be_recalled() -> None:
    _, native, _ = both("runs and recall")
    state = native.get_state()
    state["recall.memory"][:] = np.iinfo(np.int64).max  # in every slot, and not of the vocabulary
    native.set_state(state)
    for token in range(4):
        native.step(token)
    assert np.isfinite(native.read()[1:]).all()


def test_sequences_that_run_in_numpy_share_weights_too(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = LanguageSpec(vocabulary_size=9, hidden_size=6, embedding_size=5, ngrams=(2,), ngram_rows=(1,))
    monkeypatch.setattr(engines, "runs_native", lambda program: False)
    model = Engine(*lower(build_language(spec, seed=0)))
    first = model.live()
    assert isinstance(first, Live)
    monkeypatch.setattr(plain_cells, "Stepper", None)
    second = model.live()
    for live in (first, second):
        live.step(3)
    np.testing.assert_array_equal(first.read(), second.read())
    second.step(4)
    assert not np.array_equal(first.read(), second.read())
