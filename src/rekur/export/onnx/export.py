"""A bundle as a folder of ONNX models with a manifest and two runners."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from rekur import _check
from rekur._check import need
from rekur.errors import InputError, describe
from rekur.export.folder import MANIFEST, check_folder, write_folder
from rekur.export.onnx.check import TOLERANCE, check_models
from rekur.export.onnx.found import Found
from rekur.export.onnx.graph import LARGEST
from rekur.export.onnx.manifest import FORMAT, make_manifest
from rekur.export.onnx.models import make_models
from rekur.program import Engine, ForecastEngine, PairEngine, in_precision
from rekur.runtime import Bundle, model_of, read_bundle
from rekur.runtime.layout import render

#: programs that run an export without Rekur, by the file that holds each; those of a model whose texts a search finds,
#: and of one that forecasts
RUNNERS = {"run.py": "run.py", "run.mjs": "run.mjs"}
SEARCHING = {"run.py": "run_pairs.py"}
FORECASTING = {"run.py": "run_windows.py"}
#: a file with windows of the series that a bundle keeps, and how many
WINDOWS, MOST_WINDOWS = "windows.jsonl", 8


@dataclass(frozen=True)
class Exported:
    """An export that was written.

    Args:
        folder: its folder.
        files: name -> size in bytes.
        found: the largest difference from the model's own scores.
        tolerance: the largest accepted difference.
        causal: whether it has a graph of single steps.
        precision: of the matrices: ``float32``, ``int8`` or ``bfloat16``.
    """

    folder: Path
    files: dict[str, int]
    found: Found
    tolerance: float
    causal: bool
    precision: str


def export_onnx(
    bundle: Bundle | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    precision: str | None = None,
    tolerance: float = TOLERANCE,
    members: int | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a bundle as ONNX models, whole or not at all, after comparing their scores with the engine's.

    The folder gets ``sequence.onnx`` (input, lengths -> scores), ``step.onnx`` if the model reads forward only
    (one step and the state -> scores and the next state), ``manifest.json``, and the runners ``run.py`` and
    ``run.mjs``, which need only ONNX Runtime. Of a model whose texts a search finds it gets ``encode.onnx`` (sources ->
    what targets read of them), ``decode.onnx`` (one step of targets), and ``run.py``, which searches. Of a model that
    forecasts it gets ``encode.onnx`` (one step of the past), ``ahead.onnx`` (one segment of the horizon), ``run.py``,
    which takes windows as the features make them, and some of these in ``windows.jsonl``.

    Args:
        bundle: a bundle, or its folder.
        folder: the folder of the export.
        precision: of the matrices: ``float32``, ``int8`` with a scale for each row, or ``bfloat16``; by default that of
            the bundle. In memory ONNX Runtime holds float32 in any case.
        tolerance: the largest accepted difference from the engine, which runs the same weights; relative for scores
            above 1.
        members: of the networks whose answers the model averages, the first ones that are written; None for all.
        overwrite: replace an export; default False.

    Returns:
        the export.

    Raises:
        InputError: the folder is taken, or the bundle has no program, or a program of another low precision.
        RekurError: the models differ by more than the tolerance; nothing is written.
        SaveError: the disk is full, or there is no permission to write.
        MissingDependencyError: ``onnx`` or ``onnxruntime`` is not installed.

    Example:
        >>> export_onnx("runs/reviews", "exports/reviews").found.difference  # doctest: +SKIP
        2.1e-07
    """
    _check.tolerance("tolerance", tolerance)
    runtime = need("onnxruntime", "export", "rekur export --to onnx")
    need("onnx", "export", "rekur export --to onnx")
    target = check_folder(folder, FORMAT, overwrite=overwrite)
    saved = replace(bundle if isinstance(bundle, Bundle) else read_bundle(bundle), members=members)
    running = model_of(saved)  # checks that features, program and target belong to one model
    program, weights = in_precision(*saved.program(), precision)
    size = sum(array.nbytes for array in weights.values())
    if size > LARGEST:
        raise InputError(describe("bytes of the weights", size, f"at most {LARGEST}, which one ONNX file holds"))
    make: Any = PairEngine if program.searches else ForecastEngine if program.forecasts else Engine
    engine = make(program, weights)
    models = make_models(program, weights, {"fingerprint": saved.fingerprint})
    measured = check_models(models, engine, tolerance)
    states: Mapping[str, Any] = {}
    if isinstance(engine, PairEngine):
        states = engine.initial_state()
    elif "step" in models or program.forecasts:
        states = dict(zip([slot.name for slot in program.state], engine.initial_state(), strict=True))
    manifest = make_manifest(
        program,
        models,
        features=running.features_.to_dict(),
        target=running.target_,
        search=running.search_ if program.searches else None,
        targets=saved.config.get("targets", {}),
        fingerprint=saved.fingerprint,
        states=states,
        measured=measured,
        tolerance=tolerance,
        runtime=runtime.__version__,
    )
    files = {f"{name}.onnx": model.SerializeToString() for name, model in models.items()}
    runners = SEARCHING if program.searches else FORECASTING if program.forecasts else RUNNERS
    if program.forecasts and running.kept_:
        windows = islice(running.windows(running.kept_items()), MOST_WINDOWS)
        files[WINDOWS] = "".join(f"{json.dumps(window)}\n" for window in windows).encode()
    manifest["files"] = sorted([*files, MANIFEST, *runners])
    files[MANIFEST] = render(manifest)
    files |= {name: (Path(__file__).parent / "runners" / file).read_bytes() for name, file in runners.items()}
    write_folder(target, files, FORMAT, overwrite=overwrite)
    sizes = {name: len(content) for name, content in files.items()}
    return Exported(Path(folder), sizes, measured, tolerance, program.causal, program.precision)
