"""What a trained model costs where it runs: bytes, the time of a step, items a second.

Axes: N items.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from rekur.data import Corpus, Texts
from rekur.errors import DataWarning, InputError
from rekur.runtime.bundle import read_bundle
from rekur.runtime.compare import bytes_of, step_times
from rekur.runtime.layout import PROGRAM
from rekur.runtime.model import model_of
from rekur.tasks import load

#: items that are run one by one, the first items that are run at once, and the seconds that such a run takes at least
_ALONE, _FIRST, _LONG_ENOUGH = 5, 16, 0.05
#: items, and characters of texts, that are run at most
_MOST_ITEMS, _MOST_CHARACTERS = 1024, 200_000


@dataclasses.dataclass(frozen=True)
class Speed:
    """How fast a model runs on this machine.

    Attributes:
        step_seconds: of one step with its output; None for a model that needs whole items.
        item_seconds: of one item by itself, the median of a few; None for texts.
        per_second: items a second, or tokens, where many are run at once.
    """

    step_seconds: float | None
    item_seconds: float | None
    per_second: float


def speed_of(model: Any, data: Any) -> Speed:
    """Return how fast a model runs.

    Args:
        model: as :func:`rekur.runtime.load` returns it; or a task that has no engine, for which no step is timed.
        data: items with labels, or texts; some of them are run.
    """
    engine = getattr(model, "engine", None)
    steps = None if engine is None else step_times([engine])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        numbers = range(0 if isinstance(data, Texts) else _ALONE)
        times = [_seconds(model, some(data, 1, number))[0] for number in numbers]
        alone = [seconds for seconds in times if seconds is not None]
        item = statistics.median(alone) if alone else None
        return Speed(None if steps is None else steps[0], item, _rate(model, data))


def load_model(folder: Path) -> Any:
    """Return a saved model: its program, or where it has none its network."""
    bundle = read_bundle(folder)
    return model_of(bundle) if PROGRAM in bundle.config["files"] else load(folder)


def bundle_bytes(folder: Path) -> int:
    """Return the bytes of a bundle."""
    return bytes_of(read_bundle(folder))["bundle"]


def some(data: Any, count: int, start: int = 0) -> Any:
    """Return a part of the items of a corpus; of texts the first pieces.

    Args:
        data: the corpus, or texts.
        count: items, or characters after which no piece follows.
        start: items that are left out.
    """
    if isinstance(data, Corpus):
        return data.derived(lambda: islice(iter(data), start, start + count), list)

    def read() -> Iterator[tuple[int, str]]:
        characters = 0
        for document, piece in data.pieces():
            yield document, piece[: count - characters]
            characters += len(piece)
            if characters >= count:
                return

    return Texts(data.name, read)


def _rate(model: Any, data: Any) -> float:
    """Return items (of texts, tokens) a second, timed on enough of them to last long enough."""
    is_text = isinstance(data, Texts)
    count, most = (1000, _MOST_CHARACTERS) if is_text else (_FIRST, _MOST_ITEMS)
    seconds, items = _seconds(model, some(data, count))
    while seconds is not None and seconds < _LONG_ENOUGH and count < most:
        count, fewer = 4 * count, items
        seconds, items = _seconds(model, some(data, count))
        if items == fewer:  # there are no more
            break
    return items / seconds if seconds else 0.0


def _seconds(model: Any, data: Any) -> tuple[float | None, int]:
    """Return how long it takes to predict and score items, and how many they are; None and 0 without items."""
    began = time.perf_counter()
    try:
        records = model.records_of(data)
    except InputError:  # no items are left, or a series is too short to be scored by itself
        return None, 0
    return max(time.perf_counter() - began, 1e-9), model.target_.count(records)
