"""A saved model back from disk, ready to run; no PyTorch."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from rekur.errors import BundleError, describe
from rekur.runtime.bundle import Bundle, read_bundle

if TYPE_CHECKING:
    from rekur.runtime.language_predictor import LanguagePredictor
    from rekur.runtime.predictor import Predictor

#: task -> the module and the name of what runs its models; imported with the first of its models
_RUNNERS = {
    "classify": ("predictor", "Predictor"),
    "regress": ("predictor", "Predictor"),
    "language": ("language_predictor", "LanguagePredictor"),
}


def load(folder: str | os.PathLike[str], *, threads: int | None = None) -> Predictor | LanguagePredictor:
    """Return the model that a bundle holds, ready to predict, evaluate, generate and stream, without PyTorch.

    What it takes to train on stands in the bundle too: :func:`rekur.tasks.load` returns that.

    Args:
        folder: the bundle.
        threads: most threads of the kernels; None for all processors.

    Returns:
        a :class:`Predictor`, or a :class:`LanguagePredictor` for a language model.

    Raises:
        BundleError: the folder is missing, damaged, from a newer version, no bundle of Rekur's, or it has no program.

    Example:
        >>> from rekur import Classifier, load
        >>> import tempfile
        >>> texts, labels = ["aa b", "aa", "c dd", "c"] * 4, [0, 0, 1, 1] * 4
        >>> model = Classifier(epochs=1, hidden_size=4, baseline=False).fit(texts, labels)
        >>> load(model.save(tempfile.mkdtemp() + "/small")).predict(["aa b"]).shape
        (1,)
    """
    return runner(read_bundle(folder), threads=threads)


def runner(bundle: Bundle, *, threads: int | None = None) -> Predictor | LanguagePredictor:
    """Return what runs a bundle that was read."""
    if bundle.task not in _RUNNERS:
        raise BundleError(f"{bundle.folder}: " + describe("task", bundle.task, f"one of {', '.join(_RUNNERS)}"))
    module, name = _RUNNERS[bundle.task]
    kind: Any = getattr(importlib.import_module(f"rekur.runtime.{module}"), name)
    try:
        run: Predictor | LanguagePredictor = kind(bundle, threads=threads)
        return run
    except (KeyError, TypeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error).removesuffix(".")
        raise BundleError(
            f"{bundle.folder}: config.json: got {what}; expected what Rekur {bundle.config['rekur']} writes. "
            "Copy the whole folder again, or train again."
        ) from error
