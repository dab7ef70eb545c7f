"""A model that many threads use at once gives each of them what it gives one thread."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.laws.models import VOCABULARY

import rekur
from rekur.lower import lower
from rekur.models import SequenceSpec, build
from rekur.program import Engine

THREADS, ROUNDS = 4, 3
FORMATS = Path(__file__).parents[1] / "formats" / "v1"
ITEMS = sorted(path for path in FORMATS.glob("*.json") if not path.stem.startswith("language"))
TEXTS = sorted(FORMATS.glob("language_*.json"))

pytestmark = pytest.mark.usefixtures("paths", "threads_switch_often")


@pytest.fixture
def threads_switch_often() -> Iterator[None]:
    """Let Python change from thread to thread after a few operations, not after 5 ms."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def hold(make_model: Callable[[], Any], answer: Callable[[Any, int], Any]) -> None:
    """Compare what threads get of a new model, each asking something else, with what one thread gets of another."""
    alone, shared, start = make_model(), make_model(), threading.Barrier(THREADS)
    expected = [answer(alone, number) for number in range(THREADS)]
    assert len({str(value) for value in expected}) > 1

    def work(number: int) -> list[Any]:
        start.wait()
        return [answer(shared, number) for _ in range(ROUNDS)]

    with ThreadPoolExecutor(THREADS) as pool:
        for number, answers in enumerate(pool.map(work, range(THREADS))):
            assert answers == [expected[number]] * ROUNDS


def turned(values: list[Any], number: int) -> list[Any]:
    """Return the values, begun at another one for each thread."""
    return values[number % len(values) :] + values[: number % len(values)]


@pytest.mark.parametrize("path", ITEMS, ids=lambda path: path.stem)
def test_predictions_and_sessions_of_one_model(path: Path) -> None:
    recorded = json.loads(path.read_text(encoding="utf-8"))
    items = recorded["items"]
    if isinstance(items[0][0], list):
        items = [np.array(item, np.float64) for item in items]

    def answer(model: Any, number: int) -> Any:
        chosen = turned(list(items), number)
        live = []
        if "events" in recorded:
            session = model.stream()
            for item in chosen[:3]:
                live += [session.push(item[:2]), session.push(item[2:])]
            live.append(session.get_state())
        probabilities = model.predict_proba(chosen).tolist() if "probabilities" in recorded else []
        return [model.predict(chosen).tolist(), probabilities, live]

    hold(lambda: rekur.load(path.with_suffix("")), answer)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_texts_of_one_language_model(path: Path) -> None:
    recorded = json.loads(path.read_text(encoding="utf-8"))

    def answer(model: Any, number: int) -> Any:
        scored = model.log_probabilities(turned(recorded["texts"], number))
        written = model.generate(recorded["prompt"], max_tokens=8, seed=number)
        return [[entry.each.tolist() for entry in scored], written[0].text]

    hold(lambda: rekur.load(path.with_suffix("")), answer)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "mingru", "slstm", "mlstm"])
def test_everything_that_one_engine_runs(cell: str) -> None:
    """Layers are wide enough that the kernels of several threads run at the same time."""
    pooling = "last+mean+max+attention"
    spec = SequenceSpec(
        input_size=VOCABULARY,
        output_size=3,
        discrete=True,
        embedding_size=32,
        cell=cell,
        hidden_size=64,
        num_layers=2,
        kernel_size=3,
        norm=True,
        pooling=pooling,
    )
    program, weights = lower(build(spec, seed=0).eval())
    rng = np.random.default_rng(0)
    sequences = [rng.integers(1, VOCABULARY, size=length) for length in (40, 1, 17, 25)]

    def answer(engine: Engine, number: int) -> Any:
        chosen = turned(sequences, number)
        live, many = engine.live(), engine.many()
        states, state = many.initial_state(3), engine.initial_state()
        for step in chosen[0][:8]:
            live.step(step)
            states = many.step(np.array([step, 1, 2]), states)
        for piece in (chosen[0][:5], chosen[0][5:]):
            state = engine.advance(piece, state)
        outputs = (engine.run(chosen), live.read(), many.read(states), engine.read(state))
        return [output.tolist() for output in outputs]

    hold(lambda: Engine(program, weights, threads=2), answer)
