"""Named arrays as safetensors bytes and back; a pickle named as safetensors is recognized."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from rekur.errors import InputError, describe

Array = NDArray[Any]

#: the advice for a file that is a pickle
NO_PICKLES = (
    "Loading a pickle runs whatever code is in it, so Rekur reads JSON and safetensors only. "
    "If you trust it, open it in PyTorch and save its weights with safetensors.torch.save_file."
)
#: as in safetensors itself
_HEADER_LIMIT = 100_000_000
_CODES = ("F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")
_KINDS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")


def pack(thing: str, arrays: Mapping[str, Array], *, bfloat16: Collection[str] = ()) -> bytes:
    """Return named arrays as safetensors; the same arrays always give the same bytes.

    Args:
        thing: the name of the arrays in messages.
        arrays: name -> array of floats (16 to 64 bits), whole numbers or booleans; any shape.
        bfloat16: the names of uint16 arrays that hold the bits of bfloat16; they are written as bfloat16.

    Raises:
        InputError: an array of objects, text or dates, or a name that is not text.

    Example:
        >>> unpack(pack("weights", {"bias": np.zeros(3)}))["bias"]
        array([0., 0., 0.])
    """
    ready: dict[str, Array] = {}
    for name, value in arrays.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise InputError(describe(f"{thing}: name", name, "text other than '__metadata__'"))
        array = np.asarray(value, order="C")
        if array.dtype.str[1:] not in _KINDS:
            expected = "an array of floats (16 to 64 bits), whole numbers or booleans"
            raise InputError(describe(f"{thing}['{name}']", f"dtype {array.dtype}", expected))
        ready[name] = array
    data = safetensors.numpy.save(ready)
    return _retyped(data, dict.fromkeys(bfloat16, "BF16")) if bfloat16 else data


def flaw(head: bytes, size: int) -> str:
    """Return the flaw of a file that should be safetensors, or an empty string.

    Args:
        head: the first 16 bytes of the file, or all of a shorter one.
        size: the length of the whole file in bytes.

    Example:
        >>> flaw(b"PK\\x03\\x04 and so on", 1000)
        'a zip archive, as torch.save writes'
    """
    length = int.from_bytes(head[:8], "little")
    # A file starts with the header's length, which may look like a pickle (0x0280 = 640): test for safetensors first.
    if len(head) > 8 and head[8:9] == b"{" and length <= min(_HEADER_LIMIT, size - 8):
        return ""
    if head[:4] == b"PK\x03\x04":
        return "a zip archive, as torch.save writes"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a pickle"
    if len(head) > 8 and head[8:9] == b"{":
        return f"a header of {length} bytes in a file of {size}"
    return "no header of safetensors"


def unpack(data: bytes, *, bfloat16: bool = False) -> dict[str, Array]:
    """Return the arrays in safetensors bytes; all are writable.

    Args:
        data: the bytes.
        bfloat16: accept arrays of bfloat16, and return their bits as uint16.

    Raises:
        ValueError: the bytes are not safetensors; the text names what they are instead.
    """
    problem = flaw(data[:16], len(data))
    if problem:
        raise ValueError(problem)
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        codes = {name: entry["dtype"] for name, entry in header.items() if name != "__metadata__"}
        small = {name: "U16" for name, code in codes.items() if bfloat16 and code == "BF16"}
        codes |= small
        unknown = [f"'{name}' of type {code}" for name, code in codes.items() if code not in _CODES]
        if unknown:
            raise ValueError(unknown[0])
        data = _retyped(data, small) if small else data
        return {name: array.copy() for name, array in safetensors.numpy.load(data).items()}
    except SafetensorError as error:
        raise ValueError(f"broken safetensors ({error})") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("a header that is no JSON") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("a header that does not describe arrays") from error


def _retyped(data: bytes, codes: Mapping[str, str]) -> bytes:
    """Return safetensors bytes with other types of the same size for some arrays; NumPy has no bfloat16."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    for name, code in codes.items():
        header[name]["dtype"] = code
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[start:]
