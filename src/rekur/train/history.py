"""What happened in a run: one row an evaluation, kept in memory, as JSON lines and for TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rekur import _check
from rekur.errors import SaveError

Row = dict[str, Any]


class History:
    """Rows of numbers, appended to ``history.jsonl`` as they come.

    Args:
        folder: where ``history.jsonl`` is written; None keeps the rows in memory only.
        tensorboard: also write event files for TensorBoard into ``folder/tensorboard``.
    """

    def __init__(self, folder: Path | None = None, *, tensorboard: bool = False) -> None:
        self.rows: list[Row] = []
        self._folder = folder
        self._file = None if folder is None else folder / "history.jsonl"
        self._board: Any = None
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SaveError(f"{folder}: could not be made ({error.strerror}).") from error
        if tensorboard and folder is not None:
            _check.need("tensorboard", "tensorboard", "tensorboard=True")
            self._open_board(None)

    def add(self, row: Row) -> None:
        """Append one row; numbers go to TensorBoard under their names, at ``row["step"]``."""
        self.rows.append(row)
        if self._file is not None:
            try:
                with self._file.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(row) + "\n")
            except OSError as error:
                raise SaveError(f"{self._file}: could not be written ({error.strerror}).") from error
        if self._board is not None:
            for name, value in row.items():
                if isinstance(value, int | float) and name != "step":
                    self._board.add_scalar(name, value, row.get("step", len(self.rows)))

    def restore(self, rows: list[Row]) -> None:
        """Begin with these rows: those of a run that is gone on with, up to where it stood."""
        self.rows = list(rows)
        if self._file is not None:
            try:
                self._file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            except OSError as error:
                raise SaveError(f"{self._file}: could not be written ({error.strerror}).") from error
        if self._board is not None:
            self._board.close()
            self._open_board(1 + max((row["step"] for row in rows), default=0))

    def _open_board(self, purged: int | None) -> None:
        """Open an event file; what earlier ones say of the step ``purged`` and later ones does not count."""
        writer = _check.need("torch.utils.tensorboard.writer", "tensorboard", "tensorboard=True")
        self._board = writer.SummaryWriter(str(Path(self._folder or "") / "tensorboard"), purge_step=purged)

    def close(self) -> None:
        """Flush what TensorBoard reads."""
        if self._board is not None:
            self._board.close()
