"""Bundles: read a saved model and check every byte that matters, before anything is run."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import rekur.features
from rekur._files import moved_aside
from rekur._tensors import NO_PICKLES, Array, flaw, unpack
from rekur._version import __version__
from rekur.data.sketch import Sketch
from rekur.errors import BundleError, describe, did_you_mean
from rekur.features.base import Features
from rekur.program.cells import NO_PROGRAM, TRANSFORMER
from rekur.program.members import with_members
from rekur.program.ops import SMALL
from rekur.program.program import Program
from rekur.program.stored_weights import check_weights
from rekur.runtime import layout
from rekur.runtime.content import check_content
from rekur.runtime.layout import COPY_AGAIN, damaged
from rekur.targets import Target, restore_target
from rekur.targets.kinds import KIND_OF_TASK

_PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib")
_SHA256 = re.compile("[0-9a-f]{64}")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!-]{0,40}")
_CONFIG_LIMIT = 256_000_000


@dataclass(frozen=True)
class Bundle:
    """A saved model whose files were checked.

    Attributes:
        folder: where it stands.
        config: what ``config.json`` says: format, version, task, model, labels, training, checksums.
        metrics: scores with their baselines, and on what split.
        members: of the networks whose answers are averaged, the first ones that its program keeps; None for all.

    Example:
        >>> bundle = read_bundle("runs/reviews")  # doctest: +SKIP
        >>> bundle.task, sorted(bundle.weights())  # doctest: +SKIP
        ('classify', ['head.bias', 'head.weight', …])
    """

    folder: Path
    config: dict[str, Any]
    metrics: dict[str, Any] = field(repr=False)
    members: int | None = None

    @property
    def task(self) -> str:
        """The task that the model was trained for."""
        return str(self.config["task"])

    @property
    def fingerprint(self) -> str:
        """The sha256 that stands for the whole: config, weights, features and scores."""
        return str(self.config["fingerprint"])

    def read(self, name: str) -> bytes:
        """Return the content of one file, checked again as it is read.

        Args:
            name: the file's name as in ``config["files"]``, such as ``"model.safetensors"``.

        Raises:
            BundleError: the bundle has no such file, or the file is missing, unreadable or was changed.
        """
        files: dict[str, str] = self.config["files"]
        if name not in files:
            fix = did_you_mean(name, files)
            raise BundleError(describe("file", name, "one of " + ", ".join(sorted(files)), fix))
        data = _read(self.folder / name)
        _compare(self.folder / name, hashlib.sha256(data).hexdigest(), files[name])
        return data

    def weights(self) -> dict[str, Array]:
        """Return the weights: name -> array, bit for bit as they were saved; each call reads them anew.

        Raises:
            BundleError: the file is missing, was changed, or is no safetensors, or the bundle holds a quantised program
                alone.
        """
        self.refuse_program_alone()
        return self._arrays(layout.WEIGHTS)

    @property
    def quantised(self) -> str:
        """``int8`` or ``bfloat16`` where the bundle holds a quantised program, else an empty string."""
        return str(self.config.get(layout.QUANTISED, {}).get("precision", ""))

    def refuse_program_alone(self) -> None:
        """Raise where the bundle holds a program alone, and no model for PyTorch.

        Raises:
            BundleError: it does; the text says which bundle holds the model.
        """
        if layout.WEIGHTS in self.config["files"]:
            return
        source = str(self.config.get(layout.QUANTISED, {}).get("from", ""))[:12]
        fix = "This one runs without it: rekur.load predicts, evaluates, streams and generates, as do the commands."
        fix = f"Use the bundle that it was made from, of the fingerprint {source}…. {fix}" if source else fix
        got = f"a program of {self.quantised} weights alone" if self.quantised else "a program alone"
        raise damaged(self.folder, got, f"'{layout.WEIGHTS}', the model for PyTorch", fix)

    def _arrays(self, name: str) -> dict[str, Array]:
        try:
            arrays = unpack(self.read(name), bfloat16=name == layout.PROGRAM_WEIGHTS)
        except ValueError as error:
            if isinstance(error, BundleError):
                raise
            raise _no_safetensors(self.folder / name, str(error)) from error
        for weight, values in arrays.items():
            if values.dtype == np.float16:  # trained vectors of words
                arrays[weight] = values.astype(np.float32)
            if not _is_finite(values):
                got = f"weight '{weight}' with NaN or infinite numbers"
                fix = "Its answers would be NaN: train again, with a lower learning rate if the loss jumped."
                raise damaged(self.folder / name, got, "finite numbers", fix)
        return arrays

    def program(self) -> tuple[Program, dict[str, Array]]:
        """Return the program that runs the model without PyTorch, and its weights: name -> array.

        Raises:
            BundleError: the bundle has no program, or one of its files is missing or was changed.
            InputError: the program cannot run, or its weights are not those that it names.
        """
        if layout.PROGRAM not in self.config["files"]:
            if self.config.get("model", {}).get("cell") == TRANSFORMER:
                raise BundleError(describe(f"{self.folder}: program", "none", f"'{layout.PROGRAM}'", NO_PROGRAM))
            fix = "Models of an earlier Rekur have none: rekur.tasks.load(FOLDER).save(ANOTHER) writes one."
            raise BundleError(describe(f"{self.folder}: program", "none", f"'{layout.PROGRAM}'", fix))
        program = Program.from_json(self.read(layout.PROGRAM))
        files = self.config["files"]
        weights = self._arrays(layout.PROGRAM_WEIGHTS) if layout.PROGRAM_WEIGHTS in files else {}
        if layout.WEIGHTS in files and not program.weights.keys() <= weights.keys():
            weights = {**self._arrays(layout.WEIGHTS), **weights}  # the file of the program has what the model lacks
        checked = check_weights(program, weights)
        return (program, checked) if self.members is None else with_members(program, checked, self.members)

    def features(self) -> Features:
        """Return the features, fitted as they were saved.

        Raises:
            BundleError: one of their files is missing or was changed.
        """
        for name in self.config["files"]:
            if name.startswith(f"{layout.FEATURES}/"):
                self.read(name)
        return rekur.features.load(self.folder / layout.FEATURES)

    def target(self, features: Features) -> Target:
        """Return the target, as it was saved.

        Args:
            features: of the same bundle.

        Raises:
            BundleError: the kind of the target is not known.
        """
        saved: dict[str, Any] = self.config["targets"]
        if "kind" not in saved and self.task not in KIND_OF_TASK:
            raise BundleError(f"{self.folder}: " + describe("task", self.task, f"one of {', '.join(KIND_OF_TASK)}"))
        # bundles of an earlier Rekur do not state how many tokens follow each other
        target = restore_target({"size": features.size, **saved}, self.task)
        target.features = features
        return target

    def sketch(self) -> Sketch | None:
        """Return the sketch of the data of the training; None where an earlier Rekur wrote the bundle.

        Raises:
            BundleError: it was changed.
        """
        saved = self.config.get(layout.TRAINED_ON)
        if saved is None:
            return None
        try:
            return Sketch.from_dict(saved)
        except ValueError as error:
            expected = "the sketch of a training"
            raise damaged(self.folder / layout.CONFIG, f"{layout.TRAINED_ON} with {error}", expected) from error

    def history(self) -> list[dict[str, Any]]:
        """Return the rows of ``history.jsonl``: one an evaluation."""
        lines = self.read(layout.HISTORY).splitlines()
        return [layout.parse(self.folder / layout.HISTORY, line) for line in lines]


def read_bundle(folder: str | os.PathLike[str]) -> Bundle:
    """Read a bundle and check its format, its fingerprint and the checksum of every file that matters.

    Only JSON and safetensors are ever read; nothing in a bundle is executed.

    Args:
        folder: the bundle's folder.

    Raises:
        BundleError: there is none, it is no Rekur bundle, a pickle, from a newer Rekur, incomplete, or one of
            its files was changed by as much as a bit; the text names the file.

    Example:
        >>> read_bundle("no/such")
        Traceback (most recent call last):
        rekur.errors.BundleError: bundle: got 'no/such'; expected a bundle's folder (nothing is there).
    """
    if not isinstance(folder, str | os.PathLike):
        raise BundleError(describe("bundle", repr(folder), "the path of a bundle's folder"))
    root = Path(folder)
    _refuse_what_is_no_folder(root)
    config = _read_config(root)
    for name, checksum in config["files"].items():
        path = root / name
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise damaged(path, "something that is no file", "a file")
        found = _flaw(path) if name in (layout.WEIGHTS, layout.PROGRAM_WEIGHTS) else ""
        if "pickle" in found or "zip" in found:
            raise damaged(path, found, "safetensors", NO_PICKLES)
        _compare(path, _checksum(path), checksum)
        if found:
            raise _no_safetensors(path, found)
    metrics = layout.parse(root / layout.METRICS, _read(root / layout.METRICS))
    if not isinstance(metrics, dict):
        raise damaged(root / layout.METRICS, "a list or a value", "a JSON object")
    return Bundle(root, config, metrics)


def _read_config(root: Path) -> dict[str, Any]:
    path = root / layout.CONFIG
    data = _read(path)
    config = layout.parse(path, data)
    if not isinstance(config, dict) or not {"format", "rekur"} <= config.keys():
        fix = "This folder was not written by Rekur."
        raise damaged(path, "no field 'format' or 'rekur'", "the config of a Rekur bundle", fix)
    _refuse_newer(path, config["format"], config["rekur"])
    try:
        fingerprint = layout.fingerprint_of(config)
    except ValueError as error:  # a number too large to be one
        raise damaged(path, "a number that is not finite", "finite numbers") from error
    if config.get("fingerprint") != fingerprint:
        got = f"a fingerprint of {fingerprint[:12]}…"
        raise damaged(path, got, f"{str(config.get('fingerprint'))[:12]}…, as its field 'fingerprint' says")
    _check_fields(path, config)
    check_content(path, config)
    if layout.render(config) != data:
        raise damaged(path, "other spaces or spellings than Rekur writes", "the file as it was saved")
    return config


def _check_fields(path: Path, config: dict[str, Any]) -> None:
    if not isinstance(config.get("task"), str):
        raise damaged(path, f"task {config.get('task')!r}", "the name of a task")
    files = config.get("files")
    if not isinstance(files, dict):
        raise damaged(path, f"files of type {type(files).__name__}", "an object: file name -> sha256")
    for name, checksum in files.items():
        if not layout.is_safe_name(name):
            fix = "A bundle may only name its own files; do not trust this one."
            raise damaged(path, f"the file name {name!r}", "a path inside the bundle", fix)
        if not isinstance(checksum, str) or not _SHA256.fullmatch(checksum):
            raise damaged(path, f"checksum {checksum!r} for '{name}'", "a sha256 of 64 hex digits")
    _check_quantised(path, config)
    alone = layout.WEIGHTS not in files and any(name in files for name in layout.PROGRAM_ALONE)
    for name in (*layout.REQUIRED, *(layout.PROGRAM_ALONE if alone else (layout.WEIGHTS,))):
        if name not in files:
            raise damaged(path, f"no checksum of '{name}'", "one for every file that a bundle needs")


def _check_quantised(path: Path, config: dict[str, Any]) -> None:
    if layout.QUANTISED not in config:
        return
    how = config[layout.QUANTISED]
    fits = isinstance(how, dict) and all(isinstance(how.get(name), str) for name in ("precision", "from"))
    if not fits or how["precision"] not in SMALL:
        expected = f"an object with its precision, one of {', '.join(SMALL)}, and the fingerprint it is from"
        raise damaged(path, f"{layout.QUANTISED} {how!r}", expected)


def _refuse_newer(path: Path, number: Any, version: Any) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise damaged(path, f"format {number!r}", f"a whole number from 1 to {layout.FORMAT}")
    if number > layout.FORMAT:
        known = isinstance(version, str) and _VERSION.fullmatch(version)
        writer, needed = (f"Rekur {version}", f"rekur>={version}") if known else ("a newer Rekur", "rekur")
        fix = f'It needs the version that wrote it, or a later one: pip install -U "{needed}"'
        expected = f"format {layout.FORMAT} or lower, which Rekur {__version__} reads"
        raise damaged(path, f"format {number}, written by {writer}", expected, fix)


def _refuse_what_is_no_folder(root: Path) -> None:
    if root.is_file():
        fix = f"Give its folder: {root.parent}" if (root.parent / layout.CONFIG).is_file() else ""
        if root.name != layout.CONFIG and is_pickle(root):
            fix = f"This file is a pickle, or poses as one. {NO_PICKLES}"
        expected = "the folder of a Rekur bundle, not a file"
        raise BundleError(describe("bundle", str(root), expected, fix))
    if root.exists() and not root.is_dir():
        raise BundleError(describe("bundle", str(root), "a bundle's folder (this is a pipe or a device)"))
    if not root.is_dir():
        near = [str(path.parent) for path in root.parent.glob(f"*/{layout.CONFIG}")]
        moved = moved_aside(root)
        fix = did_you_mean(str(root), near)
        if moved:
            fix = f"Replacing it was cut short; the bundle that stood there is now {moved[0]}"
        raise BundleError(describe("bundle", str(root), "a bundle's folder (nothing is there)", fix))
    weights = any((root / name).exists() for name in (layout.WEIGHTS, layout.PROGRAM_WEIGHTS))
    if not ((root / layout.CONFIG).is_file() and weights):
        pickles = sorted(path.name for path in root.iterdir() if path.suffix.lower() in _PICKLES)
        if pickles:
            raise damaged(root, pickles[0], f"{layout.CONFIG} and {layout.WEIGHTS}", NO_PICKLES)
    if not (root / layout.CONFIG).is_file():
        fix = "This folder is no Rekur bundle, or a part of one."
        raise damaged(root, f"no {layout.CONFIG}", "the folder of a Rekur bundle", fix)


def is_pickle(path: Path) -> bool:
    """Return whether a file is a pickle, by its ending or its first bytes; files of PyTorch are, inside a zip."""
    flaws = _flaw(path)
    return path.suffix.lower() in _PICKLES or "pickle" in flaws or "zip" in flaws


def _no_safetensors(path: Path, found: str) -> BundleError:
    return damaged(path, found, "safetensors", "Whoever wrote this bundle wrote it wrongly; do not trust it.")


def _is_finite(weight: Array) -> bool:
    """Return whether all numbers of a weight are finite; an array of uint16 holds the bits of bfloat16."""
    if weight.dtype == np.uint16:
        return bool((weight & 0x7F80 != 0x7F80).all())
    return weight.dtype.kind != "f" or bool(np.isfinite(weight).all())


def _flaw(path: Path) -> str:
    with _opened(path) as file:
        return flaw(file.read(16), path.stat().st_size)


def _read(path: Path) -> bytes:
    with _opened(path) as file:
        if path.name == layout.CONFIG and path.stat().st_size > _CONFIG_LIMIT:
            raise damaged(path, f"{path.stat().st_size} bytes", f"{_CONFIG_LIMIT} at most")
        return file.read()


def _checksum(path: Path) -> str:
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader]:
    """Give a file of a bundle, open for reading."""
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        fix = "The bundle is incomplete; copy it again from where it came."
        raise damaged(path, "no such file", f"it in the bundle, as {layout.CONFIG} says", fix) from error
    except OSError as error:
        raise damaged(path, f"'{error.strerror}'", "a file that can be read", "Check who may read it.") from error


def _compare(path: Path, got: str, expected: str) -> None:
    if got != expected:
        wanted = f"{expected[:12]}…, as {layout.CONFIG} says"
        raise damaged(path, f"a sha256 of {got[:12]}…", wanted, COPY_AGAIN)
