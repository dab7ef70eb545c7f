"""A bundle as a folder of ONNX models with a manifest and two runners."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rekur import _check
from rekur._check import need
from rekur.errors import InputError, describe
from rekur.program import Engine, in_precision
from rekur.runtime import Bundle, read_bundle, runner
from rekur.runtime.layout import render
from rekur.ship.folder import MANIFEST, check_folder, write_folder
from rekur.ship.to_onnx.check import TOLERANCE, Found, check_models
from rekur.ship.to_onnx.graph import LARGEST
from rekur.ship.to_onnx.manifest import FORMAT, make_manifest
from rekur.ship.to_onnx.models import make_models

#: what runs an export without Rekur
RUNNERS = ("run.py", "run.mjs")


@dataclass(frozen=True)
class Exported:
    """An export that was written.

    Args:
        folder: where it stands.
        files: name -> bytes.
        found: the largest difference to the model's own scores.
        tolerance: the largest that would have passed.
        causal: whether there is a graph of single steps.
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
    overwrite: bool = False,
) -> Exported:
    """Write a bundle as ONNX models, whole or not at all, once they give what the engine gives.

    The folder gets ``sequence.onnx`` (input, lengths -> scores), for models that read forward only ``step.onnx``
    (one step and the state -> scores and the next state), ``manifest.json``, and the runners ``run.py`` and
    ``run.mjs``, which need ONNX Runtime alone.

    Args:
        bundle: a bundle, or its folder.
        folder: where the export is to stand.
        precision: of the matrices: ``float32``, ``int8`` with a scale a row, or ``bfloat16``; by default as they are in
            the bundle. In memory ONNX Runtime holds float32, whatever the files hold.
        tolerance: the largest difference to the engine, which runs the same weights, that passes; relative where scores
            are above 1.
        overwrite: replace an export that stands there; default False.

    Returns:
        what was written.

    Raises:
        InputError: the folder is taken, the bundle has no program, or one of another precision of few bits.
        RekurError: the models differ by more than the tolerance; nothing is written.
        SaveError: the place may not be written.
        MissingDependencyError: ``onnx`` or ``onnxruntime`` is not installed.

    Example:
        >>> export_onnx("runs/reviews", "exports/reviews").found.difference  # doctest: +SKIP
        2.1e-07
    """
    _check.tolerance("tolerance", tolerance)
    runtime = need("onnxruntime", "export", "rekur export --to onnx")
    need("onnx", "export", "rekur export --to onnx")
    target = check_folder(folder, FORMAT, overwrite=overwrite)
    saved = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
    runner(saved)  # features, program and answers are those of one model
    program, weights = in_precision(*saved.program(), precision)
    size = sum(array.nbytes for array in weights.values())
    if size > LARGEST:
        raise InputError(describe("bytes of the weights", size, f"at most {LARGEST}, which one ONNX file holds"))
    engine = Engine(program, weights)
    models = make_models(program, weights, {"fingerprint": saved.fingerprint})
    found = check_models(models, engine, tolerance)
    begin = engine.initial_state() if program.causal else []
    manifest = make_manifest(
        program,
        models,
        features=saved.features().to_dict(),
        targets=saved.config.get("targets", {}),
        fingerprint=saved.fingerprint,
        states=dict(zip([slot.name for slot in program.state], begin, strict=False)),
        found=found,
        tolerance=tolerance,
        runtime=runtime.__version__,
    )
    files = {f"{name}.onnx": model.SerializeToString() for name, model in models.items()}
    manifest["files"] = sorted([*files, MANIFEST, *RUNNERS])
    files[MANIFEST] = render(manifest)
    files |= {name: (Path(__file__).parent / "runners" / name).read_bytes() for name in RUNNERS}
    write_folder(target, files, FORMAT, overwrite=overwrite)
    sizes = {name: len(content) for name, content in files.items()}
    return Exported(Path(folder), sizes, found, tolerance, program.causal, program.precision)
