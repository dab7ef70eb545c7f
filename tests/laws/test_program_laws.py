"""A program computes what the model it came from computes: on whole sequences, in chunks, step by step.

Axes: B sequences, T time, D input features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stepped import language_step
from torch import Tensor, nn

from rekur import _kernels
from rekur.cells import (
    CELLS,
    GRU,
    LSTM,
    Cell,
    Elman,
    LayerNorm,
    MinGRU,
    PeepholeLSTM,
    RecurrentDropout,
    Residual,
    Zoneout,
    make_cell,
)
from rekur.errors import InputError, NotStreamableError
from rekur.models import LanguageNetwork, LanguageSpec, SequenceModel, SequenceSpec, build, build_language
from rekur.nn import Recurrent
from rekur.nn.ngram import frequent_runs
from rekur.program import Engine, Program
from rekur.ship import live_model, lower, program_files

VOCABULARY, CLOSE = 11, 1e-5

#: cells with something around them, and options that no specification has
MORE_CELLS: dict[str, Any] = {
    "lstm projected": lambda d: LSTM(d, 6, proj_size=6 - 1),
    "lstm without bias": lambda d: LSTM(d, 6, bias=False),
    "gru without bias": lambda d: GRU(d, 6, bias=False),
    "reset before without bias": lambda d: make_cell("gru_reset_before", d, 6, bias=False),
    "slstm of heads": lambda d: make_cell("slstm", d, 6, num_heads=3),
    "slstm without bias": lambda d: make_cell("slstm", d, 6, bias=False),
    "mlstm of heads": lambda d: make_cell("mlstm", d, 6, num_heads=2),
    "rglru without bias": lambda d: make_cell("rglru", d, 6, bias=False),
    "normalised lstm": lambda d: LayerNorm(LSTM(d, 6)),
    "normalised peepholes": lambda d: LayerNorm(PeepholeLSTM(d, 6)),
    "normalised gru": lambda d: LayerNorm(GRU(d, 6), eps=1e-3),
    "normalised gru without bias": lambda d: LayerNorm(GRU(d, 6, bias=False)),
    "normalised rnn": lambda d: LayerNorm(Elman(d, 6)),
    "zoneout lstm": lambda d: Zoneout(LSTM(d, 6), 0.2, 0.4),
    "zoneout of h alone": lambda d: Zoneout(LSTM(d, 6), 0.2, 0.0),
    "zoneout gru": lambda d: Zoneout(RecurrentDropout(LayerNorm(GRU(d, 6)), 0.5), 0.3),
    "zoneout mingru": lambda d: Zoneout(MinGRU(d, 6), 0.3),
    "residual gru": lambda d: Residual(GRU(d, 6)),
    "residual rnn": lambda d: Residual(Zoneout(Elman(d, 6, nonlinearity="relu"), 0.1)),
}


#: any options of a model, drawn; see `made_of`
OPTIONS: dict[str, Any] = {
    "cell": st.sampled_from(list(CELLS)),
    "pooling": st.lists(st.sampled_from(["last", "mean", "max", "attention"]), min_size=1, max_size=3, unique=True),
    "num_layers": st.integers(1, 2),
    "discrete": st.booleans(),
    "bidirectional": st.booleans(),
    "norm": st.booleans(),
    "residual": st.booleans(),
    "kernel_size": st.integers(0, 4),
}
#: language networks of every softmax, with tables that two ops share and without
LANGUAGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "layers": {
        "cell": "lstm",
        "num_layers": 2,
        "residual": True,
        "norm": True,
        "tied": True,
        "recurrent_dropout": 0.2,
    },
    "tied": {"tied": True, "embedding_size": 6, "softmax": "sampled", "samples": 4},
    "projected": {"tied": True, "softmax": "sampled", "samples": 4},
    "clusters": {"softmax": "adaptive", "vocabulary_size": 40, "cutoffs": (8, 20)},
    "tied clusters": {
        "softmax": "adaptive",
        "vocabulary_size": 40,
        "cutoffs": (8, 20),
        "tied": True,
        "embedding_size": 6,
    },
    "projected clusters": {"softmax": "adaptive", "vocabulary_size": 40, "cutoffs": (11,), "tied": True},
    "pairs": {"ngrams": (2,)},
    "ngrams": {"ngrams": (2, 4)},
    "recall": {"recall": (2,), "recall_slots": 4},
    "recall and runs": {"recall": (2, 3), "recall_slots": 64, "ngrams": (3,), "tied": True, "embedding_size": 6},
}


@pytest.fixture(params=["kernels", "numpy"])
def paths(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test on the compiled kernels and without them."""
    if request.param == "numpy":
        monkeypatch.setattr(_kernels, "kernels", None)
    elif _kernels.kernels is None:
        pytest.skip("the compiled kernels are not installed")


