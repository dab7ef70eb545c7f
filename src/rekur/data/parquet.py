"""Parquet files, read a block of rows at a time with pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rekur._check import need
from rekur.data.inputs import Input
from rekur.data.source import Row, Source, check_names
from rekur.errors import DataError

_ROWS_A_BLOCK = 1024


class Parquet(Source):
    """A parquet file; values keep their types, lists may be nested.

    Args:
        file: what to read, on disk.
    """

    unit = "row"

    def __init__(self, file: Input) -> None:
        self._file = file
        self.name, self.format = file.name, "parquet"
        with self._open() as table:
            if table.metadata.num_rows == 0:
                raise self.error("rows: got 0; expected 1 or more.")
            self.columns = check_names(self, list(table.schema_arrow.names))

    def rows(self) -> Iterator[Row]:
        """Yield each row; only one block of rows is held."""
        arrow = need("pyarrow", "parquet", "reading parquet files")
        number = 0
        with self._open() as file:
            batches = file.iter_batches(batch_size=_ROWS_A_BLOCK)
            while True:
                try:
                    batch = next(batches, None)
                except (arrow.ArrowException, OSError) as error:
                    raise self._garbled(error) from error
                if batch is None:
                    return
                for values in rows_of(batch, arrow):
                    number += 1
                    yield Row(values, number)

    def _open(self) -> Any:
        parquet = need("pyarrow.parquet", "parquet", "reading parquet files")
        arrow = need("pyarrow", "parquet", "reading parquet files")
        try:
            return parquet.ParquetFile(self._file.place)
        except (arrow.ArrowException, OSError) as error:
            raise self._garbled(error) from error

    def _garbled(self, error: BaseException) -> DataError:
        reason = str(error).splitlines()[0]
        return self.error(f"content: got '{reason}'; expected a whole parquet file. Write it again.")


def rows_of(batch: Any, arrow: Any) -> list[dict[str, Any]]:
    """Return the rows of a batch of pyarrow; times keep their nanoseconds, which Python's own types cannot hold.

    Those of a time zone become text, with their offset.
    """
    types = arrow.types
    kinds = {types.is_timestamp: np.datetime64, types.is_duration: np.timedelta64}
    fine = {
        field.name: kind
        for field in batch.schema
        for is_kind, kind in kinds.items()
        if is_kind(field.type) and field.type.unit == "ns"
    }
    zoned = [field.name for field in batch.schema if field.name in fine and getattr(field.type, "tz", None)]
    for name in zoned:
        del fine[name]
        index = batch.schema.get_field_index(name)
        texts = need("pyarrow.compute", "parquet", "reading parquet files").strftime(
            batch.column(index), format="%Y-%m-%dT%H:%M:%S%z"
        )
        batch = batch.set_column(index, name, texts)
    for name in fine:
        index = batch.schema.get_field_index(name)
        batch = batch.set_column(index, name, batch.column(index).cast(arrow.int64()))
    rows: list[dict[str, Any]] = batch.to_pylist()
    for row in rows if fine else []:
        row.update((name, None if row[name] is None else kind(row[name], "ns")) for name, kind in fine.items())
    return rows
