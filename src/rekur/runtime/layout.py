"""What a bundle's files are called, how JSON is written, and the one way to say that a file is damaged."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np

from rekur.errors import BundleError, InputError, describe

#: the number of this layout; a reader refuses a higher one
FORMAT = 1
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
FEATURES = "features"
FEATURES_FILE = "features/features.json"
METRICS = "metrics.json"
HISTORY = "history.jsonl"
CARD = "README.md"
PROGRAM = "program.json"
PROGRAM_WEIGHTS = "program.safetensors"
#: a plain model whose scores stand beside the model's, where it is small
RIVAL = "rival.json"
RIVAL_ARRAYS = "rival.safetensors"
RIVAL_FILES = (RIVAL, RIVAL_ARRAYS)
#: the ends of the training series, from which a prediction goes on
SERIES = "series.json"
SERIES_ARRAYS = "series.safetensors"
SERIES_FILES = (SERIES, SERIES_ARRAYS)
#: where training keeps what it needs to resume; it may stand in the folder before the bundle does
CHECKPOINTS = "checkpoints"
#: what training is going on, or was stopped, there
RUN = f"{CHECKPOINTS}/run.json"
#: files that every bundle has and that its config vouches for; besides them it has weights: of the model, of a program
REQUIRED = (FEATURES_FILE, METRICS, HISTORY)
#: what a bundle has that runs without PyTorch only
PROGRAM_ALONE = (PROGRAM, PROGRAM_WEIGHTS)
#: key of config.json that says how the weights were made smaller: ``{"precision": …, "from": fingerprint}``
QUANTISED = "quantised"
#: key of config.json with a sketch of the training data, by which they are recognized
TRAINED_ON = "trained_on"
#: keys of config.json that the writer sets
RESERVED = ("format", "rekur", "files", "fingerprint")

COPY_AGAIN = "It was changed or damaged after it was saved; copy the bundle again from where it came."
_PLAIN = "text, a finite number, True, False, None, or lists and dicts (with text as keys) of these"


def damaged(path: Path | str, got: str, expected: str, fix: str = COPY_AGAIN) -> BundleError:
    """Return the error for a file of a bundle: ``<path>: got <this>; expected <that>. <fix>``.

    Example:
        >>> str(damaged("model.safetensors", "0 bytes", "safetensors", "Save it again."))
        'model.safetensors: got 0 bytes; expected safetensors. Save it again.'
    """
    return BundleError(f"{path}: got {got}; expected {expected}. {fix}")


def plain(thing: str, value: Any, *, null_for_nan: bool = False) -> Any:
    """Return ``value`` as plain JSON: NumPy values become Python's, tuples lists, paths text.

    Args:
        thing: the name under which the value is reported.
        value: what is to be saved.
        null_for_nan: write NaN and infinities, which JSON lacks, as None instead of refusing them.

    Raises:
        InputError: something in it has no form in JSON, such as a set, or a number as a key.

    Example:
        >>> plain("metrics", {"accuracy": np.float32(0.5), "shape": (2, 3)})
        {'accuracy': 0.5, 'shape': [2, 3]}
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        if null_for_nan:
            return None
    if isinstance(value, PurePath):
        value = str(value)
    if isinstance(value, str) and not re.search("[\ud800-\udfff]", value):
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        checked = {plain(f"{thing}, a key", key): inner for key, inner in value.items()}
        return {k: plain(f"{thing}.{k}", v, null_for_nan=null_for_nan) for k, v in checked.items()}
    if isinstance(value, list | tuple):
        return [plain(f"{thing}[{i}]", v, null_for_nan=null_for_nan) for i, v in enumerate(value)]
    shown = ascii(value)[1:-1] if isinstance(value, str) else value
    raise InputError(describe(thing, shown, _PLAIN))


def render(value: Any) -> bytes:
    """Return plain JSON as the bytes of a file that a person can read.

    Example:
        >>> render({"task": "classify"})
        b'{\\n "task": "classify"\\n}\\n'
    """
    return (json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def parse(path: Path, data: bytes) -> Any:
    """Return the JSON in ``data``.

    Raises:
        BundleError: it is no JSON; ``path`` is the file to name.
    """
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise damaged(path, "something that is no JSON", f"JSON, {len(data)} bytes of it") from error


def fingerprint_of(config: Mapping[str, Any]) -> str:
    """Return the sha256 of a config's canonical JSON, without its field ``fingerprint``.

    Canonical: UTF-8, keys sorted, no spaces. The config holds the checksum of every file that matters, so two
    bundles with one fingerprint run the same.

    Example:
        >>> fingerprint_of({"b": 1, "a": 2}) == fingerprint_of({"a": 2, "b": 1, "fingerprint": "any"})
        True
    """
    content = {key: value for key, value in config.items() if key != "fingerprint"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def is_safe_name(name: str) -> bool:
    """Return whether ``name`` is a file inside the bundle: ``folder/file``, no ``..``, drive or backslash.

    Example:
        >>> is_safe_name("features/tokenizer.json"), is_safe_name("../secret"), is_safe_name("/etc/passwd")
        (True, False, False)
    """
    parts = name.split("/")
    strange = any(part in ("", ".", "..") for part in parts) or any(c in name for c in '\\:*?"<>|')
    return not strange and name.isprintable() and str(PurePosixPath(name)) == name


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
