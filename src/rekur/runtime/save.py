"""Write a bundle, or a quantised one, whole or not at all: into a folder beside the target, then into place."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rekur._files import read_json_object, staged_folder, sweep
from rekur._paths import refuse_current, resolve_folder, save_errors
from rekur._tensors import Array, pack
from rekur._version import __version__
from rekur.errors import BundleError, InputError, SaveError, describe
from rekur.features.base import Features
from rekur.program.quantised import quantise
from rekur.program.stored_weights import pack_weights
from rekur.runtime import layout
from rekur.runtime.bundle import Bundle, read_bundle

_OWN = (
    layout.CONFIG,
    layout.WEIGHTS,
    layout.FEATURES,
    layout.METRICS,
    layout.HISTORY,
    layout.CARD,
    *layout.PROGRAM_ALONE,
    *layout.RIVAL_FILES,
    *layout.SERIES_FILES,
)


def check_writable(
    folder: str | os.PathLike[str], overwrite: bool = False, *, inputs: Iterable[str | os.PathLike[str]] = ()
) -> Path:
    """Raise now what :func:`write_bundle` would raise after hours of training; write nothing.

    Args:
        folder: where a bundle is to stand. It may be missing, be empty, or hold ``checkpoints/`` and hidden
            files only; with ``overwrite`` it may also be a bundle. Where a training was begun, it may hold any files
            whose names a bundle does not need.
        overwrite: allow that a bundle is replaced.
        inputs: files and folders that are read, which are never replaced.

    Returns:
        The folder, absolute and with links followed.

    Raises:
        InputError: something else stands there, or the path cannot be a bundle's folder.
        SaveError: the place may not be written.

    Example:
        >>> check_writable("runs/reviews").name
        'reviews'
    """
    target = resolve_folder(folder)
    _check_content(str(folder), target, overwrite, carry_over=False)
    if target.is_dir():
        _refuse_inputs(str(folder), target, inputs)
    return target


def own_files(folder: Path) -> set[str] | None:
    """Return the files in a folder that Rekur wrote as parts of a bundle; None where it holds no bundle and no run.

    Example:
        >>> own_files(Path("no/such")) is None
        True
    """
    config = read_json_object(folder / layout.CONFIG)
    if _is_bundle(config):
        files = config.get("files")
        return {*_OWN, layout.FEATURES_FILE, *(files if isinstance(files, dict) else ())}
    return set() if (folder / layout.RUN).is_file() else None


def write_bundle(
    folder: str | os.PathLike[str],
    config: Mapping[str, Any],
    weights: Mapping[str, Array] | None,
    features: Features,
    metrics: Mapping[str, Any],
    history_rows: Iterable[Mapping[str, Any]],
    card: str,
    *,
    files: Mapping[str, bytes] | None = None,
    overwrite: bool = False,
    carry_over: bool = False,
) -> Bundle:
    """Write a bundle, whole or not at all, and return it as read back from the disk.

    Everything goes into a hidden folder beside the target, is read back with all its checksums and flushed to the
    disk; one rename puts it in place. A bundle that is replaced is moved aside before, and removed only
    after. What stands in its folder and is no part of a bundle (checkpoints, notes, exports, ``.git``) stays.
    A process that is killed can leave a folder ``.NAME.partial-…`` or ``.NAME.old-…`` beside the target, which the
    next call for the same folder clears away.

    Args:
        folder: where the bundle is to stand; see :func:`check_writable`, to be called before training.
        config: plain JSON with at least ``task``; the keys ``format``, ``rekur``, ``files`` and
            ``fingerprint`` are added here. The same arguments give the same fingerprint.
        weights: name -> array; None for a bundle that holds a program alone, which ``files`` then brings.
        features: fitted features, saved by their own ``save``.
        metrics: scores as plain JSON; NaN and infinities are written as null.
        history_rows: one row an evaluation, as plain JSON; NaN and infinities are written as null.
        card: the text of README.md. People may edit it later: it has no checksum.
        files: more files to be kept and checked, path inside the bundle -> content; default none.
        overwrite: replace the bundle that stands there; default False.
        carry_over: keep what stands in the folder and is no bundle, beside the new one, instead of refusing it.

    Raises:
        InputError: the folder is taken, or something in the arguments cannot be saved.
        SaveError: the disk is full or the place may not be written; what stood there is unchanged.

    Example:
        >>> write_bundle("runs/a", {"task": "classify"}, weights, features, {}, [], "")  # doctest: +SKIP
        Bundle(folder=PosixPath('runs/a'), config={'format': 1, …})
    """
    target = resolve_folder(folder)
    check = partial(_check_content, str(folder), target, overwrite, carry_over)
    sweep(target, own_files)  # may put back a bundle, which the check then sees
    check()
    head = _checked_config(config)
    content = _content(weights, metrics, history_rows, files or {})
    with save_errors(target), staged_folder(target, own_files, "bundle", check) as staging:
        _fill(staging, head, content, features, card)
        bundle = _read_back(staging, target)
    return replace(bundle, folder=Path(folder))


def _fill(staging: Path, head: dict[str, Any], content: dict[str, bytes], features: Features, card: str) -> None:
    for name, data in content.items():
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        (staging / name).write_bytes(data)
    (staging / layout.FEATURES).mkdir(exist_ok=True)
    features.save(staging / layout.FEATURES)
    sums = {}
    for path in sorted(path for path in staging.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            sums[path.relative_to(staging).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    config = {"format": layout.FORMAT, "rekur": __version__, **head, "files": sums}
    config["fingerprint"] = layout.fingerprint_of(config)
    (staging / layout.CONFIG).write_bytes(layout.render(config))
    (staging / layout.CARD).write_text(card, encoding="utf-8")


def _read_back(staging: Path, target: Path) -> Bundle:
    try:
        return read_bundle(staging)
    except BundleError as error:
        flaw = str(error).replace(str(staging), str(target))
        fix = f"The disk or the memory may be failing; what stood there is unchanged. ({flaw})"
        raise SaveError(f"{target}: got back other bytes than were written; expected the same. {fix}") from error


def _content(
    weights: Mapping[str, Array] | None,
    metrics: Mapping[str, Any],
    history_rows: Iterable[Mapping[str, Any]],
    files: Mapping[str, bytes],
) -> dict[str, bytes]:
    rows = [layout.plain(f"history[{i}]", row, null_for_nan=True) for i, row in enumerate(history_rows)]
    taken = {*_OWN, layout.CHECKPOINTS, layout.FEATURES_FILE} - {
        *layout.PROGRAM_ALONE,
        *layout.RIVAL_FILES,
        *layout.SERIES_FILES,
    }
    for name, data in files.items():
        top = name.split("/")[0]
        if not layout.is_safe_name(name) or name in taken or (top in taken and top != layout.FEATURES):
            raise InputError(describe("files", name, "paths inside the bundle that it does not use itself"))
        if not isinstance(data, bytes):
            raise InputError(describe(f"files['{name}']", type(data).__name__, "bytes"))
    for name in layout.PROGRAM_ALONE if weights is None else ():
        if name not in files:
            raise InputError(describe("files", ", ".join(files) or "none", f"'{name}' among them, as weights is None"))
    return {
        **({} if weights is None else {layout.WEIGHTS: pack("weights", weights)}),
        layout.METRICS: layout.render(layout.plain("metrics", dict(metrics), null_for_nan=True)),
        layout.HISTORY: "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode(),
        **files,
    }


def _checked_config(config: Mapping[str, Any]) -> dict[str, Any]:
    for key in layout.RESERVED:
        if key in config:
            expected = "none of " + ", ".join(f"'{name}'" for name in layout.RESERVED)
            raise InputError(describe("config", key, expected, "Rekur sets these itself."))
    if not isinstance(config.get("task"), str):
        raise InputError(describe("config.task", config.get("task"), "the name of a task"))
    checked: dict[str, Any] = layout.plain("config", dict(config))
    return checked


def _check_content(folder: str, target: Path, overwrite: bool, carry_over: bool) -> None:
    if not target.is_dir():
        return
    with save_errors(target):
        refuse_current(folder, target)
        names = sorted(path.name for path in target.iterdir())
        config = read_json_object(target / layout.CONFIG)
    if _is_bundle(config):
        if not overwrite:
            fix = "Choose another folder, or say overwrite=True (--overwrite) to replace the bundle."
            raise InputError(describe("folder", folder, "a folder that is new or empty (a bundle is there)", fix))
        return
    needed = {path.split("/")[0] for path in _OWN}
    if carry_over or (target / layout.RUN).is_file():
        refused = [name for name in names if name in needed]
    else:
        refused = [name for name in names if not name.startswith(".") and name != layout.CHECKPOINTS]
    if refused:
        expected = f"a folder that is new or empty (it holds '{refused[0]}' and is no Rekur bundle)"
        fix = "Choose another folder; Rekur replaces only its own bundles."
        raise InputError(describe("folder", folder, expected, fix))


def _refuse_inputs(folder: str, target: Path, inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Raise if a file or a bundle that is read would be replaced."""
    files = own_files(target) or set()
    for path in inputs:
        real = Path(os.path.realpath(path))
        inside = real.relative_to(target).as_posix() if real.is_relative_to(target) else None
        if inside in (".", *files):
            expected = f"a folder whose files are not read ('{path}' is the input)"
            raise InputError(describe("folder", folder, expected, "Choose another folder."))


