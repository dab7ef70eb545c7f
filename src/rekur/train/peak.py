"""The most memory that tensors held at once while something ran, counted as they came and went."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class PeakMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors made inside a ``with`` block, backward passes included, while they live.

    Every operation is seen, also those inside hand-written functions; what one operation takes for itself and gives
    back before it ends is not.

    Args:
        known: tensors that were there before and do not count.

    Attributes:
        bytes: the most that lived at once so far.

    Example:
        >>> x = torch.ones(1000)
        >>> with PeakMemory([x]) as peak:
        ...     y = (x + 1) + 1
        >>> peak.bytes
        8000
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0
        self._now = 0
        self._alive: set[int] = set()
        self._before = [t.untyped_storage() for t in known]  # held, so that no other can take its number
        self._alive.update(storage._cdata for storage in self._before)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = function(*args, **(kwargs or {}))
        for tensor in results if isinstance(results, tuple | list) else (results,):
            if isinstance(tensor, Tensor) and tensor.layout == torch.strided:
                self._count(tensor.untyped_storage())
        return results

    def _count(self, storage: torch.UntypedStorage) -> None:
        number, size = storage._cdata, storage.nbytes()
        if number in self._alive or size == 0:
            return
        self._alive.add(number)
        self._now += size
        self.bytes = max(self.bytes, self._now)
        weakref.finalize(storage, self._forget, number, size).atexit = False

    def _forget(self, number: int, size: int) -> None:
        self._alive.discard(number)
        self._now -= size
