"""The compiled kernels: in inference a row is the same bits whatever is beside it and however it was cut.

Axes: B batch, T time, D input features, H hidden.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
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
    SLSTM,
    Cell,
    Elman,
    GRUResetBefore,
    LayerNorm,
    PeepholeLSTM,
    RecurrentDropout,
    Zoneout,
)
from rekur.nn import Recurrent
from rekur.scan import native, native_variants, scan, scan_both

if not native.available():
    pytest.skip("the compiled kernels are not installed", allow_module_level=True)


NO_KERNEL = "mlstm"
MADE = (
    {name: make for name, make in CATALOG.items() if name != NO_KERNEL}
    | variants(
        "gru without bias",
        "mingru without bias",
        "lstm projected",
        "a user's linear without matrix",
        "dropout lstm",
        "dropout slstm with heads",
        "dropout reset before",
        "layer norm rnn",
        "layer norm lstm",
        "layer norm peephole",
        "dropout layer norm gru",
    )
    | variants_in_evaluation("zoneout gru", "zoneout layer norm lstm")
)
ZONED: dict[str, Callable[[int, int], Any]] = {
    "rnn": lambda d, h: Zoneout(Elman(d, h), 0.4),
    "gru": lambda d, h: Zoneout(RecurrentDropout(GRU(d, h), 0.5), 0.3),
    "reset before": lambda d, h: Zoneout(GRUResetBefore(d, h), 0.3),
    "lstm": lambda d, h: Zoneout(LSTM(d, h), 0.2, memory=0.5),
    "projected": lambda d, h: Zoneout(LSTM(d, h + 2, proj_size=h), 0.2, memory=0.5),
    "memory of a peephole": lambda d, h: Zoneout(PeepholeLSTM(d, h), 0.0, memory=0.5),
    "layer norm": lambda d, h: Zoneout(RecurrentDropout(LayerNorm(LSTM(d, h)), 0.3), 0.2, memory=0.0),
}
every_cell = pytest.mark.parametrize("make", list(MADE.values()), ids=list(MADE))
# around the widths of vectors and the heights of tiles
sizes = st.tuples(st.integers(1, 9) | st.sampled_from([31, 33, 64, 70]), st.integers(1, 40) | st.just(130))
batches = st.integers(1, 20) | st.sampled_from([33, 64])
lengths_of = st.lists(st.integers(0, 9), min_size=1, max_size=20)
quick = draws(15)


def rows(values: tuple[Tensor, ...], index: Any) -> list[Tensor]:
    return [value[index] for value in values]


def same_bits(left: list[Tensor], right: list[Tensor]) -> None:
    for a, b in zip(left, right, strict=True):
        assert torch.equal(a, b), float((a - b).abs().max())


@every_cell
@quick
@given(size=sizes, lengths=lengths_of, threads=st.integers(1, 3), seed=st.integers(0, 99))
@torch.no_grad()
def test_a_row_alone_is_that_row_in_any_batch(
    make: Make, size: tuple[int, int], lengths: list[int], threads: int, seed: int
) -> None:
    torch.manual_seed(seed)
    cell = make(*size).eval()
    x, real = torch.randn(len(lengths), max([1, *lengths]), size[0]), torch.tensor(lengths)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        y, state = scan(cell, x, lengths=real, path="native")
    finally:
        torch.set_num_threads(before)
    for row, length in enumerate(lengths):
        alone, after = scan(cell, x[row : row + 1, :length], path="native")
        same_bits([alone[0], *rows(after, 0)], [y[row, :length], *rows(state, row)])


@every_cell
@quick
@given(size=sizes, batch_size=batches, cuts=st.sets(st.integers(1, 8)), seed=st.integers(0, 99))
@torch.no_grad()
def test_chunks_and_single_steps_are_the_whole(
    make: Make, size: tuple[int, int], batch_size: int, cuts: set[int], seed: int
) -> None:
    torch.manual_seed(seed)
    cell = make(*size).eval()
    x = torch.randn(batch_size, 9, size[0])
    y, whole = scan(cell, x, path="native")
    for places in ([0, *sorted(cuts), 9], list(range(10))):
        state, pieces = None, []
        for start, end in itertools.pairwise(places):
            piece, state = scan(cell, x[:, start:end], state, path="native")
            pieces.append(piece)
        assert state is not None
        same_bits([torch.cat(pieces, 1), *state], [y, *whole])


@torch.no_grad()
def off(got: Tensor, wanted: Tensor) -> float:
    """Return the largest error beside the largest number, or beside 1."""
    return float((got.double() - wanted).abs().max() / max(1.0, float(wanted.abs().max()))) if wanted.numel() else 0.0


@every_cell
@quick
@given(size=sizes, lengths=lengths_of, threads=st.integers(1, 2), seed=st.integers(0, 99))
def test_single_precision_is_near_the_loop_in_double(
    make: Make, size: tuple[int, int], lengths: list[int], threads: int, seed: int
) -> None:
    torch.manual_seed(seed)
    cell = make(*size)
    exact = make(*size).double()
    exact.load_state_dict(cell.state_dict())
    x, real = torch.randn(len(lengths), max([1, *lengths]), size[0]), torch.tensor(lengths)
    _, state = scan(cell, torch.randn(len(lengths), 2, size[0]), path="loop")
    weight = torch.randn(len(lengths), x.shape[1], cell.output_size)

    def run(cell: Cell, path: str, dtype: torch.dtype, x: Tensor) -> list[Tensor]:
        given = [t.detach().to(dtype).requires_grad_() for t in (x, *state)]
        y, after = scan(cell, given[0], tuple(given[1:]), lengths=real, path=path)
        total = (y * weight).sum() + sum((s * s).sum() for s in after)
        gradients = torch.autograd.grad(total, [*given, *cell.parameters()], allow_unused=True)
        return [y, *after, *(g for g in gradients if g is not None)]

    def error(path: str, x: Tensor) -> float:
        wanted = run(exact, "loop", torch.float64, x)
        return max(off(a, b) for a, b in zip(run(cell, path, torch.float32, x), wanted, strict=True))

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours = error("native", x)
    finally:
        torch.set_num_threads(before)
    if ours > 2e-5:
        # a normalised row of few units magnifies every rounding error: the loop's own errors, on inputs that differ by
        # a rounding, then say what can be asked for
        nudged = [x, *(x * (1 + 6e-8 * torch.randn_like(x).sign()) for _ in range(4))]
        assert ours <= 8 * max(error("loop", near) for near in nudged)


@torch.no_grad()
def test_states_and_inputs_may_lie_as_they_like() -> None:
    for dtype in (torch.float32, torch.float64):
        for name in ("lstm", "slstm", "layer norm lstm", "mingru", "gru"):
            cell = MADE[name](3, 5).to(dtype).eval()
            x = torch.randn(4, 6, 3, dtype=dtype)
            _, state = scan(cell, x, path="loop")
            turned = tuple(s.t().contiguous().t() for s in state)
            y, after = scan(cell, x, state, path="native")
            same_bits([*scan(cell, x.mT.contiguous().mT, turned, path="native")[1], y], [*after, y])


@pytest.mark.parametrize("name", ["gru", "layer norm lstm", "mingru"])
def test_tensors_of_a_library_that_has_no_exchange_of_pointers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def gradients() -> list[Tensor]:
        torch.manual_seed(0)
        cell, x = MADE[name](3, 5), torch.randn(2, 6, 3, requires_grad=True)
        y, after = scan(cell, x, lengths=torch.tensor([6, 2]), path="native")
        (y.sum() + after[0].sum()).backward()
        return [y, *after, x.grad, *(p.grad for p in cell.parameters())]  # type: ignore[list-item]

    usual = gradients()
    if hasattr(torch.Tensor, "__dlpack_c_exchange_api__"):
        monkeypatch.delattr(torch.Tensor, "__dlpack_c_exchange_api__")
    same_bits(gradients(), usual)


@pytest.mark.parametrize("make", [Elman, LSTM, GRU, SLSTM, lambda d, h: RecurrentDropout(GRU(d, h), 0.5)])
@pytest.mark.parametrize("lengths", [None, torch.tensor([4, 0, 6, 1, 6])])
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_are_the_same_however_inputs_and_gradients_lie(
    make: Make, lengths: Tensor | None, reverse: bool
) -> None:
    torch.manual_seed(0)
    cell = make(3, 4).double()
    state = tuple(s.requires_grad_() for s in cell.initial_state(5, dtype=torch.float64))
    plain, grad = torch.randn(5, 6, 3, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    lies = {
        "as they do": lambda t: t,
        "time first": lambda t: t.transpose(0, 1).contiguous().transpose(0, 1),
        "every other step": lambda t: t.repeat_interleave(2, 1)[:, ::2],
        "features apart": lambda t: t.mT.contiguous().mT,
        "negated when read": lambda t: torch.complex(torch.zeros_like(t), -t).conj().imag,
        "in a wider array": lambda t: torch.cat([t, t], 2)[..., : t.shape[2]],
    }
    found = {}
    for name, lie in lies.items():
        x = lie(plain).detach().requires_grad_()
        y, after = scan(cell, x, state, lengths=lengths, reverse=reverse, path="native")
        d_y = lie(grad.expand_as(y)) if name != "as they do" else grad.expand_as(y)
        loss = sum(s.sum() for s in after)
        wanted = [x, *state, *cell.parameters()]
        found[name] = [y, *torch.autograd.grad([y, loss], wanted, [d_y, None], allow_unused=True)]
    loop_y, loop_after = scan(cell, plain.requires_grad_(), state, lengths=lengths, reverse=reverse, path="loop")
    roots = [loop_y, sum(s.sum() for s in loop_after)]
    weights = [plain, *state, *cell.parameters()]
    truth = [loop_y, *torch.autograd.grad(roots, weights, [grad.expand_as(loop_y), None], allow_unused=True)]
    for got in found.values():
        for a, b in zip(got, truth, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name, make in MADE.items() if native.plain(make(2, 2))])
@quick
@given(size=sizes, lengths=st.none() | lengths_of, seed=st.integers(0, 99))
def test_both_directions_at_once_are_one_after_the_other(
    name: str, size: tuple[int, int], lengths: list[int] | None, seed: int
) -> None:
    torch.manual_seed(seed)
    cells = (MADE[name](*size), MADE[name](*size))
    real = None if lengths is None else torch.tensor(lengths)
    x = torch.randn(3 if lengths is None else len(lengths), max([1, *(lengths or [7])]), size[0], requires_grad=True)
    states = [cell.initial_state(len(x)) for cell in cells]

    def gradients(found: list[tuple[Tensor, tuple[Tensor, ...]]]) -> list[Tensor]:
        total = sum((y * (1 + place) + y * y).sum() + after[0].sum() for place, (y, after) in enumerate(found))
        total = total + 0 * x.sum()  # where no row has a step nothing else depends on anything
        weights = [x, *cells[0].parameters(), *cells[1].parameters()]
        return list(torch.autograd.grad(total, weights, materialize_grads=True, allow_unused=True))

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        both = list(scan_both(cells, x, states, lengths=real))
        got = gradients(both)
    finally:
        torch.set_num_threads(before)
    apart = [scan(cell, x, states[turned], lengths=real, reverse=bool(turned)) for turned, cell in enumerate(cells)]
    for (y, after), (y_apart, after_apart) in zip(both, apart, strict=True):
        same_bits([y, *after], [y_apart, *after_apart])
    for gradient, wanted in zip(got, gradients(apart), strict=True):
        assert off(gradient, wanted.double()) <= 1e-6


@every_cell
@torch.no_grad()
def test_nan_stays_in_the_row_that_has_it(make: Make) -> None:
    cell = make(5, 33).eval()
    x = torch.randn(7, 6, 5)
    clean, _ = scan(cell, x, path="native")
    x[2, 3, 1] = float("nan")
    y, _ = scan(cell, x, path="native")
    others = [row for row in range(7) if row != 2]
    assert torch.equal(y[others], clean[others])
    assert torch.equal(y[2, :3], clean[2, :3])
    if "relu" in str(cell):  # PyTorch's relu keeps NaN too
        assert bool(y[2, 3:].isnan().any())
    else:
        assert bool(y[2, 3:].isnan().all())


@torch.no_grad()
def test_denormal_states_count_as_zero_and_leave_the_processor_as_it_was() -> None:
    cell = Elman(1, 4, nonlinearity="relu", bias=False)
    cell.weight_ih.fill_(1.0)
    cell.weight_hh.copy_(torch.eye(4) * 1e-20)
    y, _ = scan(cell, torch.tensor([[[1e-20], [0.0], [0.0]]]), path="native")
    assert not bool(y[0, 1:].any())
    assert float(torch.tensor(1e-40) * 1.0) != 0.0


@torch.no_grad()
def test_layers_keep_a_row_in_any_batch() -> None:
    layer = Recurrent("gru", 12, 40, num_layers=2, bidirectional=True).eval()
    x, lengths = torch.randn(19, 11, 12), torch.randint(1, 12, (19,))
    together = layer(x, lengths=lengths)
    for row in (0, 7, 18):
        alone = layer(x[row : row + 1, : int(lengths[row])])
        assert torch.equal(alone[0][0], together[0][row, : int(lengths[row])])
        assert torch.equal(alone[2][0], together[2][row])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("make", list(ZONED.values()), ids=list(ZONED))
@pytest.mark.parametrize("lengths", [None, torch.tensor([6, 0, 3, 5])], ids=["whole", "ragged"])
def test_zoneout_that_stays_with_the_same_units_is_the_loop(
    make: Make, lengths: Tensor | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    cell = make(5, 19).double()
    x = torch.randn(4, 6, 5, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.rand_like(s, requires_grad=True) for s in cell.initial_state(4, dtype=torch.float64))
    drawn: list[Tensor] = []

    def remembered(like: Tensor) -> Tensor:
        drawn.append(torch.empty_like(like).uniform_())
        return drawn[-1]

    def run(path: str) -> list[Tensor]:
        y, after = scan(cell, x, state, lengths=lengths, path=path)
        total = y.square().sum() + sum(s.sin().sum() for s in after)
        wanted = [x, *state, *cell.parameters()]
        return [y, *after, *torch.autograd.grad(total, wanted, materialize_grads=True)]

    monkeypatch.setattr(torch, "rand_like", remembered)
    expected = run("loop")
    states = len(drawn) // 6
    of_each_state = iter([torch.stack(drawn[i::states], 1) for i in range(states)])
    monkeypatch.setattr(native_variants, "noise", lambda *_: next(of_each_state))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        got = run("native")
    finally:
        torch.set_num_threads(before)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_zoneout_leaves_its_share_of_units() -> None:
    torch.manual_seed(0)
    y, _ = scan(Zoneout(GRU(3, 50), 0.3), torch.randn(8, 40, 3), path="native")
    stayed = (y[:, 1:] == y[:, :-1]).float().mean()
    assert abs(float(stayed) - 0.3) < 0.03


SCRIPT = """
import torch
from rekur.cells import GRU, LSTM, Elman, GRUResetBefore, LayerNorm, PeepholeLSTM
from rekur.scan import native, scan
assert native.kernels.instruction_set() == "{name}", native.kernels.instruction_set()
variants = (GRUResetBefore, PeepholeLSTM, lambda d, h: LayerNorm(LSTM(d, h)), lambda d, h: LayerNorm(GRU(d, h)))
for make in (Elman, LSTM, GRU, *variants):
    for size in (7, 33, 64) if make in variants else (1, 7, 33, 64):  # one unit alone cannot be normalised
        torch.manual_seed(size)
        cell, x = make(size, size), torch.randn(5, 8, size, requires_grad=True)
        lengths = torch.tensor([8, 1, 0, 5, 5])
        results = []
        for path in ("native", "loop"):
            y, state = scan(cell, x, lengths=lengths, path=path)
            results.append([y, *state, *torch.autograd.grad(y.sum() + state[-1].sum(), [x, *cell.parameters()])])
        for a, b in zip(*results):
            torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)
"""


@pytest.mark.parametrize("name", ["avx512", "avx2", "plain"])
def test_every_instruction_set_of_this_machine(name: str) -> None:
    environment = {**os.environ, "REKUR_ISA": name}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(name=name)], env=environment, capture_output=True, text=True, check=False
    )
    if "REKUR_ISA: got" in done.stderr:
        pytest.skip(f"this machine cannot run {name}")
    assert done.returncode == 0, done.stderr
