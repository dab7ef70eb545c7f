"""What a bundle loses against the one it was made from: the score on the same data, bytes, the time of a step.

Axes: N items or tokens.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur.data import Corpus, encode_texts, read_labels
from rekur.metrics import bootstrap_interval
from rekur.metrics.language import BLOCKS
from rekur.program import Engine, draw_sequences
from rekur.runtime import layout
from rekur.runtime.answers import ClassAnswers
from rekur.runtime.bundle import Bundle
from rekur.runtime.language_predictor import LanguagePredictor, nats
from rekur.runtime.predictor import Predictor

#: score -> the unit of what is lost of it, and how much of that may be lost by default
UNITS = {"accuracy": ("points", 0.3), "loss": ("nats", 0.01), "rmse": ("%", 1.0)}
_ROUNDS, _STEPS = 7, 200


@dataclass(frozen=True)
class ScoreLoss:
    """How much worse one model scores than another on the same data.

    Attributes:
        score: ``accuracy`` (with several labels an item, all of them right), ``loss`` (of a token) or ``rmse``.
        unit: of what is lost: ``points`` (hundredths) of accuracy, ``nats`` of the loss, ``%`` of the error.
        before: the score of the first model.
        after: the score of the second.
        lost: by how much the second is worse; below 0 where it is better.
        interval: its 95 % interval, of the differences item by item.
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


def score_loss(before: Predictor | LanguagePredictor, after: Predictor | LanguagePredictor, data: Any) -> ScoreLoss:
    """Return how much worse a model scores than the one that it was made from, on the same data.

    Args:
        before: the model, as :func:`rekur.runtime.load` returns it.
        after: what was made of it, with the same features and answers.
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
    if isinstance(before, LanguagePredictor) and isinstance(after, LanguagePredictor):
        return _of_texts(before, after, data)
    if not (isinstance(before, Predictor) and isinstance(after, Predictor)):
        raise TypeError("before and after are models of different tasks")
    labels = read_labels(data)
    targets = before.answers_.encode(labels.values, data.name, labels.place_of)
    errors = [_errors(model, data, targets) for model in (before, after)]
    if isinstance(before.answers_, ClassAnswers):
        old, new = (1 - float(wrong.mean()) for wrong in errors)
        more = 100 * (errors[1] - errors[0])
        ends = bootstrap_interval(lambda rows: float(more[rows].mean()), len(more))
        return ScoreLoss("accuracy", "points", old, new, float(more.mean()), ends, len(more))

    def worse(rows: NDArray[np.intp]) -> float:
        old, new = (math.sqrt(float((error[rows] ** 2).mean())) for error in errors)
        return 100 * (new / old - 1) if old else (0.0 if new == old else math.inf)

    everything = np.arange(len(targets))
    old, new = (math.sqrt(float((error**2).mean())) for error in errors)
    ends = bootstrap_interval(worse, len(targets))
    return ScoreLoss("rmse", "%", old, new, worse(everything), ends, len(targets))


def step_times(engines: Sequence[Engine]) -> list[float] | None:
    """Return the seconds of one step with its output on each engine, the best of rounds that take turns.

    Args:
        engines: of programs that read the same input.

    Returns:
        the times; None where the programs need whole sequences.

    Example:
        >>> from rekur.program import Input, Op, Program, State
        >>> last = Op("last", ("input",), "last", 2, state={"last": "last"})
        >>> program = Program("regress", Input("rows", 2), {}, (State("last", (2,)),), (), (last,), ())
        >>> [0 < seconds < 1 for seconds in step_times([Engine(program, {})])]
        [True]
    """
    if not engines[0].program.causal:
        return None
    (steps,) = draw_sequences(engines[0].program, [_STEPS])
    lives = [engine.live() for engine in engines]
    best = [math.inf] * len(lives)
    for _ in range(_ROUNDS):
        for place, live in enumerate(lives):
            live.reset()
            start = time.perf_counter()
            for step in steps:
                live.step(step)
                live.read()
            best[place] = min(best[place], (time.perf_counter() - start) / _STEPS)
    return best


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


def _errors(model: Predictor, corpus: Corpus, targets: NDArray[Any]) -> NDArray[np.float64]:
    """Return 1 for each item (N,) that is predicted wrongly, or how far its number is off."""
    with corpus.naming_the_place():
        scores = model.scores_of_items(corpus.items())
    answers = model.answers_
    if not isinstance(answers, ClassAnswers):
        return np.asarray(answers.predict(scores) - answers.predict(targets[:, None]))
    shares = answers.probabilities(scores)
    if answers.multi_label:
        return np.asarray(((shares >= 0.5) != (targets > 0)).any(axis=1).astype(np.float64))
    return np.asarray((shares.argmax(axis=1) != targets).astype(np.float64))


def _of_texts(before: LanguagePredictor, after: LanguagePredictor, data: Any) -> ScoreLoss:
    tokens = encode_texts(data, before.features_)
    reset = bool(before.bundle.config["targets"]["reset"])
    old, new = (nats(model.engine, tokens.ids, tokens.starts, reset=reset) for model in (before, after))
    more = new.astype(np.float64) - old
    # tokens that follow one another are not independent: stretches of the text are compared
    blocks = [float(block.mean()) for block in np.array_split(more, min(BLOCKS, len(more)))]
    lost = float(more.mean())
    error = 1.96 * float(np.std(blocks, ddof=1)) / math.sqrt(len(blocks)) if len(blocks) > 1 else math.inf
    first, second = (float(each.mean(dtype=np.float64)) for each in (old, new))
    return ScoreLoss("loss", "nats", first, second, lost, (lost - error, lost + error), len(more))
