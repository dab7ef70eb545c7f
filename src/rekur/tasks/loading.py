"""A trained task back from disk."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rekur._version import __version__
from rekur.errors import BundleError, InputError, describe
from rekur.runtime import read_bundle
from rekur.runtime.kept_series import kept_series
from rekur.runtime.saved_rivals import read_rival
from rekur.targets import restore_target
from rekur.tasks.catalog import TASKS
from rekur.train import History, TrainResult


def load(folder: str | Path) -> Any:
    """Return the trained task that a bundle holds, ready to predict, evaluate and stream.

    Args:
        folder: the bundle.

    Returns:
        a :class:`rekur.Classifier`, :class:`rekur.Regressor` or :class:`rekur.LanguageModel`.

    Raises:
        BundleError: the folder is missing, damaged, from a newer version, no bundle of Rekur's, or one that holds a
            quantised program alone.

    Example:
        >>> from rekur import Classifier, load
        >>> import tempfile
        >>> texts, labels = ["aa b", "aa", "c dd", "c"] * 4, [0, 0, 1, 1] * 4
        >>> model = Classifier(epochs=1, hidden_size=4, baseline=False).fit(texts, labels)
        >>> load(model.save(tempfile.mkdtemp() + "/small")).predict(["aa b"]).shape
        (1,)
    """
    bundle = read_bundle(folder)
    bundle.refuse_program_alone()
    features = bundle.features()
    # bundles of language models of an earlier Rekur do not state the number of tokens
    config = {**bundle.config, "targets": {"size": features.size, **bundle.config.get("targets", {})}}
    if config["task"] not in TASKS:
        raise BundleError(f"{bundle.folder}: " + describe("task", config["task"], f"one of {', '.join(TASKS)}"))
    weights = {name: torch.from_numpy(np.array(value)) for name, value in bundle.weights().items()}
    try:
        with torch.device("meta"):  # before memory is taken: sizes may be those of no model
            _refuse_other_weights(bundle.folder, _restored(config).model_, weights)
        task = _restored(config)
    except BundleError:
        raise
    except (KeyError, TypeError, AttributeError, RuntimeError, InputError) as error:
        problem = f"no {error}" if isinstance(error, KeyError) else str(error).removesuffix(".")
        raise BundleError(
            f"{bundle.folder}: config.json: got {problem}; expected what Rekur {__version__} writes. "
            f"It was written by Rekur {config['rekur']}; use that version, or train again."
        ) from error
    task.features_ = task.target_.features = features
    task.model_.load_state_dict(weights)
    task.model_.eval()
    task.history_ = History()
    task.history_.rows = bundle.history()
    task.metrics_ = bundle.metrics
    task.rival_ = read_rival(bundle, task.target_)
    task.sketch_ = bundle.sketch()
    task.kept_ = kept_series(bundle)
    task.fingerprint_ = bundle.fingerprint
    return task


def _refuse_other_weights(folder: Path, model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Raise unless the weights have the names and the shapes of the model's."""
    expected, saved = ({name: tuple(w.shape) for name, w in each.items()} for each in (model.state_dict(), weights))
    for name in (*expected, *saved):
        if expected.get(name) != saved.get(name):
            other = f"{name}: {saved.get(name, 'none')} instead of {expected.get(name, 'none')}"
            raise BundleError(
                f"{folder}: got weights that do not fit the model in config.json ({other}); "
                "expected those of one save. Copy the whole folder again."
            )


def _restored(config: dict[str, Any]) -> Any:
    """Return the task with its options, targets and an untrained model, as config.json describes them."""
    task: Any = TASKS[config["task"]](**config["options"])
    training = config["training"]
    task.chosen_ = training["chosen"]
    task.target_ = restore_target(config["targets"], task.task)
    task._restore_model(config["model"])
    task.columns_ = config.get("columns", {})
    best = training.get("best_score")
    task.result_ = TrainResult(
        training["best_epoch"],
        math.nan if best is None else best,
        training["stopped"],
        training["seconds"],
        tuple(training["events"]),
        training.get("trained_again", 0),
    )
    return task
