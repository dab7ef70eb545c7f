"""Targets: what the outputs of a network mean, from labels to arrays and from outputs to predictions and records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekur._lazy import lazily

if TYPE_CHECKING:
    from rekur.targets.base import Target, TargetStream, join_contexts
    from rekur.targets.distribution import DistributionTarget
    from rekur.targets.kinds import KINDS, restore_target
    from rekur.targets.label import LabelTarget, Prediction
    from rekur.targets.next import NextTarget
    from rekur.targets.number import NumberTarget
    from rekur.targets.tag_stream import Tag
    from rekur.targets.tags import TagsTarget
    from rekur.targets.text import Answer, TargetTokens, TextTarget

__all__ = [
    "KINDS",
    "Answer",
    "DistributionTarget",
    "LabelTarget",
    "NextTarget",
    "NumberTarget",
    "Prediction",
    "Tag",
    "TagsTarget",
    "Target",
    "TargetStream",
    "TargetTokens",
    "TextTarget",
    "join_contexts",
    "restore_target",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "base": "Target TargetStream join_contexts",
        "distribution": "DistributionTarget",
        "kinds": "KINDS restore_target",
        "label": "LabelTarget Prediction",
        "next": "NextTarget",
        "number": "NumberTarget",
        "tag_stream": "Tag",
        "tags": "TagsTarget",
        "text": "Answer TargetTokens TextTarget",
    },
)
