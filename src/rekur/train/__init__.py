"""Training: a visible loop on Lightning Fabric."""

from rekur.train.history import History
from rekur.train.loop import Plan, TrainResult, train
from rekur.train.options import TrainOptions
from rekur.train.progress import Lines, Reporter, Silent

__all__ = ["History", "Lines", "Plan", "Reporter", "Silent", "TrainOptions", "TrainResult", "train"]
