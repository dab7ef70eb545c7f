"""A program computes what the model it came from computes: on whole sequences, in chunks, step by step.

Axes: B sequences, T time, D input features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.models import (
    LANGUAGES,
    MORE_CELLS,
    OPTIONS,
    VOCABULARY,
    Leaky,
    language,
    made_of,
    make,
    shaken,
    with_cell,
)
from tests.profiles import draws
from tests.stepped import language_step
from torch import Tensor

from rekur import _kernels
from rekur.cells import CELLS, GRU, Residual, Zoneout, make_cell
from rekur.errors import InputError, NotStreamableError
from rekur.features import TextFeatures
from rekur.lower import lower, program_files, runtime_model
from rekur.models import Batch, Encoder, EncoderSpec, SequenceModel
from rekur.nn import Recurrent
from rekur.program import Engine, Program, draw_sequences
from rekur.targets import LabelTarget

CLOSE = 1e-5


def draw(model: SequenceModel, lengths: list[int], seed: int = 0) -> list[np.ndarray[Any, Any]]:
    """Return sequences of these lengths that the model may read."""
    rng = np.random.default_rng(seed)
    if model.spec.discrete:
        return [rng.integers(1, VOCABULARY, size=n) for n in lengths]
    return [rng.normal(size=(n, 4)).astype(np.float32) for n in lengths]


def scores_of(model: SequenceModel, sequences: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Return what PyTorch says of each sequence, all in one padded batch."""
    lengths = torch.tensor([len(s) for s in sequences])
    shape = (len(sequences), max(1, int(lengths.max())), *sequences[0].shape[1:])
    x: Tensor = torch.zeros(shape, dtype=torch.int64 if model.spec.discrete else torch.float32)
    for row, sequence in enumerate(sequences):
        x[row, : len(sequence)] = torch.from_numpy(sequence)
    with torch.no_grad():
        return np.asarray(model(Batch.of(x, lengths))[0].numpy())


def lowered(model: SequenceModel) -> Engine:
    """Return the engine of a model, by way of JSON."""
    program, weights = lower(model)
    again = Program.from_json(program.to_json())
    assert again == program
    assert again.to_json() == program.to_json()
    return Engine(again, weights)


def agree(model: SequenceModel, lengths: list[int]) -> None:
    """Hold a program against its model: whole, alone, and where it is causal in chunks and step by step."""
    engine, sequences = lowered(model), draw(model, lengths)
    wanted = scores_of(model, sequences)
    found = engine.run(sequences)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=CLOSE, rtol=CLOSE)
    for sequence, scores in zip(sequences, found, strict=True):
        np.testing.assert_allclose(engine.run([sequence])[0], scores, atol=CLOSE, rtol=CLOSE)
    if not engine.program.causal:
        assert not model.streams
        return
    live = engine.live()
    for sequence, scores in zip(sequences, wanted, strict=True):
        live.reset()
        for step in sequence:
            live.step(step)
        np.testing.assert_allclose(live.read(), scores, atol=CLOSE, rtol=CLOSE)
        for chunk in (1, 3, 9):
            state = engine.initial_state()
            for start in range(0, len(sequence), chunk):
                state = engine.advance(sequence[start : start + chunk], state)
            np.testing.assert_allclose(engine.read(state), scores, atol=CLOSE, rtol=CLOSE)


@pytest.mark.usefixtures("paths")
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_with_everything_around_it(cell: str, bidirectional: bool) -> None:
    more = {"residual": True, "norm": True, "kernel_size": 3, "pooling": "last+mean+max+attention"}
    agree(make(cell=cell, bidirectional=bidirectional, num_layers=2, **more), [5, 0, 12, 1])


@pytest.mark.usefixtures("paths")
@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_by_itself(cell: str, discrete: bool) -> None:
    agree(make(cell=cell, discrete=discrete), [7, 3, 0, 12, 7])


@pytest.mark.usefixtures("paths")
@pytest.mark.parametrize("name", MORE_CELLS)
def test_every_wrapper_and_option_of_a_cell(name: str) -> None:
    agree(with_cell(name), [6, 2, 9])


