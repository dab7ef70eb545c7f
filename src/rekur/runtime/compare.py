"""What a bundle loses against the one it was made from: the score on the same data, bytes, the time of a step.

Axes: N records.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rekur.metrics import METRICS, bootstrap_interval
from rekur.program import Engine, PairEngine, draw_sequences
from rekur.program.parts import DECODE, INPUT
from rekur.runtime import layout
from rekur.runtime.bundle import Bundle
from rekur.runtime.model import Model
from rekur.targets import Target

_ROUNDS, _STEPS = 7, 200
#: steps of the source of a target
_SOURCE_STEPS = 20


@dataclass(frozen=True)
class ScoreLoss:
    """How much worse one model scores than another on the same data.

    Attributes:
        score: the metric that decides: ``accuracy`` (with several labels an item ``micro_f1``), ``loss`` (of a token),
            ``rmse``, or ``bleu``; where a score of the first model is 0 the next that training follows, such as
            ``chrf``.
        unit: of the loss: ``points`` (hundredths) of a share, ``nats`` of the loss, ``%`` of the error.
        before: the score of the first model.
        after: the score of the second.
        lost: by how much the second is worse; below 0 where it is better.
        interval: its 95 % interval, from pairs of items, or of stretches of text, drawn again.
        items: how many items, or tokens.
    """

    score: str
    unit: str
    before: float
    after: float
    lost: float
    interval: tuple[float, float]
    items: int

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return asdict(self)


def score_loss(before: Model, after: Model, data: Any) -> ScoreLoss:
    """Return how much worse a model scores than the one that it was made from, on the same data.

    Args:
        before: the model, as :func:`rekur.runtime.load` returns it.
        after: what was made of it, with the same features and target.
        data: a :class:`rekur.data.Corpus` of items with labels; for language models texts, as
            :func:`rekur.data.open_texts` gives them.

    Raises:
        InputError: the data cannot be read, has no items, or a label was never seen in training.

    Example:
        >>> import rekur
        >>> from rekur.data import Corpus
        >>> models = rekur.load("runs/reviews"), rekur.load("runs/small")  # doctest: +SKIP
        >>> score_loss(*models, Corpus.from_lists(["a fine film"], ["good"])).lost  # doctest: +SKIP
        0.0
    """
    target = before.target_
    if after.target_.kind != target.kind:
        raise TypeError("before and after are models of different tasks")
    records = [model.records_of(data) for model in (before, after)]
    count, name = len(records[0]), _deciding(target, target.score(records[0]))

    def scores(rows: Any) -> tuple[float, float]:
        old, new = (target.score(part[rows])[name] for part in records)
        return old, new

    metric, (old, new) = METRICS[name], scores(slice(None))
    ends = bootstrap_interval(lambda rows: metric.lost(*scores(rows)), count)
    return ScoreLoss(name, metric.unit, old, new, metric.lost(old, new), ends, target.count(records[0]))


def _deciding(target: Target, scores: Mapping[str, float]) -> str:
    """Return the metric that decides; where that is 0 and cannot fall, the next that training follows."""
    first = target.decides
    if scores[first] or not METRICS[first].larger_is_better:
        return first
    return next((name for name in target.followed if scores.get(name) and name in METRICS), first)


def step_times(engines: Sequence[Engine | PairEngine]) -> list[float] | None:
    """Return the seconds of one step with its output on each engine, the best of rounds that take turns.

    Where a search finds the texts it is a step of one target.

    Args:
        engines: of programs that read the same input.

    Returns:
        the times; None where the programs need whole sequences.

    Example:
        >>> from rekur.program import Input, Op, Program, State
        >>> last = Op("last", ("input",), "last", 2, state={"last": "last"})
        >>> program = Program.of("regress", Input("rows", 2), {}, (State("last", (2,)),), (last,))
        >>> [0 < seconds < 1 for seconds in step_times([Engine(program, {})])]
        [True]
    """
    if not (engines[0].program.causal or engines[0].program.searches):
        return None
    rounds = [_target_steps(each) if isinstance(each, PairEngine) else _live_steps(each) for each in engines]
    best = [math.inf] * len(rounds)
    for _ in range(_ROUNDS):
        for place, run in enumerate(rounds):
            start = time.perf_counter()
            run()
            best[place] = min(best[place], (time.perf_counter() - start) / _STEPS)
    return best


def _live_steps(engine: Engine) -> Callable[[], None]:
    """Return what takes the steps of a sequence, and reads the output after each."""
    (steps,) = draw_sequences(engine.program, [_STEPS])
    live = engine.live()

    def run() -> None:
        live.reset()
        for step in steps:
            live.step(step)
            live.read()

    return run


def _target_steps(engine: PairEngine) -> Callable[[], None]:
    """Return what takes the steps of a target whose source is read already."""
    sources = engine.encode(draw_sequences(engine.program, [_SOURCE_STEPS]))
    ids = np.random.default_rng(0).integers(engine.program.parts[DECODE].inputs[INPUT].size, size=(_STEPS, 1))

    def run() -> None:
        state = engine.begin(1, sources)
        for each in ids:
            _, state = engine.step(each, state)

    return run


def bytes_of(bundle: Bundle) -> dict[str, int]:
    """Return the bytes of a bundle: ``weights``, and ``bundle`` for all of its files.

    Example:
        >>> from rekur.runtime import read_bundle
        >>> bytes_of(read_bundle("runs/reviews"))  # doctest: +SKIP
        {'weights': 700436, 'bundle': 714645}
    """
    sizes = {name: (bundle.folder / name).stat().st_size for name in bundle.config["files"]}
    weights = sum(size for name, size in sizes.items() if name in (layout.WEIGHTS, layout.PROGRAM_WEIGHTS))
    return {"weights": weights, "bundle": sum(sizes.values()) + (bundle.folder / layout.CONFIG).stat().st_size}
