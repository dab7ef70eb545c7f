"""Mixed precision touches the input projection alone: states keep their dtype and chunks stay a whole, for every cell.

Axes: B batch, T time, D input features, H hidden.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.models import CATALOG, Make, variants
from tests.profiles import draws
from torch import Tensor

from rekur.cells import CELLS, LSTM, Cell, State
from rekur.nn import Recurrent
from rekur.nn.stack import detach_state
from rekur.scan import runnable, scan

MADE = CATALOG | variants(
    "lstm projected",
    "a user's slow",
    "dropout lstm",
    "dropout slstm",
    "layer norm lstm",
    "layer norm gru",
    "residual mingru",
)
HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def paths() -> Iterator[Any]:
    for name, make in MADE.items():
        for path in runnable(make(2, 2)):
            yield pytest.param(make, path, id=f"{name}-{path}")


every_path = pytest.mark.parametrize(("make", "path"), list(paths()))
every_half = pytest.mark.parametrize("half", list(HALVES.values()), ids=list(HALVES))
quick = draws(5)
# oneDNN says that it leaves an LSTM with a projection to PyTorch; that it does is not ours to judge
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


@st.composite
def batches(draw: st.DrawFn) -> dict[str, Any]:
    steps, batch_size = draw(st.integers(2, 9)), draw(st.integers(1, 4))
    return {
        "seed": draw(st.integers(0, 2**31)),
        "sizes": (draw(st.integers(3, 6)), draw(st.integers(6, 12))),
        "shape": (batch_size, steps),
        "cut": draw(st.integers(1, steps - 1)),
        "lengths": draw(st.none() | st.lists(st.integers(0, steps), min_size=batch_size, max_size=batch_size)),
        "reverse": draw(st.booleans()),
    }


def made(make: Make, batch: dict[str, Any]) -> tuple[Cell, Tensor, State]:
    torch.manual_seed(batch["seed"])
    cell = make(*batch["sizes"])
    x = torch.randn(*batch["shape"], batch["sizes"][0])
    return cell, x, cell.initial_state(x.shape[0])


def run(cell: Cell, x: Tensor, state: State | None, half: torch.dtype | None, **options: Any) -> tuple[Tensor, State]:
    with torch.autocast("cpu", half or torch.bfloat16, enabled=half is not None):
        return scan(cell, x, state, **options)


def relative(got: Tensor, wanted: Tensor) -> float:
    """Return the size of the difference as a share of the wanted, with some room around zero."""
    got, wanted = got.detach().double(), wanted.detach().double()
    return float((got - wanted).norm() / (wanted.norm() + 0.1))


@every_half
@every_path
@given(batch=batches())
@quick
def test_outputs_and_states_keep_the_dtype_of_the_weights(
    make: Make, path: str, half: torch.dtype, batch: dict[str, Any]
) -> None:
    cell, x, state = made(make, batch)
    lengths = None if batch["lengths"] is None else torch.tensor(batch["lengths"])
    # what comes in as a half, as from a linear layer before, leaves as float32 all the same; no state is no exception
    for given_x, given_state in ((x, state), (x.to(half), tuple(s.to(half) for s in state)), (x.to(half), None)):
        y, after = run(cell, given_x, given_state, half, path=path, lengths=lengths, reverse=batch["reverse"])
        assert {y.dtype, *(s.dtype for s in after)} == {torch.float32}
        for before, then in zip(state, after, strict=True):
            assert before.shape == then.shape


@every_path
@given(batch=batches())
@quick
def test_mixed_precision_is_near_float32_in_values_and_gradients(make: Make, path: str, batch: dict[str, Any]) -> None:
    cell, x, state = made(make, batch)
    lengths = None if batch["lengths"] is None else torch.tensor(batch["lengths"])

    def all_of(half: torch.dtype | None) -> list[Tensor]:
        cell.zero_grad()
        inputs = x.clone().requires_grad_()
        y, after = run(cell, inputs, state, half, path=path, lengths=lengths, reverse=batch["reverse"])
        (y.square().sum() + y.sum() + 0 * inputs.sum()).backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in cell.parameters()]
        return [y.detach(), *(s.detach() for s in after), *gradients, inputs.grad]

    mixed, plain = all_of(torch.bfloat16), all_of(None)
    for got, wanted in zip(mixed, plain, strict=True):
        assert got.dtype == wanted.dtype
        assert relative(got, wanted) < 0.05
    if cell.keeps_precision:
        assert all(bool((got == wanted).all()) for got, wanted in zip(mixed, plain, strict=True))


@every_path
@given(batch=batches())
@quick
def test_chunks_are_the_whole_under_autocast(make: Make, path: str, batch: dict[str, Any]) -> None:
    cell, x, state = made(make, batch)
    whole, last = run(cell, x, state, torch.bfloat16, path=path)
    parts = []
    for part in (x[:, : batch["cut"]], x[:, batch["cut"] :]):
        y, state = run(cell, part, state, torch.bfloat16, path=path)
        parts.append(y)
    assert relative(torch.cat(parts, 1), whole) < 1e-5
    assert all(relative(got, wanted) < 1e-5 for got, wanted in zip(state, last, strict=True))


@every_path
def test_small_changes_are_not_lost_in_a_thousand_steps(make: Make, path: str) -> None:
    torch.manual_seed(0)
    cell = make(4, 8)
    # a memory that the input moves a little at each step: one rounded to 8 bits would stand still
    x = 0.05 * torch.ones(2, 1000, 4) + 0.02 * torch.randn(2, 1000, 4)
    with torch.no_grad():
        y, after = run(cell.eval(), x, None, torch.bfloat16, path=path)
        wanted, last = scan(copy.deepcopy(cell).double(), x.double(), path="loop")
    assert relative(y, wanted) < 0.02
    for name, got, want in zip(cell.state_names or ("h",), after, last, strict=True):
        if name not in ("m", "mask"):
            assert relative(got, want) < 0.02


@pytest.mark.parametrize("cell", list(CELLS))
def test_a_stack_carries_one_dtype_from_chunk_to_chunk(cell: str) -> None:
    torch.manual_seed(0)
    layers = Recurrent(cell, 3, 4, num_layers=2, norm=True)
    state = None
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            out = layers(torch.randn(2, 5, 3), state)
        out.output.float().square().mean().backward()
        state = detach_state(out.state)
        assert {t.dtype for layer in state for direction in layer for t in direction} == {torch.float32}
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layers.parameters())


def test_float64_stays_float64_without_autocast() -> None:
    cell = LSTM(3, 4).double()
    y, (h, c) = scan(cell, torch.randn(2, 5, 3, dtype=torch.float64))
    assert {y.dtype, h.dtype, c.dtype} == {torch.float64}
