"""The catalog, and the numbers with which cells begin."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rekur.cells import (
    CELLS,
    GRU,
    LSTM,
    MLSTM,
    RGLRU,
    SLSTM,
    Cell,
    MinGRU,
    MinLSTM,
    PeepholeLSTM,
    State,
    describe_cells,
    make_cell,
)


def test_every_name_makes_its_cell() -> None:
    for name, cell_class in CELLS.items():
        cell = make_cell(name, 3, 4)
        assert type(cell) is cell_class
        assert (cell.input_size, cell.hidden_size) == (3, 4)
        assert cell.equations
        assert cell.reference


def test_a_preset_and_an_option() -> None:
    assert repr(make_cell("rnn_relu", 3, 4, bias=False)) == "Elman(3, 4, bias=False, nonlinearity=relu)"
    assert make_cell("lstm", 3, 4, proj_size=2).output_size == 2


def test_the_table_counts_what_is_there_and_draws_nothing() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    rows = {row["name"]: row for row in describe_cells(6, 8)}
    assert torch.equal(torch.rand(3), expected)
    assert list(rows) == list(CELLS)
    assert rows["rnn"]["parameters"] == 8 * 6 + 8 * 8 + 16
    assert rows["lstm"]["parameters"] == 4 * 8 * (6 + 8) + 8 * 8
    assert rows["lstm_peephole"]["parameters"] == 4 * 8 * (6 + 8) + 11 * 8
    assert rows["gru"]["parameters"] == rows["gru_reset_before"]["parameters"] == 3 * 8 * (6 + 8) + 6 * 8
    assert rows["mingru"]["parameters"] == 2 * 8 * 6 + 2 * 8
    assert rows["minlstm"]["parameters"] == 3 * 8 * 6 + 3 * 8
    assert rows["rglru"]["parameters"] == 2 * 8 * 8 + 3 * 8 + 8 * 6
    assert rows["slstm"]["parameters"] == 4 * 8 * (6 + 8) + 8 * 8
    assert rows["mlstm"]["parameters"] == (4 * 8 + 2) * (6 + 1)
    assert rows["lstm"]["cost"] == 4 * 8 * (6 + 8)
    assert rows["mlstm"]["cost"] == (4 * 8 + 2) * 6 + 3 * 8 * 8
    assert rows["lstm"]["state"] == {"h": (8,), "c": (8,)}
    assert rows["mlstm"]["state"] == {"C": (1, 8, 8), "n": (1, 8), "m": (1,)}
    assert rows["lstm"]["options"] == ["proj_size", "bias", "init", "forget_bias"]
    assert rows["rnn_relu"]["options"] == ["bias", "init"]


def assert_orthogonal(weight: Tensor, blocks: int) -> None:
    for block in weight.detach().double().chunk(blocks):
        torch.testing.assert_close(block @ block.t(), torch.eye(len(block), dtype=torch.float64), atol=1e-5, rtol=0)


def test_rekur_beginnings() -> None:
    lstm = LSTM(3, 5)
    assert_orthogonal(lstm.weight_hh, 4)
    assert lstm.bias_ih is not None
    assert lstm.bias_hh is not None
    assert lstm.bias_ih.tolist() == [0.0] * 5 + [1.0] * 5 + [0.0] * 10
    assert not lstm.bias_hh.any()
    bound = (6 / (3 + 5)) ** 0.5
    assert 0.6 * bound < float(lstm.weight_ih.detach().abs().max()) <= bound
    assert_orthogonal(GRU(3, 5).weight_hh, 3)
    assert_orthogonal(SLSTM(3, 6, num_heads=2).weight_hh, 8)
    peephole = PeepholeLSTM(3, 5, forget_bias=2.0)
    assert not torch.cat([peephole.weight_ci, peephole.weight_cf, peephole.weight_co]).any()
    assert peephole.bias_ih is not None
    assert peephole.bias_ih[5:10].tolist() == [2.0] * 5
    mingru, minlstm, mlstm = MinGRU(3, 5), MinLSTM(3, 5), MLSTM(3, 4, num_heads=2)
    assert mingru.bias_ih is not None
    assert minlstm.bias_ih is not None
    assert mlstm.bias_ih is not None
    assert mingru.bias_ih.tolist() == [-1.0] * 5 + [0.0] * 5
    assert minlstm.bias_ih.tolist() == [1.0] * 5 + [0.0] * 10
    assert mlstm.bias_ih.tolist() == [0.0] * 18 + [3.0] * 2


def test_the_decay_of_an_rg_lru_begins_slow() -> None:
    a = torch.sigmoid(RGLRU(8, 500).decay.detach()) ** 8
    assert 0.9 <= float(a.min()) < 0.91
    assert 0.99 < float(a.max()) <= 0.9991


def test_reset_parameters_gives_the_same_numbers_for_a_seed() -> None:
    for name in CELLS:
        for init in ("rekur", "torch"):
            torch.manual_seed(4)
            cell = make_cell(name, 3, 4, init=init)
            first = [p.clone() for p in cell.parameters()]
            torch.manual_seed(4)
            getattr(cell, "reset_parameters")()  # noqa: B009
            assert all(torch.equal(a, b) for a, b in zip(first, cell.parameters(), strict=True))


def test_changed_equations_lose_the_hand_written_scan() -> None:
    class Coupled(LSTM):
        def combine(self, from_input: Tensor, from_state: Tensor, state: State) -> tuple[Tensor, State]:  # type: ignore[override]
            return super().combine(from_input, 0.5 * from_state, state)

    class Renamed(LSTM):
        pass

    class Slower(MinGRU):
        def linear_form(self, projected: Tensor) -> tuple[Tensor, Tensor]:
            a, b = super().linear_form(projected)
            return a.sqrt(), b

    class Clipped(MinGRU):
        def recur(self, projected: Tensor, state: State) -> tuple[Tensor, State]:
            y, after = super().recur(projected, state)
            return y.clamp(-1, 1), after

    assert (LSTM.kind, Coupled.kind, Renamed.kind) == ("lstm", "", "lstm")
    assert (Slower.kind, Clipped.kind) == ("linear", "")


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_can_be_copied_and_compiled_to_a_state_dict(name: str) -> None:
    import copy

    cell: Cell = make_cell(name, 3, 4)
    twin = copy.deepcopy(cell)
    x = torch.randn(2, 3)
    assert torch.equal(cell(x)[0], twin(x)[0])
