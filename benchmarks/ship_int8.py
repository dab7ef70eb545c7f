"""What int8 saves and what it loses: models of three data sets, trained for a short time, before and after.

Run by ship.py. The data stand in $REKUR_DATA or ../shared/data beside the checkout; a data set that is absent is left
out. The score is that of the test part, of the same model with its weights rounded; both are exported to ONNX as well.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import rekur
from rekur._stepper import PRECISIONS, StepLayer, Stepper
from rekur.data import Columns, Corpus, examples, open_source, open_texts
from rekur.runtime import model_of, read_bundle, score_loss, write_quantised
from rekur.runtime.compare import bytes_of, step_times
from ship_rivals import OnnxModel
from timing import Figure, take_turns

DATA = {
    "rt_polarity": Columns(text="text", label="label"),
    "splice_dna": Columns(symbols="sequence", label="label"),
    "tiny_shakespeare": None,
}
#: most that may be lost, and the largest share of the bytes of the weights
LOST, SHARE = {"points": 0.3, "nats": 0.01}, 0.3
#: seconds that each model is trained; with --quick
SECONDS = (60.0, 8.0)
#: hidden units of the steps
SIZES = (64, 256)


class Parts(NamedTuple):
    """What a model is trained on, validated on and scored on."""

    train: Any
    valid: Any
    test: Any


def root() -> Path:
    """Return the folder of the data sets."""
    return Path(os.environ.get("REKUR_DATA", Path(__file__).parents[2] / "shared" / "data"))


def quantised(folder: Path, seconds: float, repeats: int, onnx: bool) -> Iterator[dict[str, Any]]:
    """Yield a row for each data set that is there; with ``onnx`` of its exports too."""
    for name, columns in DATA.items():
        if not (root() / name).is_dir():
            continue
        parts = Parts(*(part_of(name, part, columns) for part in ("train", "valid", "test")))
        model: Any = rekur.LanguageModel if columns is None else rekur.Classifier
        trained = model(time_limit=seconds, seed=0, baseline=False).fit_corpus(parts.train, parts.valid)
        before = read_bundle(trained.save(folder / name))
        after = write_quantised(before, folder / f"{name}-int8", "int8")
        models = model_of(before, threads=1), model_of(after, threads=1)
        loss = score_loss(*models, parts.test)
        sizes = [bytes_of(bundle) for bundle in (before, after)]
        times = step_times([model.engine for model in models])
        yield {
            "section": "int8",
            "data": name,
            **loss.to_dict(),
            "share": {what: sizes[1][what] / sizes[0][what] for what in sizes[0]},
            "step_us": [1e6 * seconds for seconds in times or ()],
            "onnx": exported([before.folder, after.folder], repeats) if onnx else {},
        }


def exported(folders: list[Path], repeats: int) -> dict[str, float]:
    """Return the bytes of an export in int8, and the time of its step, as a share of those in float32."""
    before, after = (OnnxModel(folder) for folder in folders)
    runs = {str(one.bytes): partial(one.live().advance, np.array([2])) for one in (before, after)}
    taken = take_turns(runs, repeats=repeats, clock=time.perf_counter).seconds
    return {"bytes": after.bytes / before.bytes, "step": taken[str(after.bytes)] / taken[str(before.bytes)]}


def stepped(repeats: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each size: microseconds of a step of a GRU alone, on weights of 32, 16 and 8 bits."""
    for size in SIZES:
        rng = np.random.default_rng(0)
        weights = [(rng.normal(size=(3 * size, size)) / size**0.5).astype(np.float32) for _ in range(2)]
        x = rng.normal(size=size).astype(np.float32)
        steppers = {name: Stepper([StepLayer("gru", *weights)], precision=name) for name in PRECISIONS}  # type: ignore[arg-type]
        runs = {name: partial(one.step_one, 0, x) for name, one in steppers.items()}
        timed = take_turns(runs, repeats=repeats, clock=time.perf_counter)
        yield {"section": "stepper", "hidden": size, "us": {name: 1e6 * took for name, took in timed.seconds.items()}}


def figures(rows: list[dict[str, Any]]) -> list[Figure]:
    """Return what was measured against what is to be reached."""
    found = []
    for row in rows:
        note = f"{row['score']} {row['before']:.4f} before, {row['after']:.4f} after"
        found.append(Figure(f"int8, {row['data']}: {row['unit']} lost", row["lost"], LOST[row["unit"]], False, note))
        note = f"the whole bundle {row['share']['bundle']:.3f}"
        found.append(Figure(f"int8, {row['data']}: share of the weights", row["share"]["weights"], SHARE, False, note))
        if onnx := row["onnx"]:
            found.append(Figure(f"int8, {row['data']}: share of step.onnx", onnx["bytes"], SHARE, False))
            found.append(Figure(f"int8, {row['data']}: step in ONNX Runtime / float32", onnx["step"], 1.1, False))
    return found


def part_of(name: str, part: str, columns: Columns | None) -> Any:
    """Return a part of a data set; without columns as text."""
    if columns is None:
        return open_texts(root() / name / f"{part}.txt", document="file")
    path = root() / name / f"{part}.tsv"
    source = open_source(path)
    return Corpus(lambda: examples(source, columns, label_type="class"), str(path))
