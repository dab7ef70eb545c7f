"""Weights as constant arrays of a C source: 32-bit numbers, or 8-bit ones with a scale a row."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: C types of whole numbers by their NumPy names
_WHOLE = {"int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "uint16": "uint16_t", "int32": "int32_t"}
_WHOLE |= {"uint32": "uint32_t", "int64": "int64_t", "uint64": "uint64_t"}
_LARGEST = 127


def identifier(name: str) -> str:
    """Return a name as C allows it.

    Example:
        >>> identifier("layer.0.h"), identifier("2 tanks")
        ('layer_0_h', '_2_tanks')
    """
    changed = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"_{changed}" if changed[:1].isdigit() or not changed else changed


def comment(text: str) -> str:
    """Return a text as a C comment may hold it.

    Example:
        >>> comment("m/s */ 2")
        'm/s * / 2'
    """
    return " ".join(text.replace("/*", "/ *").replace("*/", "* /").split())


def quoted(text: bytes) -> str:
    """Return bytes as a C string.

    Example:
        >>> quoted("é?".encode())
        '"\\\\303\\\\251\\\\077"'
    """
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}" for byte in text)
    return f'"{"".join(plain)}"'


class Names:
    """Names as C allows them, each given once."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}

    def of(self, name: str) -> str:
        """Return the C name that stands for a name."""
        if name not in self._taken:
            wanted, number = identifier(name), 1
            while wanted in self._taken.values():
                number += 1
                wanted = f"{identifier(name)}_{number}"
            self._taken[name] = wanted
        return self._taken[name]


def quantise(rows: Array) -> tuple[Array, Array]:
    """Return the rows of a matrix as 8-bit numbers, and the scale of each row.

    Example:
        >>> numbers, scales = quantise(np.array([[-2.0, 1.0]], np.float32))
        >>> numbers.tolist(), float(scales[0] * 127)
        ([[-127, 64]], 2.0)
    """
    top = np.abs(rows).max(axis=1)
    scales = (np.where(top > 0, top, 1) / _LARGEST).astype(np.float32)
    numbers = np.clip(np.rint(rows / scales[:, None]), -_LARGEST, _LARGEST)
    return numbers.astype(np.int8), scales


class Constants:
    """The constant arrays of an export, in the order in which they are asked for.

    Args:
        precision: ``float32`` or ``int8``, of matrices and tables.

    Attributes:
        rounded: weight -> its values as the export has them, of those that it rounds.
    """

    def __init__(self, precision: str) -> None:
        self.int8 = precision == "int8"
        self.rounded: dict[str, Array] = {}
        self._plain_bytes = 0
        self._kinds: dict[str, bool] = {}
        self._records: dict[str, int] = {}
        self._names, self._written = Names(), dict[str, str]()
        self._matrices: list[str] = []

    @property
    def bytes(self) -> int:
        """Bytes of all arrays."""
        return self._plain_bytes + sum((4 if self._kinds[kind] else 2) * n for kind, n in self._records.items())

    @property
    def arrays(self) -> str:
        """The C code of all arrays."""
        return "\n".join(self._written.values())

    @property
    def matrices(self) -> str:
        """The C code that says which arrays are matrices."""
        return "".join(self._matrices)

    def matrix(self, name: str, rows: Array) -> str:
        """Return the C name of a matrix that is multiplied, given as the program has it or as (O, …)."""
        flat = rows.reshape(len(rows), -1)
        key = f"{name} as a matrix"
        if key not in self._written:
            known = self._names.of(name)
            self._written[key] = ""
            if self.int8:
                numbers, scales = self._rounding(name, flat, rows.shape)
                self.array(f"{name}.values", np.ascontiguousarray(numbers.T).reshape(-1))
                self.array(f"{name}.scales", scales)
                ends = f"{self._names.of(f'{name}.values')}, {self._names.of(f'{name}.scales')}"
            else:
                self.array(f"{name}.values", np.ascontiguousarray(flat.T).reshape(-1))
                ends = self._names.of(f"{name}.values")
            self._matrices.append(f"static const matrix {known} = {{{ends}, {len(flat)}}};\n")
        return self._names.of(name)

    def table(self, name: str, rows: Array) -> tuple[str, str]:
        """Return the C names of a table whose rows are looked up, and of their scales; none for 32-bit numbers."""
        if not self.int8:
            return self.array(f"{name}.table", rows.reshape(-1)), ""
        numbers, scales = self._rounding(name, rows, rows.shape)
        return self.array(f"{name}.table", numbers.reshape(-1)), self.array(f"{name}.table.scales", scales)

    def array(self, name: str, values: Array) -> str:
        """Return the C name of an array of numbers."""
        if name not in self._written:
            known = self._names.of(name)
            kind = "float" if values.dtype == np.float32 else "double" if values.dtype == np.float64 else ""
            kind = kind or _WHOLE[str(values.dtype)]
            self._written[name] = f"static const {kind} {known}[{len(values)}] = {{\n{_body(values)}}};\n"
            self._plain_bytes += values.nbytes
        return self._names.of(name)

    def records(self, name: str, kind: str, values: Array) -> str:
        """Return the C name of an array of records of whole numbers (N, 4), and say what such a record is."""
        known = self._names.of(name)
        wide = int(values.max(initial=0)) > 0xFFFF
        rows = "".join(f"    {{{', '.join(f'{value}u' for value in row)}}},\n" for row in values.tolist())
        self._written[name] = f"static const {kind} {known}[{len(values)}] = {{\n{rows}}};\n"
        self._kinds[kind] = self._kinds.get(kind, False) or wide
        self._records[kind] = self._records.get(kind, 0) + values.size
        return known

    @property
    def kinds(self) -> str:
        """The C code of the types of records: 32-bit numbers where one of them needs it, else 16-bit ones."""
        return "".join(
            f"typedef struct {{ uint{32 if wide else 16}_t first, last, value, rises; }} {kind};\n"
            for kind, wide in self._kinds.items()
        )

    def _rounding(self, name: str, flat: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
        numbers, scales = quantise(flat)
        self.rounded[name] = (numbers.astype(np.float32) * scales[:, None]).reshape(shape)
        return numbers, scales


def _body(values: Array) -> str:
    lines, line = [], "   "
    for text in _texts(values):
        if len(line) + len(text) > 110:
            lines.append(line)
            line = "   "
        line += f" {text},"
    return "\n".join([*lines, line]) + "\n"


def _texts(values: Array) -> Iterable[str]:
    """Return the numbers as C reads them back to the last bit."""
    if values.dtype == np.float32:
        return (_float(value, "%.9g", "f") for value in values.tolist())
    if values.dtype == np.float64:
        return (_float(value, "%.17g", "") for value in values.tolist())
    if values.dtype == np.int64:  # the least number has no literal of its own
        return (f"-INT64_C({-v - 1}) - 1" if v < 0 else f"INT64_C({v})" for v in values.tolist())
    if values.dtype == np.uint64:
        return (f"UINT64_C({v})" for v in values.tolist())
    suffix = "u" if values.dtype.kind == "u" else ""
    return (f"{value}{suffix}" for value in values.tolist())


def _float(value: float, form: str, suffix: str) -> str:
    text = form % value
    if "." not in text and "e" not in text:
        text += ".0"
    return text + suffix
