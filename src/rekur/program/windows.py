"""Ops over windows of steps: convolutions, a step for each window, and the scale of a whole sequence.

Axes: R rows, N packed steps, D numbers of an input row, O numbers of an output row, K steps of a window.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rekur._tensors import Array
from rekur.program import arithmetic
from rekur.program.ops import Op
from rekur.program.packed import Packed
from rekur.program.stages import Stage, StateArrays

#: steps whose windows are laid out at once
_BLOCK = 1 << 13


class Layout(NamedTuple):
    """The steps of a register.

    Attributes:
        packed: of the rows that have steps; None if none has.
        rows: the numbers of these rows among all, in the order of ``packed``; None if they are all rows in their order.
    """

    packed: Packed | None
    rows: Array | None = None


class Conv(Stage):
    """A convolution over this step and earlier ones, and with ``ahead`` over as many later ones."""

    def __init__(self, op: Op, weights: Mapping[str, Array], threads: int) -> None:
        super().__init__(op, weights, threads)
        size, _, self._window = weights["weight"].shape
        self._matrix = np.ascontiguousarray(weights["weight"].transpose(0, 2, 1)).reshape(size, -1)

    def run(self, reads: list[Array], packed: Packed, state: StateArrays) -> Array:
        x, name, ahead = reads[0], self.op.state.get("before", ""), self.op.options.get("ahead", 0)
        history = state.get(name)
        if history is not None and packed.steps == 1:
            steps = np.concatenate([history, x[:, None]], axis=1)
            state[name] = steps[:, 1:].copy()
            return self._product(steps.reshape(packed.rows, -1))
        # each row by itself, with what stands before and behind it
        beside, past = self._window - 1, self._window - 1 - ahead
        starts = packed.starts + np.arange(packed.rows) * beside
        steps = np.zeros((packed.total + packed.rows * beside, x.shape[1]), np.float32)
        first = starts[packed.row] + packed.times
        steps[first + past] = x
        if history is not None:
            columns = np.arange(beside)
            steps[starts[:, None] + columns] = history
            state[name] = steps[(starts + packed.lengths)[:, None] + columns]
        windows = sliding_window_view(steps.reshape(-1), self._window * x.shape[1])
        out = np.empty((len(x), self.op.size), np.float32)
        for start in range(0, len(x), _BLOCK):
            part = slice(start, start + _BLOCK)
            out[part] = self._product(windows[first[part] * x.shape[1]])
        return out

    def _product(self, windows: Array) -> Array:
        """Return the outputs (N, O) of windows (N, K · D)."""
        return arithmetic.affine(windows, self._matrix, self.weights["bias"], self.threads)


class Standardize(Stage):
    """Each number of a whole sequence minus its mean there, divided by its standard deviation there."""

    def run(self, reads: list[Array], packed: Packed, state: StateArrays) -> Array:
        x, count = reads[0].astype(np.float64), packed.lengths[:, None]
        x -= (np.add.reduceat(x[packed.by_row], packed.starts, axis=0) / count)[packed.row]
        squares = np.add.reduceat(np.square(x[packed.by_row]), packed.starts, axis=0)
        deviation = np.maximum(np.sqrt(squares / count), self.op.options["epsilon"])
        return np.asarray((x / deviation[packed.row]).astype(np.float32))


class Clip(Stage):
    """Each number, at most ``limit`` and at least -``limit``."""

    def rows(self, reads: list[Array]) -> Array:
        limit = np.float32(self.op.options["limit"])
        return np.asarray(np.clip(reads[0], -limit, limit))


class Sample(Stage):
    """One step for every K: the first step, and then the largest or the mean of each K steps that follow."""

    def sample(self, x: Array, layout: Layout, state: StateArrays) -> tuple[Array, Layout]:
        """Return the new steps (N', D) and their layout, and update ``state``, which has all rows."""
        packed = layout.packed
        if packed is None:
            return x[:0], layout
        names, rows, steps = self.op.state, layout.rows, self.op.options["steps"]
        roles = ("window", "seen")
        window, seen = (state[names[role]] if rows is None else state[names[role]][rows] for role in roles)
        taken = seen[:, 0]
        first = -taken % steps  # of the steps of each row, the first that ends a window
        ends = np.flatnonzero((packed.times >= first[packed.row]) & ((packed.times - first[packed.row]) % steps == 0))
        last = self._windows(x, packed, ends, steps)
        begun = (packed.times[ends] == first[packed.row[ends]]) & (taken[packed.row[ends]] > 0)
        last[begun] = self._join(last[begun], window[packed.row[ends[begun]]])
        if self._is_mean:
            whole = (packed.times[ends] + taken[packed.row[ends]]) > 0
            last[whole] /= np.float32(steps)
        begun_steps = np.where(packed.lengths > first, (taken + packed.lengths - 1) % steps, -1)
        trailing = self._trailing(x, packed, window, begun_steps)
        for role, values in zip(roles, (trailing, seen + packed.lengths[:, None]), strict=True):
            if rows is None:
                state[names[role]] = values
            else:
                changed = state[names[role]].copy()
                changed[rows] = values
                state[names[role]] = changed
        return self._laid_out(last, packed, ends, rows)

    @property
    def _is_mean(self) -> bool:
        return bool(self.op.options["function"] == "mean")

    def _join(self, a: Array, b: Array) -> Array:
        return np.asarray(a + b if self._is_mean else np.maximum(a, b))

    def _windows(self, x: Array, packed: Packed, ends: Array, steps: int) -> Array:
        """Return the sum or the largest of the steps of each window that are there, (E, D)."""
        total = x[ends].copy()
        for back_steps in range(1, steps):
            there = packed.times[ends] >= back_steps
            at = packed.first[packed.times[ends[there]] - back_steps] + packed.row[ends[there]]
            total[there] = self._join(total[there], x[at])
        return total

    def _trailing(self, x: Array, packed: Packed, window: Array, begun: Array) -> Array:
        """Return the sum or the largest of the steps of each row's last window, which has no end yet, (R, D).

        Args:
            x: the steps (N, D).
            packed: their layout.
            window: the same before them (R, D).
            begun: steps of the last window, (R,); -1 where it is that of before.
        """
        left = np.where(begun[:, None] < 0, window, self._neutral).astype(np.float32)
        count = np.where(begun < 0, packed.lengths, begun)
        rows = np.arange(packed.rows)
        for back_steps in range(int(count.max())):
            there = rows[back_steps < count]
            at = packed.first[packed.lengths[there] - 1 - back_steps] + there
            left[there] = self._join(left[there], x[at])
        return left

    @property
    def _neutral(self) -> np.float32:
        return np.float32(0) if self._is_mean else np.finfo(np.float32).min

    def _laid_out(self, steps: Array, packed: Packed, ends: Array, rows: Array | None) -> tuple[Array, Layout]:
        counts = np.bincount(packed.row[ends], minlength=packed.rows)
        if not len(ends):
            return steps, Layout(None)
        made = Packed(counts)
        # the steps stand by time and row of ``packed``; put them by time and row of ``made``
        by_row = np.argsort(packed.row[ends], kind="stable")
        starts = np.cumsum(counts) - counts
        places = by_row[starts[made.order][made.row] + made.times]
        whole = made.rows == packed.rows and bool((made.order == np.arange(made.rows)).all())
        chosen = made.order if rows is None else rows[made.order]
        return steps[places], Layout(made, rows if whole else chosen)


WINDOWS: dict[str, type[Stage]] = {"conv": Conv, "sample": Sample, "standardize": Standardize, "clip": Clip}
