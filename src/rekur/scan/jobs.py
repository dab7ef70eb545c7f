"""Work that hands jobs for the compiled kernels out on its way, so that two of them can run at the same time.

Such work is a generator: it yields a job where it needs it done, and returns its result at its end.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

import torch

from rekur._kernels import kernels

R = TypeVar("R")
S = TypeVar("S")
#: work that gives an R
Work = Generator[Any, None, R]


def done(made: R | Work[R]) -> Work[R]:
    """Go through with work, or take a result that is there already."""
    return (yield from made) if isinstance(made, Generator) else made


def run(work: Work[R]) -> R:
    """Return the result of work, each of its jobs on all threads."""
    while True:
        try:
            job = next(work)
        except StopIteration as end:
            result: R = end.value
            return result
        kernels.run(job, torch.get_num_threads())


def run_beside(left: Work[R], right: Work[S]) -> tuple[R, S]:
    """Return the results of two works; where each hands out a job, the first ones run at the same time."""
    (job, first), (other, second) = _begin(left), _begin(right)
    if job is not None and other is not None:
        kernels.run_beside(job, other, torch.get_num_threads())
    elif job is not None or other is not None:
        kernels.run(other if job is None else job, torch.get_num_threads())
    return (run(left) if first is None else first[0]), (run(right) if second is None else second[0])


def _begin(work: Work[R]) -> tuple[Any, tuple[R] | None]:
    """Return the first job of work, or its result where it hands none out."""
    try:
        return next(work), None
    except StopIteration as end:
        return None, (end.value,)
