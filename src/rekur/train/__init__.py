"""Training: a visible loop on Lightning Fabric that can be cut off anywhere and gone on with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekur._lazy import lazily

if TYPE_CHECKING:
    from rekur.train.checkpoint import Checkpoints
    from rekur.train.history import History
    from rekur.train.loop import TrainResult, train
    from rekur.train.options import TrainOptions
    from rekur.train.plan import Plan, Stateless
    from rekur.train.progress import Lines, Reporter, Silent

__all__ = [
    "Checkpoints",
    "History",
    "Lines",
    "Plan",
    "Reporter",
    "Silent",
    "Stateless",
    "TrainOptions",
    "TrainResult",
    "train",
]

#: options are checked, and folders locked, without PyTorch
__getattr__, __dir__ = lazily(
    __name__,
    {
        "checkpoint": "Checkpoints",
        "history": "History",
        "loop": "TrainResult train",
        "options": "TrainOptions",
        "plan": "Plan Stateless",
        "progress": "Lines Reporter Silent",
    },
)