@pytest.mark.usefixtures("paths")
@pytest.mark.parametrize("bidirectional", [False, True])
def test_learned_states(bidirectional: bool) -> None:
    model = make(bidirectional=bidirectional)
    model.recurrent = Recurrent(
        lambda d: make_cell("lstm", d, 6), 5, 6, bidirectional=bidirectional, learned_state=True
    )
    shaken(model, 2)
    program, _ = lower(model)
    assert any(isinstance(slot.begins, str) for slot in program.state)
    agree(model, [4, 1, 6])


@draws(25)
@given(**OPTIONS, lengths=st.lists(st.integers(0, 14), min_size=1, max_size=5), dropout=st.sampled_from([0.0, 0.4]))
def test_a_program_is_its_model(lengths: list[int], dropout: float, **options: Any) -> None:
    product = options["cell"] not in ("mingru", "minlstm", "rglru", "mlstm")
    agree(made_of(**options, recurrent_dropout=dropout if product else 0.0, dropout=dropout), lengths)


@pytest.mark.skipif(_kernels.kernels is None, reason="the compiled kernels are not installed")
@draws(15)
@given(
    cell=st.sampled_from([cell for cell in CELLS if cell != "mlstm"]),  # which has no kernel
    lengths=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    times=st.sampled_from([1, 17]),
)
def test_batch_mates_do_not_matter_to_a_bit_on_the_kernels(cell: str, lengths: list[int], times: int) -> None:
    model = make(cell=cell, pooling="last+mean+max+attention")
    engine, sequences = Engine(*lower(model)), draw(model, lengths)
    whole = engine.run(sequences * times)  # many sequences are added up otherwise than few
    for sequence, scores in zip(sequences * times, whole, strict=True):
        np.testing.assert_array_equal(engine.run([sequence])[0], scores)


@pytest.mark.usefixtures("paths")
@pytest.mark.parametrize("name", LANGUAGES)
def test_language_networks(name: str) -> None:
    network = language(**LANGUAGES[name])
    program, weights = lower(network)
    assert program.task == "language"
    engine = Engine(Program.from_json(program.to_json()), weights)
    ids = np.random.default_rng(3).integers(1, VOCABULARY, size=14)
    ids[7:12] = ids[1:6]
    state, wanted = network.initial_state(1), []
    with torch.no_grad():
        for token in ids:
            scores, state = language_step(network, torch.tensor([token]), state)
            wanted.append(scores[0].numpy())
    np.testing.assert_allclose(engine.run_steps(ids)[0], wanted, atol=CLOSE, rtol=CLOSE)
    live, carried = engine.live(), engine.initial_state()
    for start, end in ((0, 1), (1, 4), (4, 14)):
        carried = engine.advance(ids[start:end], carried)
        for token in ids[start:end]:
            live.step(token)
        np.testing.assert_allclose(engine.read(carried), wanted[end - 1], atol=CLOSE, rtol=CLOSE)
        np.testing.assert_allclose(live.read(), wanted[end - 1], atol=CLOSE, rtol=CLOSE)
    assert engine.read(carried)[0] == -np.inf


def test_what_is_read_after_every_step() -> None:
    model = make(num_layers=2, kernel_size=2)
    engine, (sequence,) = Engine(*lower(model)), draw(model, [6])
    prefixes = [sequence[:n] for n in range(1, 7)]
    np.testing.assert_allclose(engine.run_steps(sequence)[0], scores_of(model, prefixes), atol=CLOSE)


def test_many_sequences_run_in_blocks() -> None:
    model = make(discrete=False, pooling="mean")
    engine, sequences = Engine(*lower(model)), draw(model, [3000, 9, 2500, 30000, 1, 4000])
    np.testing.assert_allclose(engine.run(sequences), scores_of(model, sequences), atol=CLOSE, rtol=CLOSE)


def test_advancing_changes_nothing_that_it_was_given() -> None:
    model = make(cell="lstm", kernel_size=3, pooling="last+mean+max+attention")
    engine, (sequence,) = Engine(*lower(model)), draw(model, [9])
    state = engine.advance(sequence[:4], engine.initial_state())
    before = [array.copy() for array in state]
    first = engine.read(engine.advance(sequence[4:], state))
    for array, kept in zip(state, before, strict=True):
        np.testing.assert_array_equal(array, kept)
    np.testing.assert_array_equal(engine.read(engine.advance(sequence[4:], state)), first)
    for array, begin in zip(engine.initial_state(), engine.initial_state(), strict=True):
        assert array is not begin


