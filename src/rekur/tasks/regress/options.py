"""The options of a regressor."""

from __future__ import annotations

from typing import ClassVar

from rekur._options import options
from rekur.tasks.base.options import ItemOptions


@options
class RegressOptions(ItemOptions):
    """Options of :class:`rekur.Regressor`."""

    label_type: ClassVar[str] = "number"
    fit_help: ClassVar[str] = """
    \b
    rekur fit regress sensors.jsonl --series x --label wear --out runs/wear
    """
    tune_help: ClassVar[str] = """
    \b
    rekur tune regress sensors.jsonl --series x --label wear --trials 30 --out runs/search
    """
