"""Items of a stream in chunks of what has arrived, so that answers come out while input still comes in."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from itertools import islice
from typing import Any, TypeVar

Item = TypeVar("Item")


def chunks(items: Iterator[Item], size: int, *, arriving: bool) -> Iterator[list[Item]]:
    """Yield the items in lists of ``size``; of items that still arrive, lists of those that are there.

    Args:
        items: what to read.
        size: the most items of a list.
        arriving: reading may have to wait; it is done on a thread of its own, a little ahead.
    """
    if arriving:
        yield from _arrived(items, size)
        return
    while chunk := list(islice(items, size)):
        yield chunk


def _arrived(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    ready: queue.Queue[Any] = queue.Queue(maxsize=size)
    end = object()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for item in items:
                ready.put(item)
        except BaseException as error:  # it is raised where the items are used
            failures.append(error)
        ready.put(end)

    threading.Thread(target=read, daemon=True).start()
    more = True
    while more:
        chunk = [ready.get()]
        while chunk[-1] is not end and len(chunk) < size and not ready.empty():
            chunk.append(ready.get())
        if chunk[-1] is end:
            chunk.pop()
            more = False
        if chunk:
            yield chunk
    if failures:
        raise failures[0]
