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
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rekur.cells import GRU, LSTM, Cell, Elman, RecurrentDropout
from rekur.nn import Recurrent
from rekur.scan import native, scan

if not native.available():
    pytest.skip("the compiled kernels are not installed", allow_module_level=True)

MADE: dict[str, Callable[[int, int], Cell]] = {
    "rnn": Elman,
    "rnn relu": lambda d, h: Elman(d, h, nonlinearity="relu"),
    "lstm": LSTM,
    "gru": GRU,
    "gru without bias": lambda d, h: GRU(d, h, bias=False),
    "dropout lstm": lambda d, h: RecurrentDropout(LSTM(d, h), 0.5),
}
every_cell = pytest.mark.parametrize("make", list(MADE.values()), ids=list(MADE))
# around the widths of vectors and the heights of tiles
sizes = st.tuples(st.integers(1, 9) | st.sampled_from([31, 33, 64, 70]), st.integers(1, 40) | st.just(130))
batches = st.integers(1, 20) | st.sampled_from([33, 64])
lengths_of = st.lists(st.integers(0, 9), min_size=1, max_size=20)
quick = settings(max_examples=15, deadline=None)


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
    make: Callable[[int, int], Cell], size: tuple[int, int], lengths: list[int], threads: int, seed: int
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
    make: Callable[[int, int], Cell], size: tuple[int, int], batch_size: int, cuts: set[int], seed: int
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


@every_cell
@quick
@given(size=sizes, lengths=lengths_of, threads=st.integers(1, 2), seed=st.integers(0, 99))
def test_single_precision_is_near_the_loop_in_double(
    make: Callable[[int, int], Cell], size: tuple[int, int], lengths: list[int], threads: int, seed: int
) -> None:
    torch.manual_seed(seed)
    cell = make(*size)
    exact = make(*size).double()
    exact.load_state_dict(cell.state_dict())
    x, real = torch.randn(len(lengths), max([1, *lengths]), size[0]), torch.tensor(lengths)
    state = tuple(torch.randn_like(s) if i < 2 else s for i, s in enumerate(cell.initial_state(len(lengths))))
    weight = torch.randn(len(lengths), x.shape[1], size[1])

    def run(cell: Cell, path: str, dtype: torch.dtype) -> list[Tensor]:
        given = [t.detach().to(dtype).requires_grad_() for t in (x, *state)]
        y, after = scan(cell, given[0], tuple(given[1:]), lengths=real, path=path)
        total = (y * weight).sum() + sum((s * s).sum() for s in after)
        gradients = torch.autograd.grad(total, [*given, *cell.parameters()], allow_unused=True)
        return [y, *after, *(g for g in gradients if g is not None)]

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        got = run(cell, "native", torch.float32)
    finally:
        torch.set_num_threads(before)
    for a, b in zip(got, run(exact, "loop", torch.float64), strict=True):
        torch.testing.assert_close(a.double(), b, atol=2e-5 * max(1.0, float(b.detach().abs().max())), rtol=0)


@every_cell
@torch.no_grad()
def test_nan_stays_in_the_row_that_has_it(make: Callable[[int, int], Cell]) -> None:
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


SCRIPT = """
import torch
from rekur.cells import GRU, LSTM, Elman
from rekur.scan import native, scan
assert native.kernels.instruction_set() == "{name}", native.kernels.instruction_set()
for make in (Elman, LSTM, GRU):
    for size in (1, 7, 33, 64):
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
