"""A trained task to disk: options, targets, features, weights and scores, as one bundle."""

from __future__ import annotations

import math
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from rekur._version import __version__
from rekur.errors import printable
from rekur.models import count_parameters
from rekur.runtime import write_bundle
from rekur.ship import program_files
from rekur.tasks.card import card

if TYPE_CHECKING:
    from rekur.tasks.estimator import Estimator


def save(task: Estimator, folder: Path, *, overwrite: bool = False, carry_over: bool = False) -> Path:
    """Write a trained task as a bundle; nothing half-written is left behind if that fails.

    Args:
        task: what was trained.
        folder: where the bundle is to stand.
        overwrite: replace a bundle that is there.
        carry_over: keep other files that are there, instead of refusing the folder.
    """
    config = {
        "task": task.task,
        "model": task.model_.spec.to_dict(),
        "targets": task._target_state(),
        "options": task.get_params(deep=False),
        "columns": getattr(task, "columns_", {}),
        "training": {
            "chosen": task.chosen_,
            "best_epoch": task.result_.best_epoch,
            "best_score": task.result_.best_score if math.isfinite(task.result_.best_score) else None,
            "stopped": task.result_.stopped,
            "seconds": round(task.result_.seconds, 2),
            "events": list(task.result_.events),
            "parameters": count_parameters(task.model_),
            "versions": {
                "rekur": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        },
    }
    weights = {name: np.ascontiguousarray(value.numpy()) for name, value in task.model_.state_dict().items()}
    written = write_bundle(
        folder,
        config=config,
        weights=weights,
        features=task.features_,
        metrics=task.metrics_,
        history_rows=task.history_.rows,
        card=card(task, printable(folder.name)),
        files=program_files(task.model_, weights, task.task),
        overwrite=overwrite,
        carry_over=carry_over,
    )
    task.fingerprint_ = written.fingerprint
    return folder
