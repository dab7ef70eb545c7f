"""Cells and small models that laws are tested on: a new cell of the catalog is tested by being listed there.

Axes: D input features, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from rekur.cells import (
    CELLS,
    GRU,
    LSTM,
    MLSTM,
    SLSTM,
    Cell,
    Elman,
    GRUResetBefore,
    LayerNorm,
    LinearCell,
    MinGRU,
    PeepholeLSTM,
    RecurrentDropout,
    Residual,
    State,
    Zoneout,
    make_cell,
)
from rekur.models import (
    LanguageNetwork,
    LanguageSpec,
    SequenceModel,
    SequenceSpec,
    SeriesNetwork,
    build,
    build_language,
)
from rekur.nn import Recurrent
from rekur.nn.ngram import frequent_runs

Make = Callable[[int, int], Cell]

# ── cells ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Leaky(Cell):
    """A cell as a user writes it: step alone."""

    def __init__(self, input_size: int, hidden_size: int, leak_rate: float = 0.1) -> None:
        super().__init__(input_size, hidden_size)
        self.mix = nn.Linear(input_size, hidden_size)
        self.leak_rate = leak_rate

    def state_sizes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.hidden_size,),)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = (1 - self.leak_rate) * state[0] + self.leak_rate * torch.tanh(self.mix(x))
        return h, (h,)


class Sliding(LinearCell):
    """A linear cell as a user writes it."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.mix = nn.Linear(input_size, hidden_size)
        self.decay = nn.Parameter(torch.full((hidden_size,), 0.5))

    def project(self, x: Tensor) -> Tensor:
        return self.mix(x)

    def linear_form(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        return self.decay, projected

    def readout(self, h: Tensor, projected: Tensor) -> Tensor:
        return torch.tanh(h) * projected


class Fading(LinearCell):
    """A linear cell as a user writes it, which projects its input by no matrix."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.decay = nn.Parameter(torch.linspace(-0.9, 0.9, hidden_size))
        self.gain = nn.Parameter(torch.linspace(1.0, 2.0, hidden_size))

    def project(self, x: Tensor) -> Tensor:
        return x.amax(-1, keepdim=True) * self.gain

    def linear_form(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        return self.decay, projected


def from_catalog(name: str) -> Make:
    """Return the maker of a cell of the catalog."""
    return lambda d, h: make_cell(name, d, h)


CATALOG: dict[str, Make] = {name: from_catalog(name) for name in CELLS}
#: cells with options and wrappers
VARIANTS: dict[str, Make] = {
    "lstm projected": lambda d, h: LSTM(d, h + 1, proj_size=h),
    "lstm without bias": lambda d, h: LSTM(d, h, bias=False),
    "gru without bias": lambda d, h: GRU(d, h, bias=False),
    "reset before without bias": lambda d, h: GRUResetBefore(d, h, bias=False),
    "mingru without bias": lambda d, h: MinGRU(d, h, bias=False),
    "slstm with heads": lambda d, h: SLSTM(d, h, num_heads=2),
    "mlstm with heads": lambda d, h: MLSTM(d, h, num_heads=2),
    "a user's": Leaky,
    "a user's slow": lambda d, h: Leaky(d, h, leak_rate=0.001),
    "a user's linear": Sliding,
    "a user's linear without matrix": Fading,
    "layer norm rnn": lambda d, h: LayerNorm(Elman(d, h)),
    "layer norm relu": lambda d, h: LayerNorm(Elman(d, h, nonlinearity="relu")),
    "layer norm lstm": lambda d, h: LayerNorm(LSTM(d, h)),
    "layer norm lstm projected": lambda d, h: LayerNorm(LSTM(d, h + 1, proj_size=h, bias=False)),
    "layer norm peephole": lambda d, h: LayerNorm(PeepholeLSTM(d, h)),
    "layer norm gru": lambda d, h: LayerNorm(GRU(d, h)),
    "layer norm gru without bias": lambda d, h: LayerNorm(GRU(d, h, bias=False)),
    "dropout rnn": lambda d, h: RecurrentDropout(Elman(d, h), 0.5),
    "dropout lstm": lambda d, h: RecurrentDropout(LSTM(d, h), 0.5),
    "dropout lstm projected": lambda d, h: RecurrentDropout(LSTM(d, h + 1, proj_size=h), 0.5),
    "dropout peephole": lambda d, h: RecurrentDropout(PeepholeLSTM(d, h), 0.5),
    "dropout gru": lambda d, h: RecurrentDropout(GRU(d, h), 0.5),
    "dropout reset before": lambda d, h: RecurrentDropout(GRUResetBefore(d, h), 0.5),
    "dropout slstm": lambda d, h: RecurrentDropout(SLSTM(d, h), 0.5),
    "dropout slstm with heads": lambda d, h: RecurrentDropout(SLSTM(d, 2 * h, num_heads=2), 0.5),
    "dropout layer norm gru": lambda d, h: RecurrentDropout(LayerNorm(GRU(d, h)), 0.5),
    "dropout layer norm lstm": lambda d, h: RecurrentDropout(LayerNorm(LSTM(d, h)), 0.5),
    "zoneout rnn": lambda d, h: Zoneout(Elman(d, h), 0.2),
    "zoneout gru": lambda d, h: Zoneout(GRU(d, h), 0.2),
    "zoneout lstm": lambda d, h: Zoneout(LSTM(d, h), 0.1, memory=0.5),
    "zoneout lstm projected": lambda d, h: Zoneout(LSTM(d, h + 1, proj_size=h), 0.1, memory=0.5),
    "zoneout reset before": lambda d, h: Zoneout(GRUResetBefore(d, h), 0.3),
    "zoneout layer norm lstm": lambda d, h: Zoneout(LayerNorm(LSTM(d, h)), 0.1, memory=0.3),
    "zoneout layer norm peephole": lambda d, h: Zoneout(LayerNorm(PeepholeLSTM(d, h)), 0.0, 0.4),
    "zoneout a user's": lambda d, h: Zoneout(Leaky(d, h), 0.2),
    "residual mlstm": lambda d, h: Residual(MLSTM(d, h)),
    "residual mingru": lambda d, h: Residual(MinGRU(d, h)),
    "all of them": lambda d, h: Residual(Zoneout(RecurrentDropout(LayerNorm(LSTM(d, h)), 0.5), 0.1, memory=0.3)),
}


def variants(*names: str) -> dict[str, Make]:
    """Return the makers of these variants."""
    return {name: VARIANTS[name] for name in names}


def variants_in_evaluation(*names: str) -> dict[str, Make]:
    """Return makers of these variants that set the cell to evaluation."""

    def evaluated(name: str) -> Make:
        return lambda d, h: VARIANTS[name](d, h).eval()

    return {f"{name} in evaluation": evaluated(name) for name in names}


# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────────

VOCABULARY = 11
#: cells in layers of a model, and options that no specification has: D -> cell
MORE_CELLS: dict[str, Callable[[int], Any]] = {
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


def with_cell(name: str, bidirectional: bool = False, seed: int = 0) -> SequenceModel:
    """Return a small model of two layers of one of ``MORE_CELLS``."""
    torch.manual_seed(seed)
    cell = MORE_CELLS[name]
    model = make(hidden_size=cell(5).output_size, bidirectional=bidirectional)
    model.recurrent = Recurrent(cell, 5, cell(5).hidden_size, num_layers=2, bidirectional=bidirectional)
    shaken(model, 1)
    return model


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


def draw_base(network: SeriesNetwork) -> None:
    """Give the linear base of a network, and the scores that are added to it, random weights."""
    if network.base is not None:
        torch.manual_seed(2)
        heads = [weight for name, weight in network.named_parameters() if ".head." in name]
        for weight in [*network.base.buffers(), *heads]:
            torch.nn.init.normal_(weight)
