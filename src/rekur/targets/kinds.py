"""The kinds of targets by name."""

from __future__ import annotations

from typing import Any

from rekur._lazy import LazyClasses
from rekur.targets.base import Target

#: kind -> its class
KINDS: dict[str, type[Target]] = LazyClasses(
    label="rekur.targets.label:LabelTarget",
    number="rekur.targets.number:NumberTarget",
    next="rekur.targets.next:NextTarget",
    tags="rekur.targets.tags:TagsTarget",
    text="rekur.targets.text:TextTarget",
    distribution="rekur.targets.distribution:DistributionTarget",
)
#: task -> kind of its target, for bundles that do not state it
KIND_OF_TASK = {"classify": "label", "regress": "number", "language": "next"}


def restore_target(saved: dict[str, Any], task: str) -> Target:
    """Return a saved target.

    Args:
        saved: the field ``targets`` of a bundle's ``config.json``.
        task: the name of the task, for bundles that do not state the kind of their target.

    Example:
        >>> restore_target({"labels": ["bad", "good"], "multi_label": False}, "classify").size
        2
    """
    return KINDS[saved["kind"] if "kind" in saved else KIND_OF_TASK[task]].from_dict(saved)
