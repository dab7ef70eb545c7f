"""Which models run live on the kernels, by name: an op that they lack puts a whole program on NumPy in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.laws.programs import tagger

import rekur
from rekur import _kernels
from rekur.errors import InputError
from rekur.lower import lower
from rekur.models import Encoder, EncoderSpec, ForecasterSpec, build_forecaster
from rekur.program import Engine, ForecastEngine, Input, Live, Op, Part, Program, State
from rekur.program.live_native import NativeLive
from rekur.program.stepwise import LiveSteps, stepwise

pytestmark = pytest.mark.skipif(_kernels.kernels is None, reason="the compiled kernels are not installed")

RANDOM = np.random.default_rng(0)
TEXTS = [" ".join(RANDOM.choice(["good", "bad", "film", "plot", "slow"], size=6)) for _ in range(40)]
LABELS = ["a" if "good" in text else "b" for text in TEXTS]
WALKS = [RANDOM.normal(size=(length, 2)).cumsum(0) for length in RANDOM.integers(5, 9, size=40)]
CODES = ["".join(RANDOM.choice(list("ACGT"), size=12)) for _ in range(40)]
ONCE: dict[str, Any] = {"epochs": 1}


class Tagger(torch.nn.Module):
    """An encoder of words, affixes and shapes, and a linear layer at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder(EncoderSpec(columns=(50, 20, 20, 8), cell="lstm", hidden_size=16))
        self.head = torch.nn.Linear(16, 5)


def network_of(task: str) -> Any:
    """Return the network of a task, trained with its usual options."""
    if task == "tag":
        return Tagger().eval()
    if task == "regress":
        return rekur.Regressor(network="recurrent", **ONCE).fit(WALKS, [float(walk[-1, 0]) for walk in WALKS]).model_
    if task.startswith("language"):
        return rekur.LanguageModel(tokens=task.split()[1], **ONCE).fit(3 * [" ".join(TEXTS)]).model_
    items = {"texts": TEXTS, "series": WALKS, "symbols": CODES}[task.split()[1]]
    more = {"symbols": {"kind": "symbols"}, "series": {"network": "recurrent"}}.get(task.split()[1], {})
    return rekur.Classifier(**ONCE, **more).fit(items, LABELS).model_


@pytest.mark.parametrize(
    "task",
    ["classify texts", "classify series", "classify symbols", "regress", "language char", "language word", "tag"],
)
def test_the_usual_model_of_a_task_runs_live_on_the_kernels(task: str) -> None:
    engine = Engine(*lower(network_of(task)))
    assert engine.program.causal
    live = engine.live()
    assert isinstance(live.runner if isinstance(live, LiveSteps) else live, NativeLive)


def forecaster(**options: Any) -> ForecastEngine:
    """Return the engine of a network that forecasts, with weights of which none is 0."""
    how: dict[str, Any] = {
        "input_size": 5,
        "hidden_size": 8,
        "horizon": 6,
        "segment": 3,
        "candidates": 2,
        "ahead_size": 4,
    }
    network = build_forecaster(ForecasterSpec(**how | options), seed=0)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    return ForecastEngine(*lower(network, "forecast"))


