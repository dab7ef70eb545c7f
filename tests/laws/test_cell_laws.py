"""What holds for every cell of the catalog and every wrapper; a new cell is tested by being listed.

Axes: B batch, T time, D input features, H hidden, O output.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.models import CATALOG, Make, variants
from tests.profiles import draws
from torch import Tensor

from rekur.cells import CELLS, LinearCell, State
from rekur.scan import scan
from rekur.scan.loop import loop

torch.set_num_threads(1)


MADE = CATALOG | variants(
    "lstm projected",
    "gru without bias",
    "slstm with heads",
    "mlstm with heads",
    "a user's",
    "layer norm rnn",
    "layer norm lstm",
    "layer norm lstm projected",
    "layer norm peephole",
    "layer norm gru",
    "dropout rnn",
    "dropout lstm projected",
    "dropout reset before",
    "dropout slstm",
    "zoneout gru",
    "zoneout lstm",
    "zoneout a user's",
    "residual mlstm",
    "residual mingru",
    "all of them",
)
every_cell = pytest.mark.parametrize("make", MADE.values(), ids=MADE.keys())
quick = draws(6)
sizes = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**31),
        "input_size": st.integers(1, 4),
        "hidden_size": st.sampled_from([2, 4]),
        "batch_size": st.integers(1, 3),
        "steps": st.integers(1, 6),
        "warm": st.booleans(),
        "training": st.booleans(),
    }
)


class Case:
    """A cell with random weights in float64, an input, a state before it, and weights for a loss."""

    def __init__(self, make: Make, drawn: dict[str, int]) -> None:
        torch.manual_seed(drawn["seed"])
        self.cell = make(drawn["input_size"], drawn["hidden_size"]).double()
        with torch.no_grad():
            for parameter in self.cell.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
        self.cell.train(bool(drawn["training"]))
        self.seed = drawn["seed"]
        batch_size, self.steps = drawn["batch_size"], drawn["steps"]
        self.x = torch.randn(batch_size, self.steps, drawn["input_size"], dtype=torch.float64)
        state = self.cell.initial_state(batch_size, dtype=torch.float64)
        if drawn["warm"]:
            _, state = loop(self.cell, torch.randn_like(self.x), state, None)
        self.state = tuple(s.detach() for s in state)
        self.weight = torch.randn(batch_size, self.steps, self.cell.output_size, dtype=torch.float64)

    def leaves(self) -> tuple[Tensor, State]:
        return self.x.clone().requires_grad_(), tuple(s.clone().requires_grad_() for s in self.state)

    def gradients(self, y: Tensor, after: State, leaves: tuple[Tensor, State]) -> list[Tensor]:
        loss = (y * self.weight).sum() + sum((torch.sin(s)).sum() for s in after)
        inputs = [leaves[0], *leaves[1], *self.cell.parameters()]
        return list(torch.autograd.grad(loss, inputs, materialize_grads=True))


def assert_same(these: State | list[Tensor], those: State | list[Tensor]) -> None:
    assert len(these) == len(those)
    for this, that in zip(these, those, strict=True):
        torch.testing.assert_close(this, that, rtol=1e-9, atol=1e-10)


@every_cell
@quick
@given(drawn=sizes)
def test_single_steps_are_the_loop(make: Make, drawn: dict[str, int]) -> None:
    case = Case(make, drawn)
    whole = case.leaves()
    torch.manual_seed(case.seed)
    y, after = loop(case.cell, whole[0], whole[1], None)
    single = case.leaves()
    torch.manual_seed(case.seed)
    state, outputs = single[1], []
    for t in range(case.steps):
        out, state = case.cell.step(single[0][:, t], state)
        outputs.append(out)
    assert_same([y, *after], [torch.stack(outputs, 1), *state])
    assert_same(case.gradients(y, after, whole), case.gradients(torch.stack(outputs, 1), state, single))


@every_cell
@quick
@given(drawn=sizes, cuts=st.sets(st.integers(1, 5)))
def test_any_chunks_are_the_loop(make: Make, drawn: dict[str, int], cuts: set[int]) -> None:
    case = Case(make, drawn)
    whole = case.leaves()
    torch.manual_seed(case.seed)
    y, after = loop(case.cell, whole[0], whole[1], None)
    parts = case.leaves()
    torch.manual_seed(case.seed)
    edges = [0, *sorted(c for c in cuts if c < case.steps), case.steps]
    state, outputs = parts[1], []
    for start, end in pairwise(edges):
        out, state = loop(case.cell, parts[0][:, start:end], state, None)
        outputs.append(out)
    assert_same([y, *after], [torch.cat(outputs, 1), *state])
    assert_same(case.gradients(y, after, whole), case.gradients(torch.cat(outputs, 1), state, parts))


@every_cell
@quick
@given(drawn=sizes, data=st.data())
def test_padding_and_batch_mates_are_inert(make: Make, drawn: dict[str, int], data: st.DataObject) -> None:
    case = Case(make, {**drawn, "training": False})
    row_lengths = [data.draw(st.integers(0, case.steps)) for _ in range(len(case.x))]
    lengths = torch.tensor(row_lengths)
    for row, length in enumerate(row_lengths):
        case.x[row, length:] = 1e3
    together = case.leaves()
    y, after = loop(case.cell, together[0], together[1], lengths)
    alone = case.leaves()
    outputs, states = torch.zeros_like(y), []
    for row, length in enumerate(row_lengths):
        before = tuple(s[row : row + 1] for s in alone[1])
        out, state = loop(case.cell, alone[0][row : row + 1, :length], before, None)
        outputs[row, :length] = out[0]
        states.append(state)
    joined = tuple(torch.cat(parts) for parts in zip(*states, strict=True))
    assert_same([y, *after], [outputs, *joined])
    grads = case.gradients(y, after, together)
    assert_same(grads, case.gradients(outputs, joined, alone))
    for row, length in enumerate(row_lengths):
        assert not y[row, length:].any()
        assert not grads[0][row, length:].any()


@every_cell
@draws(3)
@given(seed=st.integers(0, 2**31))
def test_gradients_are_those_of_finite_differences(make: Make, seed: int) -> None:
    drawn = {"seed": seed, "input_size": 2, "hidden_size": 2, "batch_size": 2, "steps": 3}
    case = Case(make, {**drawn, "warm": True, "training": False})
    parameters = list(case.cell.parameters())
    names = [name for name, _ in case.cell.named_parameters()]

    def run(x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        weights = dict(zip(names, others[: len(names)], strict=True))
        state = tuple(others[len(names) :])
        outputs = []
        for t in range(x.shape[1]):
            y, state = torch.func.functional_call(case.cell, weights, (x[:, t], state))
            outputs.append(y)
        return (torch.stack(outputs, 1), *state)

    x, state = case.leaves()
    given_weights = [p.detach().clone().requires_grad_() for p in parameters]
    assert torch.autograd.gradcheck(run, (x, *given_weights, *state), fast_mode=True)


LINEAR = [name for name, cell in CELLS.items() if issubclass(cell, LinearCell)]


@pytest.mark.parametrize("name", LINEAR)
@quick
@given(drawn=sizes)
def test_linear_form_is_recur(name: str, drawn: dict[str, int]) -> None:
    case = Case(CATALOG[name], drawn)
    assert isinstance(case.cell, LinearCell)
    y, (last,) = loop(case.cell, case.x, case.state, None)
    projected = case.cell.project(case.x)
    a, b = case.cell.linear_form(projected)
    h, hidden = case.state[0], []
    for t in range(case.steps):
        h = a[:, t] * h + b[:, t]
        hidden.append(h)
    assert_same([y, last], [case.cell.readout(torch.stack(hidden, 1), projected), h])
    assert bool(((a >= 0) & (a <= 1)).all())


@every_cell
@quick
@given(drawn=sizes)
def test_project_and_recur_are_step(make: Make, drawn: dict[str, int]) -> None:
    case = Case(make, drawn)
    torch.manual_seed(case.seed)
    y, after = case.cell.step(case.x[:, 0], case.state)
    torch.manual_seed(case.seed)
    again, after_again = case.cell.recur(case.cell.project(case.x)[:, 0], case.state)
    assert_same([y, *after], [again, *after_again])


@every_cell
def test_sizes_are_as_said(make: Make) -> None:
    cell = make(3, 4)
    y, after = cell(torch.zeros(5, 3))
    assert y.shape == (5, cell.output_size)
    assert [tuple(s.shape) for s in after] == [(5, *size) for size in cell.state_sizes()]
    assert cell.state_names == () or len(cell.state_names) == len(after)
    empty, _ = cell(torch.zeros(0, 3))
    assert empty.shape == (0, cell.output_size)


@every_cell
def test_half_precision_and_dtype_follow_the_state(make: Make) -> None:
    cell = make(3, 4).bfloat16()
    y, after = cell(torch.ones(2, 3, dtype=torch.bfloat16))
    assert y.dtype == torch.bfloat16
    assert all(s.dtype == torch.bfloat16 for s in after)
    assert bool(torch.isfinite(y).all())


@every_cell
def test_saved_weights_load(make: Make) -> None:
    torch.manual_seed(0)
    first = make(3, 4).eval()
    torch.manual_seed(1)
    second = make(3, 4).eval()
    second.load_state_dict(first.state_dict())
    x = torch.randn(2, 3)
    assert torch.equal(first(x)[0], second(x)[0])


@pytest.mark.parametrize("name", ["dropout rnn", "dropout lstm projected", "dropout reset before"])
@quick
@given(drawn=sizes)
def test_recurrent_dropout_by_hand_is_the_loop(name: str, drawn: dict[str, int]) -> None:
    case = Case(MADE[name], drawn)
    by_hand, defined = case.leaves(), case.leaves()
    y, after = scan(case.cell, by_hand[0], by_hand[1], path="bptt")
    expected, expected_after = loop(case.cell, defined[0], defined[1], None)
    assert_same([y, *after], [expected, *expected_after])
    assert_same(case.gradients(y, after, by_hand), case.gradients(expected, expected_after, defined))