def shaken(model: nn.Module, seed: int = 0) -> nn.Module:
    """Return a model in evaluation whose every weight is drawn anew: none is zero or one by its beginnings."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def make(seed: int = 0, **options: Any) -> SequenceModel:
    """Return a small model of these options."""
    discrete = options.setdefault("discrete", True)
    options = {"cell": "gru", "hidden_size": 6, "embedding_size": 5, "output_size": 3, **options}
    spec = SequenceSpec(input_size=VOCABULARY if discrete else 4, **options)
    model = shaken(build(spec, seed=seed), seed)
    assert isinstance(model, SequenceModel)
    return model


def made_of(seed: int = 0, **options: Any) -> SequenceModel:
    """Return a model of options drawn from ``OPTIONS``."""
    residual = options["residual"] and options["num_layers"] > 1
    return make(seed, **{**options, "residual": residual, "pooling": "+".join(options["pooling"])})


def with_cell(name: str, bidirectional: bool = False) -> SequenceModel:
    """Return a small model of two layers of one of ``MORE_CELLS``."""
    torch.manual_seed(0)
    cell = MORE_CELLS[name]
    model = make(hidden_size=cell(5).output_size, bidirectional=bidirectional)
    model.recurrent = Recurrent(cell, 5, cell(5).hidden_size, num_layers=2, bidirectional=bidirectional)
    shaken(model, 1)
    return model


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
        return np.asarray(model(x, lengths).numpy())


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


@settings(max_examples=25)
@given(**OPTIONS, lengths=st.lists(st.integers(0, 14), min_size=1, max_size=5), dropout=st.sampled_from([0.0, 0.4]))
def test_a_program_is_its_model(lengths: list[int], dropout: float, **options: Any) -> None:
    product = options["cell"] not in ("mingru", "minlstm", "rglru", "mlstm")
    agree(made_of(**options, recurrent_dropout=dropout if product else 0.0, dropout=dropout), lengths)


@pytest.mark.skipif(_kernels.kernels is None, reason="the compiled kernels are not installed")
@settings(max_examples=15)
@given(
    cell=st.sampled_from([cell for cell in CELLS if cell != "mlstm"]),  # which has no kernel
    lengths=st.lists(st.integers(1, 8), min_size=2, max_size=5),
)
def test_batch_mates_do_not_matter_to_a_bit_on_the_kernels(cell: str, lengths: list[int]) -> None:
    model = make(cell=cell, pooling="last+max")
    engine, sequences = Engine(*lower(model)), draw(model, lengths)
    whole = engine.run(sequences)
    for sequence, scores in zip(sequences, whole, strict=True):
        np.testing.assert_array_equal(engine.run([sequence])[0], scores)


def language(**options: Any) -> LanguageNetwork:
    """Return a small language network of these options, which knows the runs that are frequent in a random text."""
    text = torch.randint(1, VOCABULARY, (400,), generator=torch.Generator().manual_seed(1))
    runs = (
        frequent_runs(text, torch.tensor([0]), options["ngrams"], min_count=2, most=99) if "ngrams" in options else ()
    )
    rows = tuple(len(keys) + 1 for keys in runs)
    sizes = {"vocabulary_size": VOCABULARY, "hidden_size": 6, "embedding_size": 5}
    network = build_language(LanguageSpec(**{**sizes, "ngram_rows": rows, **options}), seed=0)
    if network.ngram_embedding is not None:
        assert min(rows) > 1
        network.ngram_embedding.know(runs)
    shaken(network)
    return network


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


class Leaky(Cell):
    """A cell as a user writes it."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.mix = nn.Linear(input_size, hidden_size)

    def state_sizes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.hidden_size,),)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        h = 0.9 * state[0] + 0.1 * self.mix(x)
        return h, (h,)


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
    for needs_a_program in (lower, lambda m: live_model(m, "classify", ""), lambda m: program_files(m, {}, "classify")):
        with pytest.raises(InputError) as error:
            needs_a_program(model)
        assert str(error.value) == text