@pytest.mark.skipif(not hasattr(_kernels.kernels, "Windows"), reason="the kernels lack the ops of forecasts")
@pytest.mark.parametrize(
    "options",
    [
        *({"cell": cell} for cell in ("gru", "lstm", "rnn", "mingru", "slstm")),
        {"cell": "gru", "num_layers": 2, "residual": True, "norm": True},
        {"cell": "lstm", "members": 3},
        {"cell": "lstm", "segment": 6, "ahead_size": 0, "channels": 2},
    ],
    ids=str,
)
def test_a_forecaster_runs_live_on_the_kernels(options: dict[str, Any]) -> None:
    engine = forecaster(**options)
    live, spec = engine.live(), engine.program.parts["ahead"].inputs["input"]
    assert live is not None
    for count in (7, 0, 3):
        steps, ahead = (
            RANDOM.normal(size=size).astype(np.float32)
            for size in ((count, 5), (6 // options.get("segment", 3), spec.size))
        )
        np.testing.assert_allclose(live.run(steps, ahead), engine.run([steps], [ahead])[0], rtol=1e-5, atol=1e-6)


def test_an_output_before_the_last_op_is_the_one_that_is_read() -> None:
    last = Op("last", ("input",), "last", 2, state={"last": "last"})
    ops = (last, *(Op("activation", ("last",), name, 2, options={"function": name}) for name in ("relu", "tanh")))
    part = Part({"input": Input("rows", 2)}, ops, {"output": "relu"})
    engine = Engine(Program("regress", {"main": part}, {}, (State("last", (2,)),)), {})
    x = np.array([[2.0, -3.0]], np.float32)
    live = engine.live()
    live.advance(x)
    assert live.read().tolist() == engine.run([x])[0].tolist() == [2.0, 0.0]


def live_of(delay: int = 0) -> tuple[NativeLive, Live]:
    """Return a sequence of columns of ids on the kernels, and one in NumPy."""
    program, weights = tagger(delay=delay, kernel_size=3, head=("log_softmax",))
    stepped = stepwise(program)
    return NativeLive(stepped, weights, {}), Live(stepped, weights, {})


def test_columns_of_ids_are_the_same_on_the_kernels_and_in_numpy() -> None:
    native, plain = live_of()
    for ids in RANDOM.integers(0, (11, 5, 4), size=(12, 3)):
        native.step(ids)
        plain.step(ids)
        np.testing.assert_allclose(native.read(), plain.read(), atol=1e-5)
    native.step([1, 2, 3])
    plain.step(np.array([1, 2, 3]))
    np.testing.assert_allclose(native.read(), plain.read(), atol=1e-5)


@pytest.mark.parametrize("ids", [[11, 0, 0], [0, 5, 0], [0, 0, -1], [1, 2], [1, 2, 3, 0], [[1, 2, 3]]])
@pytest.mark.parametrize("several", [False, True])
def test_ids_that_cannot_be_leave_the_sequence_as_it_was(ids: Any, several: bool) -> None:
    native, _ = live_of()
    native.step(np.array([1, 2, 3]))
    output: Callable[[], Any] = native.read
    before: Any = output()
    call: Callable[[Any], Any] = (lambda x: native.advance(x[None])) if several else native.step
    with pytest.raises(InputError, match=r"step: got .*; expected whole numbers of 0 or more, below 11, 5, 4"):
        call(np.array(ids))
    np.testing.assert_array_equal(output(), before)


CALLS: list[Callable[..., Any]] = [
    lambda sizes, embed: _kernels.kernels.Live(sizes, 0, [embed], [], [embed], columns=[11, 0]),
    lambda sizes, embed: _kernels.kernels.Live(sizes, 0, [embed | {"column": 2}], [], [embed], columns=[11, 5]),
    lambda sizes, embed: _kernels.kernels.Live(sizes, 0, [embed | {"column": -1}], [], [embed], columns=[11, 5]),
    lambda sizes, embed: _kernels.kernels.Live(sizes, 0, [embed], [], [embed], columns=[11, 60]),
    lambda sizes, embed: _kernels.kernels.Live(sizes, 0, [embed | {"vocabulary": 12}], [], [], columns=[11, 60]),
    lambda sizes, embed: _kernels.kernels.Live(sizes, 0, [embed | {"vocabulary": 1}], [], [], columns=[11, 60]),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_table_or_column_that_is_not_there(call: Callable[..., Any]) -> None:
    embed = {"op": "embed", "reads": [0], "writes": 1, "weight": np.zeros((11, 4), np.float32), "column": 1}
    with pytest.raises((ValueError, IndexError)):
        call([0, 4], embed)
