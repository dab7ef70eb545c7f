"""What training takes, checked in one place."""

from __future__ import annotations

import dataclasses

from rekur import _check

SCHEDULES = ("cosine", "linear", "constant")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrainOptions:
    """How a model is trained.

    Args:
        epochs: passes over the training data at most; 1 or more.
        steps: steps of the optimiser at most, whatever ``epochs`` says; 0 goes by epochs.
        learning_rate: the highest rate of AdamW; above 0.
        weight_decay: of AdamW, on matrices only; 0 or more.
        schedule: how the rate falls after the warm-up: ``cosine``, ``linear`` or ``constant``.
        warmup: share of all steps in which the rate rises from 0, in [0, 1).
        clip: the largest norm of all gradients together; 0 switches clipping off.
        patience: evaluations without a better score before training stops; 0 never stops early.
        average: decay of the running average of the weights, in [0, 1); of it and the weights themselves the one with
            the better validation score is kept. 0 keeps the weights themselves.
        seed: of everything random; 0 or more.
        precision: ``32-true``, ``bf16-mixed``, ``16-mixed`` or ``64-true``.
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        rescues: times that a run which became NaN, infinite or exploded is rolled back and slowed down.
        time_limit: seconds after which training ends in good order; 0 for none.
    """

    epochs: int = 20
    steps: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    schedule: str = "cosine"
    warmup: float = 0.05
    clip: float = 1.0
    patience: int = 5
    average: float = 0.0
    seed: int = 0
    precision: str = "32-true"
    accelerator: str = "auto"
    rescues: int = 3
    time_limit: float = 0.0

    def __post_init__(self) -> None:
        _check.whole("epochs", self.epochs, low=1)
        _check.whole("steps", self.steps, low=0)
        _check.positive("learning_rate", self.learning_rate)
        _check.number("weight_decay", self.weight_decay, 0)
        _check.choice("schedule", self.schedule, SCHEDULES)
        _check.number("warmup", self.warmup, 0, 1, open_high=True)
        _check.number("clip", self.clip, 0)
        _check.whole("patience", self.patience, low=0)
        _check.number("average", self.average, 0, 1, open_high=True)
        _check.seed("seed", self.seed)
        _check.choice("precision", self.precision, PRECISIONS)
        _check.choice("accelerator", self.accelerator, ("auto", "cpu", "cuda", "mps"))
        _check.whole("rescues", self.rescues, low=0)
        _check.number("time_limit", self.time_limit, 0)
