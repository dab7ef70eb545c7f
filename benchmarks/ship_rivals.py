"""Other ways to run a saved model: its PyTorch network, its ONNX step graph in ONNX Runtime, and its C code."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from rekur.export.c.check import build, compiler, run
from rekur.models import SequenceModel

Array = np.ndarray[Any, Any]

_BENCH = """#include <stdio.h>
#include <time.h>
#include "model.h"

int main(void)
{
    static model_state state;
    static float output[MODEL_OUTPUT];
    float x[3] = {0.1f, -0.4f, 1.2f};
    long k, count = 200000;
    clock_t begun;
    model_init(&state);
    begun = clock();
    for (k = 0; k < count; ++k) {
        x[0] = output[0];
        model_step(&state, x);
        model_read(&state, output);
    }
    printf("%.9g %.9g\\n", (double)(clock() - begun) / (double)CLOCKS_PER_SEC / (double)count, (double)output[0]);
    return 0;
}
"""


class TorchModel:
    """A trained network for a session, stepped by PyTorch.

    Args:
        network: the network; it is put into evaluation mode.
    """

    def __init__(self, network: SequenceModel) -> None:
        self.network, self.fingerprint = network.eval(), ""

    def live(self) -> TorchSteps:
        """Return a new sequence."""
        return TorchSteps(self.network)


class TorchSteps:
    """One sequence; its state is of convolution, recurrent layers and pooling.

    Args:
        network: what is run.
    """

    def __init__(self, network: SequenceModel) -> None:
        self._network = network
        with torch.no_grad():
            window = () if network.conv is None else network.conv.initial_state(1)
            self._state: tuple[Any, ...] = window, network.recurrent.initial_state(1), network.pool.initial_state(1)

    def advance(self, steps: Array) -> None:
        """Take the steps (T,) or (T, D)."""
        self._state = self._after(steps)

    def scores(self, pending: Array) -> Array:
        """Return the scores (K,) as if the sequence ended after these steps."""
        with torch.no_grad():
            pooled = self._network.pool.read(self._after(pending)[2])
            return np.asarray(self._network.head(pooled)[0].numpy())

    def get_state(self) -> list[Any]:
        """Return what is remembered."""
        return list(self._state)

    def set_state(self, state: list[Any]) -> None:
        """Take over what :meth:`get_state` returned."""
        self._state = tuple(state)

    def _after(self, steps: Array) -> tuple[Any, ...]:
        if not len(steps):
            return self._state
        network = self._network
        x = torch.from_numpy(np.ascontiguousarray(steps))
        window, recurrent, pooled = self._state
        with torch.no_grad():
            encoded = network.encode((x.long() if network.spec.discrete else x.float()).unsqueeze(0))
            for step in encoded.unbind(1):
                if network.conv is not None:
                    step, window = network.conv.step(step, window)
                    step = functional.relu(step)
                y, recurrent = network.recurrent.step(step, recurrent)
                pooled = network.pool.update(y, pooled)
        return window, recurrent, pooled


class OnnxModel:
    """A saved model for a session, stepped by ONNX Runtime in one thread.

    Args:
        folder: the bundle.
    """

    def __init__(self, folder: Path) -> None:
        from onnxruntime import InferenceSession, SessionOptions

        from rekur.export import export_onnx

        options = SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        with tempfile.TemporaryDirectory() as scratch:
            export_onnx(folder, Path(scratch) / "onnx")
            self.about = json.loads((Path(scratch) / "onnx" / "manifest.json").read_text(encoding="utf-8"))
            file = Path(scratch) / "onnx" / "step.onnx"
            self.bytes = file.stat().st_size
            self.graph = InferenceSession(str(file), options)
        self.fingerprint = ""

    def live(self) -> OnnxSteps:
        """Return a new sequence."""
        return OnnxSteps(self)


class OnnxSteps:
    """One sequence: the graph gives the scores with every step, so reading them costs nothing more.

    Args:
        model: what is run.
    """

    def __init__(self, model: OnnxModel) -> None:
        slots = model.about["state"]
        self._run = model.graph.run
        self._given = [f"state.{name}" for name in slots]
        self._wanted = ["scores", *(f"next.{name}" for name in slots)]
        self._state = [np.full((1, *slot["shape"]), slot["begins"], slot["dtype"]) for slot in slots.values()]
        self._scores: Array = np.zeros((1, 1), np.float32)

    def advance(self, steps: Array) -> None:
        """Take the steps (T,) or (T, D)."""
        for place in range(len(steps)):
            x = steps[place : place + 1]
            x = x.astype(np.int64) if x.dtype.kind == "i" else x
            given = {"input": x, **dict(zip(self._given, self._state, strict=True))}
            self._scores, *self._state = self._run(self._wanted, given)

    def scores(self, pending: Array) -> Array:
        """Return the scores (K,) as if the sequence ended after these steps."""
        if not len(pending):
            return self._scores[0]
        kept = self._scores, self._state
        self.advance(pending)
        found = self._scores[0]
        self._scores, self._state = kept
        return found

    def get_state(self) -> list[Array]:
        """Return what is remembered."""
        return list(self._state)

    def set_state(self, state: list[Array]) -> None:
        """Take over what :meth:`get_state` returned."""
        self._state = list(state)


def why_no_c() -> str:
    """Return why the C code cannot be measured, or an empty string."""
    return "" if compiler() else "no C compiler"


def c_step_seconds(folder: Path, turns: int) -> Iterator[float]:
    """Yield the seconds of one step of the exported C with its scores, at -O3, anew at each turn."""
    from rekur.export import export_c

    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "c"
        export_c(folder, target, name="model")
        (target / "bench.c").write_text(_BENCH, encoding="utf-8")
        binary = build(target, ["model.c", "bench.c"], "bench", flags=("-O3", "-march=native", "-D_POSIX_C_SOURCE"))
        for _ in range(turns):
            yield float(run(binary, b"").split()[0])