def _is_bundle(config: Mapping[str, Any]) -> bool:
    return {"format", "rekur"} <= config.keys()


def write_quantised(
    bundle: Bundle,
    folder: str | os.PathLike[str],
    precision: str,
    *,
    scores: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    carry_over: bool = False,
) -> Bundle:
    """Write the bundle of a quantised program, whole or not at all, and return it as read back from the disk.

    It holds the program, its weights and the features, and runs without PyTorch; the model for PyTorch stays in the
    bundle that it is made from, which its config names by the fingerprint.

    Args:
        bundle: what to quantise.
        folder: where the new bundle is to stand.
        precision: ``int8`` or ``bfloat16``.
        scores: what was measured of both, as plain JSON; kept as ``quantised`` in ``metrics.json``.
        overwrite: replace the bundle that stands there; default False.
        carry_over: as for :func:`rekur.runtime.write_bundle`.

    Raises:
        BundleError: the bundle has no program, or one of its files was changed.
        InputError: the folder is taken, the bundle is quantised already, or a weight is not finite.
        SaveError: the disk is full or the place may not be written; what stood there is unchanged.

    Example:
        >>> from rekur.runtime import read_bundle
        >>> write_quantised(read_bundle("runs/reviews"), "runs/small", "int8").quantised  # doctest: +SKIP
        'int8'
    """
    if os.path.realpath(folder) == os.path.realpath(bundle.folder):
        fix = "The model for PyTorch stays where it is; choose another folder."
        raise InputError(describe("folder", str(folder), "another folder than that of the bundle", fix))
    program, weights = quantise(*bundle.program(), precision)
    config = {key: value for key, value in bundle.config.items() if key not in layout.RESERVED}
    config[layout.QUANTISED] = {"precision": precision, "from": bundle.fingerprint}
    metrics, carried = dict(bundle.metrics), (*layout.RIVAL_FILES, *layout.SERIES_FILES)
    if scores is not None:
        metrics[layout.QUANTISED] = dict(scores)
    return write_bundle(
        folder,
        config=config,
        weights=None,
        features=bundle.features(),
        metrics=metrics,
        history_rows=bundle.history(),
        card=_card(bundle, precision),
        files={
            layout.PROGRAM: program.to_json().encode(),
            layout.PROGRAM_WEIGHTS: pack_weights(program, weights),
            **{name: bundle.read(name) for name in carried if name in bundle.config["files"]},
        },
        overwrite=overwrite,
        carry_over=carry_over,
    )


def _card(bundle: Bundle, precision: str) -> str:
    """Return the bundle's card with a note on what was done to it; people may have taken it away."""
    path = bundle.folder / layout.CARD
    text = path.read_text(encoding="utf-8", errors="replace").rstrip() + "\n\n" if path.is_file() else ""
    return (
        f"{text}## Quantised\n\nThe weights are {precision}, made from the bundle of the fingerprint "
        f"{bundle.fingerprint}. The scores above are those of that bundle.\n"
    )
