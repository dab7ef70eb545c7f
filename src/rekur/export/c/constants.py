"""Weights as constant arrays of a C source: 32-bit numbers, or 8-bit numbers with a scale for each row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: C types of whole numbers by their NumPy names
_WHOLE = {"int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "uint16": "uint16_t", "int32": "int32_t"}
_WHOLE |= {"uint32": "uint32_t", "int64": "int64_t", "uint64": "uint64_t"}


def identifier(name: str) -> str:
    """Return a name as a C identifier.

    Example:
        >>> identifier("layer.0.h"), identifier("2 tanks")
        ('layer_0_h', '_2_tanks')
    """
    changed = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"_{changed}" if changed[:1].isdigit() or not changed else changed


def comment(text: str) -> str:
    """Return a text that is safe inside a C comment.

    Example:
        >>> comment("m/s */ 2")
        'm/s * / 2'
    """
    return " ".join(text.replace("/*", "/ *").replace("*/", "* /").split())


def quoted(text: bytes) -> str:
    """Return bytes as a C string literal.

    Example:
        >>> quoted("é?".encode())
        '"\\\\303\\\\251\\\\077"'
    """
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}" for byte in text)
    return f'"{"".join(plain)}"'


class Names:
    """Unique C identifiers for names."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}

    def of(self, name: str) -> str:
        """Return the C identifier of a name."""
        if name not in self._taken:
            candidate, number = identifier(name), 1
            while candidate in self._taken.values():
                number += 1
                candidate = f"{identifier(name)}_{number}"
            self._taken[name] = candidate
        return self._taken[name]


class Constants:
    """The constant arrays of an export, in the order of their first use."""

    def __init__(self) -> None:
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
        """The C code that declares the matrices over their arrays."""
        return "".join(self._matrices)

    def matrix(self, name: str, rows: Array, scales: Array | None) -> str:
        """Return the C name of a matrix (O, …) for products; int8 matrices have a scale for each row."""
        flat = rows.reshape(len(rows), -1)
        arrays = {"values": np.ascontiguousarray(flat.T).reshape(-1)}
        if scales is not None:
            arrays["scales"] = scales
        return self.struct(name, "matrix", arrays, len(flat))

    def struct(self, name: str, kind: str, arrays: Mapping[str, Array], *sizes: int) -> str:
        """Return the C name of a structure over arrays, and of some whole numbers behind them.

        Args:
            name: of the structure.
            kind: its C type, which is a part.
            arrays: what it points to, in its order.
            sizes: its last members.
        """
        c_name, key = self._names.of(name), f"{name} as a {kind}"
        if key not in self._written:
            self._written[key] = ""
            pointers = [self.array(f"{name}.{role}", values) for role, values in arrays.items()]
            ends = ", ".join([*pointers, *map(str, sizes)])
            self._matrices.append(f"static const {kind} {c_name} = {{{ends}}};\n")
        return c_name

    def table(self, name: str, rows: Array, scales: Array | None) -> tuple[str, str]:
        """Return the C names of a lookup table and of its scales; no scales for 32-bit numbers."""
        table = self.array(f"{name}.table", rows.reshape(-1))
        return table, "" if scales is None else self.array(f"{name}.table.scales", scales)

    def array(self, name: str, values: Array) -> str:
        """Return the C name of an array of numbers."""
        if name not in self._written:
            c_name = self._names.of(name)
            kind = "float" if values.dtype == np.float32 else "double" if values.dtype == np.float64 else ""
            kind = kind or _WHOLE[str(values.dtype)]
            self._written[name] = f"static const {kind} {c_name}[{len(values)}] = {{\n{_body(values)}}};\n"
            self._plain_bytes += values.nbytes
        return self._names.of(name)

    def records(self, name: str, kind: str, values: Array) -> str:
        """Return the C name of an array of records of whole numbers (N, 4), and note the type of the record."""
        c_name = self._names.of(name)
        wide = int(values.max(initial=0)) > 0xFFFF
        rows = "".join(f"    {{{', '.join(f'{value}u' for value in row)}}},\n" for row in values.tolist())
        self._written[name] = f"static const {kind} {c_name}[{len(values)}] = {{\n{rows}}};\n"
        self._kinds[kind] = self._kinds.get(kind, False) or wide
        self._records[kind] = self._records.get(kind, 0) + values.size
        return c_name

    @property
    def kinds(self) -> str:
        """The C code of the types of records: of 32-bit numbers if one of them needs it, else of 16-bit ones."""
        return "".join(
            f"typedef struct {{ uint{32 if wide else 16}_t first, last, value, rises; }} {kind};\n"
            for kind, wide in self._kinds.items()
        )


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
    if values.dtype == np.int64:  # C has no literal for the least number
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
