"""Work in the form of generators that yield jobs for the compiled kernels, so that two works can run in parallel.

A work yields each job that it needs done, and finally returns its result.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

import torch

from rekur._kernels import kernels

R = TypeVar("R")
#: work that gives an R
Work = Generator[Any, None, R]


def done(made: R | Work[R]) -> Work[R]:
    """Return a result, or run the work that computes it."""
    return (yield from made) if isinstance(made, Generator) else made


def run(work: Work[R]) -> R:
    """Return the result of a work; each of its jobs runs on all threads."""
    while True:
        try:
            job = next(work)
        except StopIteration as end:
            result: R = end.value
            return result
        kernels.run(job, torch.get_num_threads())


def run_all(works: Sequence[Work[R]]) -> list[R]:
    """Return the results of one work, or of two; if both yield a job, their first jobs run in parallel."""
    if len(works) == 1:
        return [run(works[0])]
    left, right = works
    (job, first), (other, second) = _begin(left), _begin(right)
    if job is not None and other is not None:
        kernels.run_beside(job, other, torch.get_num_threads())
    elif job is not None or other is not None:
        kernels.run(other if job is None else job, torch.get_num_threads())
    return [run(left) if first is None else first[0], run(right) if second is None else second[0]]


def _begin(work: Work[R]) -> tuple[Any, tuple[R] | None]:
    """Return the first job of a work, or its result if it yields no job."""
    try:
        return next(work), None
    except StopIteration as end:
        return None, (end.value,)