def test_a_program_that_reads_from_the_end_does_not_run_live() -> None:
    engine = Engine(*lower(make(bidirectional=True)))
    with pytest.raises(NotStreamableError) as error:
        engine.initial_state()
    assert str(error.value) == (
        "program: got 'one that reads from the end'; expected a causal one. "
        "Run whole sequences, or train a model that reads forward only."
    )


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (
            Leaky,
            "cell of layer.0: got 'Leaky'; expected one of rnn, rnn_relu, lstm, lstm_peephole, gru, "
            "gru_reset_before, mingru, minlstm, rglru, slstm, mlstm. A program has no equations for your own cell.",
        ),
        (
            lambda d, h=6: Zoneout(Residual(GRU(d, h)), 0.1),
            "cell of layer.0: got 'Residual'; expected Residual around Zoneout around RecurrentDropout around "
            "LayerNorm around a cell, any of them left out. No program has an op for another order.",
        ),
    ],
)
def test_what_cannot_be_lowered_is_said(cell: Any, text: str) -> None:
    model = make()
    model.recurrent = Recurrent(cell, 5, 6)
    features, target = TextFeatures("byte"), LabelTarget(["a", "b"], multi_label=False)
    for needs_a_program in (
        lower,
        lambda m: runtime_model(m, "classify", features, target, ""),
        lambda m: program_files(m, {}, "classify"),
    ):
        with pytest.raises(InputError) as error:
            needs_a_program(model)
        assert str(error.value) == text


class Steps(torch.nn.Module):
    """An encoder and a linear layer at every step."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.encoder = Encoder(spec)
        self.head = torch.nn.Linear(self.encoder.output_size, 3)


def stepped(columns: tuple[int, ...], **options: Any) -> Steps:
    """Return a network with random weights."""
    source: dict[str, Any] = {"columns": columns} if columns else {"input_size": 4}
    network = Steps(EncoderSpec(**{"cell": "gru", "hidden_size": 6, **source, **options}))
    shaken(network, 0)
    return network.eval()


@pytest.mark.usefixtures("paths")
@draws(12)
@given(
    columns=st.sampled_from([(9,), (9, 5, 4), ()]),
    cell=st.sampled_from(["gru", "lstm", "mingru", "slstm"]),
    bidirectional=st.booleans(),
    projection_size=st.sampled_from([0, 5]),
    kernel_size=st.sampled_from([0, 3]),
    num_layers=st.integers(1, 2),
    residual=st.booleans(),
    norm=st.booleans(),
    look_ahead=st.integers(0, 3),
)
def test_a_network_with_an_output_at_every_step(columns: tuple[int, ...], **options: Any) -> None:
    options["residual"] = options["residual"] and options["num_layers"] > 1
    options["look_ahead"] *= not options["bidirectional"]
    network = stepped(columns, **options, embedding_size=7, part_size=3, dropout=0.2, token_dropout=0.2)
    program, weights = lower(network)
    assert (program.task, program.per_step, program.causal) == ("tag", True, not options["bidirectional"])
    assert program.delay == options["look_ahead"]
    assert Program.from_json(program.to_json()) == program
    sequences = draw_sequences(program, [5, 0, 12, 1])
    padding = np.nan if sequences[0].dtype == np.float32 else 1
    for x, outputs in zip(sequences, Engine(program, weights).run(sequences), strict=True):
        padded = np.concatenate([x, np.full((2, *x.shape[1:]), padding, x.dtype)])
        with torch.no_grad():
            encoded = network.encoder(torch.from_numpy(padded)[None], torch.tensor([len(x)]))
            wanted = network.head(encoded)[0, : len(x)].numpy()
        np.testing.assert_allclose(outputs, wanted, atol=CLOSE, rtol=CLOSE)


def test_tables_that_hold_zeros_for_padding_are_shared_with_the_model() -> None:
    network = stepped((9, 5, 4))
    saved = {name: value.numpy() for name, value in network.state_dict().items()}
    assert "program.safetensors" in program_files(network, saved, "tag")
    assert network.encoder.embedding is not None
    assert network.encoder.embedding.parts is not None
    with torch.no_grad():
        network.encoder.embedding.parts.weight[network.encoder.embedding.offsets] = 0
    assert list(program_files(network, saved, "tag")) == ["program.json"]
