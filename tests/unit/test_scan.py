"""The entry to the scans: what it takes, what it refuses and in which words, and what it chooses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from rekur.cells import GRU, LSTM, SLSTM, Elman, LayerNorm, LinearCell, MinGRU, PeepholeLSTM, State
from rekur.errors import InputError, ShapeError
from rekur.scan import PATHS, choose, native, reverse_rows, runnable, scan
from rekur.scan.plan import ragged_plan

torch.set_num_threads(1)


def zeros(*shape: int) -> Tensor:
    return torch.zeros(*shape)


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        (
            {"x": [[1.0]]},
            InputError,
            "x: got 'list'; expected a torch.Tensor (B, T, D).",
        ),
        (
            {"x": zeros(4, 3)},
            ShapeError,
            "shape of x: got (4, 3); expected three axes (B, T, D). One sequence is a batch of one: x.unsqueeze(0).",
        ),
        (
            {"x": zeros(2, 4, 5)},
            ShapeError,
            "shape of x: got (2, 4, 5); expected (B, T, 3), as the cell's input_size says.",
        ),
        (
            {"x": zeros(2, 4, 3).long()},
            InputError,
            "dtype of x: got torch.int64; expected a floating-point dtype. "
            "Turn token ids into vectors by an embedding first; other numbers by x.float().",
        ),
        (
            {"x": zeros(2, 4, 3).double()},
            InputError,
            "dtype of x: got torch.float64; expected torch.float32, the dtype of the cell's weights. "
            "Use x.to(torch.float32), or cell.to(torch.float64).",
        ),
        (
            {"x": torch.empty(2, 4, 3, device="meta")},
            InputError,
            "device of x: got meta; expected cpu, where the cell is. Move one of them with .to(device).",
        ),
        (
            {"lengths": [4, 2]},
            InputError,
            "lengths: got 'list'; expected an int64 torch.Tensor (B,). Use torch.tensor(lengths).",
        ),
        (
            {"lengths": torch.tensor([4.0, 2.0])},
            InputError,
            "dtype of lengths: got torch.float32; expected torch.int64. Use lengths.long().",
        ),
        (
            {"lengths": torch.tensor([4, 2, 1])},
            ShapeError,
            "shape of lengths: got (3,); expected (2,), one length for each row of x.",
        ),
        (
            {"lengths": torch.tensor([4, 5])},
            InputError,
            "lengths[1]: got 5; expected whole numbers in [0, 4], as x has 4 time steps.",
        ),
        (
            {"lengths": torch.tensor([-1, 5])},
            InputError,
            "lengths[0]: got -1; expected whole numbers in [0, 4], as x has 4 time steps.",
        ),
        (
            {"state": zeros(2, 5)},
            InputError,
            "state: got 'Tensor'; expected a tuple of tensors: (B, 5), (B, 5). Put a single tensor in a tuple: (h,).",
        ),
        (
            {"state": (zeros(2, 5),)},
            ShapeError,
            "number of tensors in state: got 1; expected 2: (B, 5), (B, 5).",
        ),
        (
            {"state": (zeros(2, 5), zeros(3, 5))},
            ShapeError,
            "shape of state[1]: got (3, 5); expected (2, 5).",
        ),
        (
            {"state": (zeros(2, 5), zeros(2, 5).double())},
            InputError,
            "dtype of state[1]: got torch.float64; expected torch.float32, the dtype of x.",
        ),
        (
            {"state": (torch.empty(2, 5, device="meta"), zeros(2, 5))},
            InputError,
            "device of state[0]: got meta; expected cpu, where x is.",
        ),
        ({"reverse": 1}, InputError, "reverse: got 1; expected True or False."),
        (
            {"path": "bpt"},
            InputError,
            "path: got 'bpt'; expected one of 'auto', 'loop', 'native', 'bptt', 'sequential', 'chunked', "
            "'associative', 'vendor'. Did you mean 'bptt'?",
        ),
        (
            {"path": "chunked"},
            InputError,
            "path: got 'chunked'; expected one that can run this LSTM: 'loop', 'native', 'bptt', 'vendor'. "
            "LSTM is not linear in its state.",
        ),
    ],
)
def test_what_cannot_be_scanned_is_named(given: dict[str, Any], kind: type[Exception], text: str) -> None:
    call = {"x": zeros(2, 4, 3), **given}
    with pytest.raises(kind) as caught:
        scan(LSTM(3, 5), call.pop("x"), call.pop("state", None), **call)
    assert str(caught.value) == text
    assert type(caught.value) is kind


def test_a_scan_that_cannot_run_a_cell_says_which_can() -> None:
    with pytest.raises(InputError) as caught:
        choose(MinGRU(3, 5), zeros(2, 4, 3), path="bptt")
    assert str(caught.value) == (
        "path: got 'bptt'; expected one that can run this MinGRU: "
        "'loop', 'native', 'sequential', 'chunked', 'associative'. The equations of MinGRU are not written out by hand."
    )
    with pytest.raises(InputError) as caught:
        choose(LayerNorm(GRU(3, 5)), zeros(2, 4, 3), path="vendor")
    assert str(caught.value) == (
        "path: got 'vendor'; expected one that can run this LayerNorm: 'loop', 'native'. "
        "PyTorch has no fused layer with the equations of LayerNorm."
    )


class Slower(GRU):
    """A cell that changes an equation of the one it derives from."""

    def combine(self, from_input: Tensor, from_state: Tensor, state: State, *read: Any) -> tuple[Tensor, State]:
        h, _ = super().combine(from_input, from_state, state)
        h = 0.5 * (h + state[0])
        return h, (h,)


def test_a_cell_with_changed_equations_is_not_taken_for_the_one_it_derives_from() -> None:
    cell, x = Slower(3, 5), torch.rand(2, 4, 3)
    assert runnable(cell) == ("loop",)
    assert choose(cell, x).path == "loop"
    torch.testing.assert_close(scan(cell, x)[0], scan(cell, x, path="loop")[0])


def test_the_choice_depends_on_cell_and_lengths() -> None:
    x, ragged, whole = zeros(2, 4, 3), torch.tensor([4, 2]), torch.tensor([4, 4])
    assert choose(Elman(3, 5), x).path == "native"
    assert choose(GRU(3, 5), x, ragged).path == "native"
    assert choose(LSTM(3, 5).double(), x.double(), ragged).path == "native"
    assert choose(LSTM(3, 5).double(), x.double(), whole).path == "native"
    assert choose(GRU(3, 5).bfloat16(), x.bfloat16()).path == "bptt"
    assert choose(LSTM(3, 5, proj_size=2), x, whole).path == "native"
    assert choose(PeepholeLSTM(3, 5).bfloat16(), x.bfloat16()).path == "bptt"
    assert choose(MinGRU(3, 5), x, ragged).path == "native"
    assert choose(MinGRU(3, 5).bfloat16(), x.bfloat16(), ragged).path == "sequential"
    assert choose(MinGRU(3, 5).bfloat16(), zeros(2, 99, 3).bfloat16(), None).path == "chunked"
    assert choose(MinGRU(3, 600).bfloat16(), zeros(2, 99, 3).bfloat16(), None).path == "sequential"
    assert choose(LayerNorm(LSTM(3, 5)), x).path == "native"
    assert choose(LayerNorm(Slower(3, 5)), x).path == "loop"
    assert choose(LSTM(3, 5), x, whole).path == "native"
    for cell in (Elman(3, 5), LSTM(3, 5), MinGRU(3, 5), LayerNorm(LSTM(3, 5))):
        assert set(runnable(cell)) <= set(PATHS)
        assert choose(cell, x).reason


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")
def test_without_kernels_the_choice_of_an_lstm_depends_on_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "kernels", None)
    x = zeros(2, 4, 3)
    assert choose(LSTM(3, 5), x, torch.tensor([4, 4])).path == "vendor"
    assert choose(LSTM(3, 5), x, torch.tensor([4, 2])).path == "vendor"
    for batch_size, steps, path in ((1000, 2, "bptt"), (1000, 3, "vendor"), (2000, 3, "bptt")):
        assert choose(LSTM(3, 5), zeros(batch_size, 4, 3), torch.full((batch_size,), steps)).path == path
    with torch.no_grad():
        assert choose(LSTM(3, 5), x).path == "bptt"
    assert choose(MinGRU(3, 5), x).path == "sequential"


class Halved(MinGRU):
    """A cell that changes the form of the one it derives from."""

    def linear_form(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        keep, gain = super().linear_form(projected)
        return keep / 2, gain


def test_a_changed_linear_form_is_the_one_that_runs() -> None:
    cell, x = Halved(3, 5), torch.randn(2, 4, 3)
    for path in runnable(cell):
        torch.testing.assert_close(scan(cell, x, path=path)[0], scan(cell, x, path="loop")[0])


class Turning(LinearCell):
    """A cell whose state turns complex: the compiled kernels have no such numbers."""

    def project(self, x: Tensor) -> Tensor:
        return x

    def linear_form(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full((self.hidden_size,), 0.6 + 0.7j), projected.to(torch.complex64)

    def readout(self, h: Tensor, projected: Tensor) -> Tensor:
        return h.real


def test_a_complex_state_runs_where_it_can() -> None:
    cell, x = Turning(3, 3), torch.randn(2, 6, 3)
    torch.testing.assert_close(scan(cell, x)[0], scan(cell, x, path="loop")[0])


def test_zero_length_rows_and_their_gradient() -> None:
    x = torch.rand(2, 3, 3, requires_grad=True)
    state = (torch.rand(2, 5, requires_grad=True),)
    y, (h,) = scan(GRU(3, 5), x, state, lengths=torch.tensor([0, 0]))
    assert not bool(y.any())
    assert torch.equal(h, state[0])
    assert h is not state[0]
    y, (h,) = scan(GRU(3, 5), x, state, lengths=torch.tensor([0, 2], dtype=torch.int32))
    h.sum().backward()
    assert torch.equal(h[0], state[0][0])
    assert torch.equal(state[0].grad[0], torch.ones(5))
    assert not bool(x.grad[0].any())


@pytest.mark.parametrize("lengths", [None, torch.tensor([6, 2, 4])])
def test_autocast_scans_in_the_weights_dtype(lengths: Tensor | None) -> None:
    cell, x = GRU(3, 5), torch.rand(3, 6, 3)
    wanted, _ = scan(cell, x, lengths=lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = scan(cell, x, lengths=lengths)
        y.sum().backward()
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, wanted)


def test_a_second_backward_through_one_graph_gives_the_same() -> None:
    cell, x = LSTM(3, 5), torch.rand(3, 6, 3, requires_grad=True)
    y, _ = scan(cell, x, path="bptt")
    first = torch.autograd.grad(y.sum(), x, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(y.sum(), x)[0])


@pytest.mark.parametrize("path", ["bptt", "native"])
@pytest.mark.parametrize("make", [Elman, LSTM, GRU, SLSTM])
def test_outputs_changed_in_place_have_the_gradients_of_what_they_were(make: Any, path: str) -> None:
    cell, x = make(3, 5), torch.rand(3, 6, 3, requires_grad=True)
    if path not in runnable(cell):
        pytest.skip(f"{path} does not run this cell")
    gradients = []
    for change in (lambda y: y * 2, lambda y: y.mul_(2)):
        y, state = scan(cell, x, path=path)
        changed = change(y)
        wanted = [x, *cell.parameters()]
        gradients.append(torch.autograd.grad(changed.sum() + sum(s.sum() for s in state), wanted))
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


def test_only_the_weights_that_ask_for_a_gradient_get_one() -> None:
    cell, x = GRU(3, 5), torch.rand(3, 6, 3)
    cell.weight_hh.requires_grad_(False)
    scan(cell, x)[0].sum().backward()
    assert cell.weight_hh.grad is None
    assert cell.weight_ih.grad is not None


def test_reverse_rows_twice_is_the_identity() -> None:
    x, lengths = torch.rand(3, 5, 2), torch.tensor([5, 0, 2])
    assert torch.equal(reverse_rows(reverse_rows(x, lengths), lengths), x)
    assert torch.equal(reverse_rows(x, lengths)[2], torch.stack([x[2, 1], x[2, 0], *x[2, 2:]]))
    assert torch.equal(reverse_rows(x, None), x.flip(1))


def test_a_ragged_plan_packs_rows_by_length_and_unpacks_them() -> None:
    x = torch.arange(1, 13).view(3, 4)
    plan = ragged_plan(torch.tensor([2, 0, 3]), 4, x.device)
    packed = plan.pack(x)
    assert plan.sizes == [2, 2, 1]
    assert packed.tolist() == [9, 1, 10, 2, 11]
    assert plan.unpack(packed).tolist() == [[1, 2, 0, 0], [0, 0, 0, 0], [9, 10, 11, 0]]
    assert plan.at_last(packed).tolist() == [11, 2]
    assert plan.shifted(torch.tensor([90, 80]), packed).tolist() == [90, 80, 9, 1, 10]
    backwards = ragged_plan(torch.tensor([2, 0, 3]), 4, x.device, reverse=True)
    assert backwards.pack(x).tolist() == [11, 2, 10, 1, 9]


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch was built without oneDNN")
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_a_ragged_lstm_on_onednn_is_the_loop_with_first_and_second_gradients(bias: bool, reverse: bool) -> None:
    torch.manual_seed(0)
    cell, lengths = LSTM(3, 17, bias=bias), torch.tensor([3, 7, 0, 5, 5])
    x, state = torch.randn(5, 7, 3), tuple(torch.rand(5, 17, requires_grad=True) for _ in range(2))

    def run(path: str, x: Tensor) -> list[Tensor]:
        y, after = scan(cell, x, state, lengths=lengths, reverse=reverse, path=path)
        torch.manual_seed(1)
        loss = sum((r * torch.randn(r.shape)).sum() for r in (y, *after))
        wanted = [*state, *cell.parameters()] + ([x] if x.requires_grad else [])
        slopes = torch.autograd.grad(loss, wanted, create_graph=True)
        curves = torch.autograd.grad(sum(s.square().sum() for s in slopes), wanted)
        return [y, *after, *slopes, *curves]

    for inputs in (x, x.clone().requires_grad_()):
        for got, wanted in zip(run("vendor", inputs), run("loop", inputs), strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4)
