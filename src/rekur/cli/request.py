"""The request of a training: what ``rekur fit`` was asked to do, as ``run.json`` stores it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """The task, data and options of a training.

    Attributes:
        task: a name in ``rekur.tasks.TASKS``.
        files: training files.
        valid: validation files; empty for a share of ``files``.
        columns: the roles of columns.
        reading: how files are read.
        options: the estimator's options that the user set.
        every: steps between checkpoints; 0 for an interval by time.
        board: folder of event files for TensorBoard.
        chosen: the values of all options, including those that rules chose from the data; None before that.
        copied: copy -> name, for those of ``files`` and ``valid`` that are copies of streams, which can be read once.
    """

    task: str
    files: list[str]
    valid: list[str]
    columns: dict[str, Any]
    reading: dict[str, Any]
    options: dict[str, Any]
    every: int = 0
    board: str | None = None
    chosen: dict[str, Any] | None = None
    copied: dict[str, str] = dataclasses.field(default_factory=dict)

    def source(self, path: str) -> Any:
        """Return the input of :func:`rekur.data.open_source`: a path, or a copy with the name of its original."""
        from rekur.data.files import check_exists
        from rekur.data.inputs import File

        if path not in self.copied:
            return path
        check_exists(Path(path))
        return File(Path(path), self.copied[path])

    def absolute(self) -> Self:
        """Return the request with absolute paths."""
        files, valid = ([os.path.abspath(path) for path in paths] for paths in (self.files, self.valid))
        board = None if self.board is None else os.path.abspath(self.board)
        return dataclasses.replace(self, files=files, valid=valid, board=board)

    def renamed(self, name: Callable[[str], str]) -> Self:
        """Return the request with other paths of the copies, which move with the folder of the run."""
        names = {copy: name(copy) for copy in self.copied}
        files, valid = ([names.get(path, path) for path in paths] for paths in (self.files, self.valid))
        copied = {names[copy]: original for copy, original in self.copied.items()}
        return dataclasses.replace(self, files=files, valid=valid, copied=copied)
