"""What all saved models share: the bundle, and the engine that runs its program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rekur._kernels import processors
from rekur.program import Engine
from rekur.runtime.bundle import Bundle


class SavedModel:
    """A saved model with its engine.

    Args:
        bundle: as :func:`rekur.runtime.read_bundle` returned it.
        threads: most threads of the kernels; None for all processors.
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        self.bundle, self.task = bundle, bundle.task
        self.engine = Engine(*bundle.program(), threads=processors() if threads is None else threads)

    @property
    def columns_(self) -> Mapping[str, Any]:
        """How the training files were read."""
        columns: dict[str, Any] = self.bundle.config.get("columns", {})
        return columns

    @property
    def metrics_(self) -> dict[str, Any]:
        """The validation scores, with a baseline beside them."""
        return self.bundle.metrics

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.bundle.folder}, {self.task})"
