"""Every scan gives what the loop gives: values and every gradient, whatever the lengths, the direction and the padding.

Axes: B batch, T time, D input features, H hidden, O output.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.models import CATALOG, Make, variants, variants_in_evaluation
from tests.profiles import draws
from torch import Tensor

from rekur.cells import (
    GRU,
    LSTM,
    Cell,
    Elman,
    GRUResetBefore,
    LayerNorm,
    MinGRU,
    PeepholeLSTM,
    RecurrentDropout,
    State,
    Zoneout,
)
from rekur.scan import reverse_rows, runnable, scan

torch.set_num_threads(1)


MADE = (
    CATALOG
    | variants(
        "lstm projected",
        "lstm without bias",
        "gru without bias",
        "reset before without bias",
        "a user's",
        "dropout rnn",
        "dropout gru",
        "dropout reset before",
        "dropout lstm",
        "dropout lstm projected",
        "dropout peephole",
        "a user's linear",
        "layer norm lstm",
        "residual mingru",
        "layer norm relu",
        "layer norm gru",
        "layer norm gru without bias",
        "layer norm lstm projected",
        "layer norm peephole",
        "dropout layer norm gru",
        "dropout layer norm lstm",
    )
    | variants_in_evaluation(
        "zoneout rnn",
        "zoneout gru",
        "zoneout lstm projected",
        "zoneout reset before",
        "zoneout layer norm peephole",
    )
)


def paths() -> Iterator[Any]:
    for name, make in MADE.items():
        for path in runnable(make(2, 2)):
            yield pytest.param(make, path, id=f"{name}-{path}")


every_cell = pytest.mark.parametrize("make", list(MADE.values()), ids=list(MADE))
every_path = pytest.mark.parametrize(("make", "path"), list(paths()))
quick = draws(6)


@pytest.fixture(autouse=True, scope="module")
def uninitialised_memory_is_nan() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)  # fills torch.empty with NaN
    yield
    torch.use_deterministic_algorithms(False)


@st.composite
def batches(draw: st.DrawFn, ragged: bool = False) -> dict[str, Any]:
    steps, batch_size = draw(st.integers(1, 7)), draw(st.integers(1, 5))
    lengths = st.lists(st.integers(0, steps), min_size=batch_size, max_size=batch_size)
    return {
        "seed": draw(st.integers(0, 2**31)),
        "sizes": (draw(st.integers(1, 3)), draw(st.integers(2, 4))),
        "steps": steps,
        "batch_size": batch_size,
        "lengths": draw(lengths if ragged else st.none() | lengths),
        "reverse": draw(st.booleans()),
    }


class Case:
    """A cell with random weights, inputs, states and weights of a loss over every output."""

    def __init__(self, make: Make, batch: dict[str, Any]) -> None:
        torch.manual_seed(batch["seed"])
        input_size, hidden_size = batch["sizes"]
        self.cell = make(input_size, hidden_size).double()
        with torch.no_grad():
            for parameter in self.cell.parameters():
                parameter.uniform_(-0.8, 0.8)
        self.batch_size, self.steps = batch["batch_size"], batch["steps"]
        self.x = torch.randn(self.batch_size, self.steps, input_size, dtype=torch.float64)
        lengths = batch["lengths"]
        self.lengths = None if lengths is None else torch.tensor(lengths)
        self.reverse = batch["reverse"]
        start = self.cell.initial_state(self.batch_size, dtype=torch.float64)
        self.state = tuple(s + 0.3 * torch.rand_like(s) for s in start)
        self.parameters = list(self.cell.parameters())

    def run(self, path: str, **changes: Any) -> list[Tensor]:
        given = {"x": self.x, "state": self.state, "lengths": self.lengths, "reverse": self.reverse} | changes
        y, state = scan(
            self.cell, given["x"], given["state"], lengths=given["lengths"], reverse=given["reverse"], path=path
        )
        return [y, *state]

    def run_with_gradients(self, path: str, **changes: Any) -> tuple[list[Tensor], list[Tensor]]:
        x = changes.pop("x", self.x).clone().requires_grad_()
        state = tuple(s.clone().requires_grad_() for s in self.state)
        results = self.run(path, x=x, state=state, **changes)
        torch.manual_seed(1)
        loss = sum((r * torch.randn(r.shape, dtype=r.dtype)).sum() for r in results)
        if not loss.requires_grad:
            return results, []
        wanted = [x, *state, *self.parameters]
        found = torch.autograd.grad(loss, wanted, allow_unused=True)
        return results, [torch.zeros_like(w) if f is None else f for w, f in zip(wanted, found, strict=True)]


def assert_same(got: list[Tensor], wanted: list[Tensor]) -> None:
    assert len(got) == len(wanted)
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g, w, rtol=1e-9, atol=1e-9)


@every_path
@quick
@given(batches())
def test_every_scan_is_the_loop_in_values_and_every_gradient(make: Make, path: str, batch: dict[str, Any]) -> None:
    case = Case(make, batch)
    values, gradients = case.run_with_gradients(path)
    wanted_values, wanted_gradients = case.run_with_gradients("loop")
    assert_same(values, wanted_values)
    assert_same(gradients, wanted_gradients)
    with torch.no_grad():
        assert_same(case.run(path), wanted_values)


@every_path
@quick
@given(batches())
def test_a_batch_is_its_rows_alone(make: Make, path: str, batch: dict[str, Any]) -> None:
    case = Case(make, batch)
    y, *state = case.run(path)
    lengths = [case.steps] * case.batch_size if case.lengths is None else case.lengths.tolist()
    for row, length in enumerate(lengths):
        one = slice(row, row + 1)
        alone, *after = case.run(path, x=case.x[one, :length], state=tuple(s[one] for s in case.state), lengths=None)
        assert_same([y[one, :length], *(s[one] for s in state)], [alone, *after])
        assert bool((y[row, length:] == 0).all())


@every_path
@quick
@given(batches(), st.data())
def test_chunks_with_carried_state_are_the_whole(
    make: Make, path: str, batch: dict[str, Any], data: st.DataObject
) -> None:
    case = Case(make, batch | {"reverse": False})
    y, *state = case.run(path)
    cut = data.draw(st.integers(0, case.steps))
    first = None if case.lengths is None else case.lengths.clamp(max=cut)
    second = None if case.lengths is None else (case.lengths - cut).clamp(min=0)
    y1, *carried = case.run(path, x=case.x[:, :cut], lengths=first)
    y2, *after = case.run(path, x=case.x[:, cut:], lengths=second, state=tuple(carried))
    assert_same([torch.cat([y1, y2], 1), *after], [y, *state])


@every_path
@quick
@given(batches())
def test_reverse_reads_each_row_from_its_own_end(make: Make, path: str, batch: dict[str, Any]) -> None:
    case = Case(make, batch)
    y, *state = case.run(path, reverse=True)
    turned, *after = case.run(path, x=reverse_rows(case.x, case.lengths), reverse=False)
    assert_same([y, *state], [reverse_rows(turned, case.lengths), *after])


@every_path
@quick
@given(batches(ragged=True))
def test_nan_in_the_padding_reaches_nothing(make: Make, path: str, batch: dict[str, Any]) -> None:
    case = Case(make, batch)
    assert case.lengths is not None
    padding = torch.arange(case.steps) >= case.lengths[:, None]
    values, gradients = case.run_with_gradients(path, x=case.x.masked_fill(padding[:, :, None], float("nan")))
    wanted_values, wanted_gradients = case.run_with_gradients(path)
    assert_same(values, wanted_values)
    assert_same(gradients, wanted_gradients)


HARD = {
    "elman": lambda: Elman(2, 2),
    "lstm projected": lambda: LSTM(2, 3, proj_size=2),
    "peephole": lambda: PeepholeLSTM(2, 2),
    "gru": lambda: GRU(2, 2),
    "reset before": lambda: GRUResetBefore(2, 2),
    "mingru": lambda: MinGRU(2, 2),
    "dropout gru": lambda: RecurrentDropout(GRU(2, 2), 0.5),
    "dropout reset before": lambda: RecurrentDropout(GRUResetBefore(2, 2), 0.5),
    "layer norm lstm": lambda: RecurrentDropout(LayerNorm(LSTM(2, 3, proj_size=2)), 0.5),
    "layer norm peephole": lambda: LayerNorm(PeepholeLSTM(2, 2)),
    "layer norm gru": lambda: LayerNorm(GRU(2, 3)),
    "zoneout layer norm lstm": lambda: Zoneout(LayerNorm(LSTM(2, 2)), 0.3, memory=0.1).eval(),
    "zoneout reset before": lambda: Zoneout(GRUResetBefore(2, 2), 0.3).eval(),
}


@pytest.mark.parametrize(
    ("cell", "path"),
    [
        pytest.param(made, path, id=f"{name}-{path}")
        for name, make in HARD.items()
        for made in [make()]
        for path in runnable(made)
        if path not in ("loop", "vendor")
    ],
)
@pytest.mark.parametrize("lengths", [None, [3, 0, 1]], ids=["whole", "ragged"])
def test_first_and_second_gradients_are_those_of_finite_differences(
    cell: Cell, path: str, lengths: list[int] | None
) -> None:
    torch.manual_seed(0)
    cell = cell.double()
    names = [name for name, _ in cell.named_parameters()]
    weights = [torch.empty_like(p).uniform_(-0.8, 0.8).requires_grad_() for p in cell.parameters()]
    x = torch.randn(3, 3, 2, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.rand(3, *size, dtype=torch.float64, requires_grad=True) for size in cell.state_sizes())

    def run(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        known = {"cell." + n: w for n, w in zip(names, rest[len(state) :], strict=True)}
        runner = Runner(cell, path, None if lengths is None else torch.tensor(lengths))
        result: tuple[Tensor, ...] = torch.func.functional_call(runner, known, (x, rest[: len(state)]))
        return result

    assert torch.autograd.gradcheck(run, (x, *state, *weights))
    assert torch.autograd.gradgradcheck(run, (x, *state, *weights), fast_mode=True)


class Runner(torch.nn.Module):
    """A cell and its scan as one module, so that its weights can be swapped."""

    def __init__(self, cell: Cell, path: str, lengths: Tensor | None) -> None:
        super().__init__()
        self.cell, self.path, self.lengths = cell, path, lengths

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, ...]:
        y, after = scan(self.cell, x, state, lengths=self.lengths, path=self.path)
        return (y, *after)


@every_cell
def test_operands_that_depend_on_each_other_keep_their_own_second_gradients(make: Make) -> None:
    path = next((p for p in runnable(make(2, 2)) if p in ("native", "bptt", "sequential")), None)
    if path is None:
        pytest.skip("only the loop runs this cell")
    case = Case(make, {"seed": 0, "sizes": (2, 2), "steps": 3, "batch_size": 2, "lengths": [3, 2], "reverse": False})

    def penalty(path: str) -> list[Tensor]:
        x = case.x.clone().requires_grad_()
        state = tuple(s + x.sum() * 0.1 for s in case.state)
        (slope,) = torch.autograd.grad(case.run(path, x=x, state=state)[0].square().sum(), x, create_graph=True)
        return list(torch.autograd.grad(slope.square().sum(), [x, *case.parameters], allow_unused=True))

    pairs = [(a, b) for a, b in zip(penalty(path), penalty("loop"), strict=True) if b is not None]
    assert_same([a for a, _ in pairs], [b for _, b in pairs])


@every_cell
@pytest.mark.parametrize(("batch_size", "steps"), [(3, 0), (0, 4), (0, 0)])
def test_no_steps_or_no_rows_leave_the_state(make: Make, batch_size: int, steps: int) -> None:
    cell = make(2, 3)
    state = tuple(torch.rand(batch_size, *size) for size in cell.state_sizes())
    for path in ("auto", *runnable(cell)):
        y, after = scan(cell, torch.zeros(batch_size, steps, 2), state, path=path)
        assert y.shape == (batch_size, steps, cell.output_size)
        assert_same(list(after), list(state))
