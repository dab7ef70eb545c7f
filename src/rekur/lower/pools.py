"""Pools as ops."""

from __future__ import annotations

from rekur.errors import InputError, describe
from rekur.lower.builder import Builder
from rekur.nn.pool import AttentionPool, JoinedPool, LastPool, MaxPool, MeanPool, Pool
from rekur.program import Op


def lower_pool(building: Builder, reads: str, pool: Pool) -> str:
    """Add the ops of a pool, and return the register that holds its row."""
    if not isinstance(pool, JoinedPool):
        return _one_pool(building, reads, pool)
    parts = [_one_pool(building, reads, part) for part in pool.pools if isinstance(part, Pool)]
    return building.add(Op("concat", tuple(parts), "pooled", pool.output_size))


def _one_pool(building: Builder, reads: str, pool: Pool) -> str:
    size, remember = pool.size, building.remember
    if isinstance(pool, LastPool):
        if pool.bidirectional:
            return building.add(Op("ends", (reads,), "ends", size))
        return building.add(Op("last", (reads,), "last", size, state={"last": remember("last", (size,))}))
    if isinstance(pool, MeanPool):
        state = {"mean": remember("mean", (size,)), "count": remember("mean.count", (1,), "int64")}
        return building.add(Op("mean", (reads,), "mean", size, state=state))
    if isinstance(pool, MaxPool):
        state = {"largest": remember("max", (size,)), "count": remember("max.count", (1,), "int64")}
        return building.add(Op("max", (reads,), "max", size, state=state))
    if isinstance(pool, AttentionPool):
        roles = {"weight": pool.hidden.weight, "bias": pool.hidden.bias, "score": pool.score.weight}
        state = {
            "total": remember("attention.total", (size,)),
            "mass": remember("attention.mass", (1,)),
            "top": remember("attention.top", (1,)),
        }
        return building.add(Op("attention", (reads,), "attention", size, building.weights(roles), state))
    expected = "a pool of rekur.nn: last, mean, max, attention, or several of them joined"
    raise InputError(describe("pool", type(pool).__name__, expected, "No program has an op for it."))
