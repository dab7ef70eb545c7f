"""Forecasts series with the exported model beside this file; it needs only NumPy and ONNX Runtime.

    python run.py < windows.jsonl              each line is a window; one line of JSON for each
    python run.py '{"steps": …, "ahead": …}'   each argument is a window

A window is an object in JSON: "steps" (S, D) and "ahead" (A, E), the rows that the model reads of the past and of the
horizon, and "level" and "scale", by which its outputs become values; what else it has, such as "series" and "time", is
printed again. Rekur makes windows of series, with the plain forecasts that the model weighs: Model.windows.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

try:
    import numpy as np
    from onnxruntime import InferenceSession
except ImportError as error:
    print(f"{error}; this program needs two packages: pip install numpy onnxruntime", file=sys.stderr)
    raise SystemExit(3) from None

#: windows that are run side by side
ROWS = 256
#: keys of a window that are read
READ = {"steps", "ahead", "level", "scale"}
#: largest level and scale, so that forecasts are finite
LARGEST = 1e300


class Model:
    """An exported model."""

    def __init__(self, folder: Path) -> None:
        self.about = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        self.graphs = {name: InferenceSession(str(folder / f"{name}.onnx")) for name in self.about["graphs"]}
        graphs = self.about["graphs"].items()
        self._ports = {name: (list(ports["inputs"]), list(ports["outputs"])) for name, ports in graphs}

    def read(self, item: Any, name: str) -> dict[str, Any]:
        """Return a window with its arrays.

        Raises:
            ValueError: the model cannot read it.
        """
        window = json.loads(item) if isinstance(item, str) else item
        if not isinstance(window, dict) or READ - window.keys():
            raise ValueError(f"{name}: expected an object with steps, ahead, level and scale.")
        for part in ("level", "scale"):
            number = window[part]
            if isinstance(number, bool) or not isinstance(number, (int, float)) or not abs(number) <= LARGEST:
                raise ValueError(f"{name}: {part}: got {number!r}; expected a finite number.")
        arrays = {}
        for part, graph in (("steps", "encode"), ("ahead", "ahead")):
            try:
                arrays[part] = np.asarray(window[part], np.float32)
            except (TypeError, ValueError):
                raise ValueError(f"{name}: {part}: got other things; expected rows of numbers.") from None
            size = self.about["graphs"][graph]["inputs"]["input"]["axes"][-1]
            if arrays[part].ndim != 2 or arrays[part].shape[1] != size or not np.isfinite(arrays[part]).all():
                raise ValueError(f"{name}: {part}: got {arrays[part].shape}; expected rows of {size} finite numbers.")
        horizon = self.about["prediction"]["horizon"]
        outputs = self.about["graphs"]["ahead"]["outputs"]["scores"]["axes"][-1]
        segments = horizon * len(self.about["prediction"]["levels"]) // outputs
        if len(arrays["ahead"]) != segments:
            raise ValueError(f"{name}: ahead: got {len(arrays['ahead'])} rows; expected {segments}.")
        return {**window, **arrays}

    def outputs(self, windows: list[dict[str, Any]]) -> Any:
        """Return the outputs (N, H, Q) of windows, in units of their scales."""
        ahead, outputs = np.stack([window["ahead"] for window in windows]), []
        state = self._state([window["steps"] for window in windows])
        for segment in range(ahead.shape[1]):
            outputs.append(self._run("ahead", {"input": ahead[:, segment], **state})["scores"])
        how = self.about["prediction"]
        return np.concatenate(outputs, axis=1).reshape(len(windows), how["horizon"], len(how["levels"]))

    def _state(self, pasts: list[Any]) -> dict[str, Any]:
        """Return the state after the past of each window; the pasts may differ in length."""
        state = {}
        for name, slot in self.about["state"].items():
            begins = np.broadcast_to(np.array(slot["begins"], slot["dtype"]), (len(pasts), *slot["shape"]))
            state[f"state.{name}"] = begins.copy()
        lengths = np.array([len(past) for past in pasts])
        for step in range(lengths.max(initial=0)):
            rows = np.flatnonzero(lengths > step)
            inputs = {name: array[rows] for name, array in state.items()}
            states = self._run("encode", {"input": np.stack([pasts[row][step] for row in rows]), **inputs})
            for name in state:
                state[name][rows] = states[name.replace("state.", "next.", 1)]
        return state

    def _run(self, graph: str, inputs: dict[str, Any]) -> dict[str, Any]:
        reads, writes = self._ports[graph]
        arrays = self.graphs[graph].run(writes, {name: inputs[name] for name in reads})
        return dict(zip(writes, arrays, strict=True))

    def quantiles(self, outputs: Any, window: dict[str, Any]) -> Any:
        """Return the quantiles (Q, H) of a window in the unit of the data."""
        how = self.about["prediction"]
        z, middle = np.sort(outputs.astype(np.float64), axis=1).T, how["levels"].index(0.5)
        if how["offsets"] is not None:
            moved, median = z + np.array(how["offsets"]) * (z[-1] - z[0]), z[middle]
            below = np.sort(np.minimum(moved[:middle], median), axis=0)
            above = np.sort(np.maximum(moved[middle + 1 :], median), axis=0)
            z = np.concatenate([below, median[None], above])
        values = window["level"] + window["scale"] * z
        return np.maximum(values, 0.0) if how["non_negative"] else values

    def forecast(self, items: Iterable[Any], thing: str = "line") -> Iterator[dict[str, Any]]:
        """Yield the forecast of each window: the median, and all quantiles."""
        numbered = enumerate(items, start=1)
        names = [f"{level:g}" for level in self.about["prediction"]["levels"]]
        while block := [self.read(item, f"{thing} {number}") for number, item in islice(numbered, ROWS)]:
            for outputs, window in zip(self.outputs(block), block, strict=True):
                rows = dict(zip(names, self.quantiles(outputs, window).tolist(), strict=True))
                named = {key: value for key, value in window.items() if key not in READ}
                yield {**named, "forecast": rows["0.5"], "quantiles": rows}


def main(words: list[str]) -> int:
    """Print a forecast for each window, and return the exit code."""
    if {"--help", "-h"} & {*words}:
        print(__doc__)
        return 0
    try:
        model = Model(Path(__file__).parent)
        lines = (line.decode("utf-8") for line in sys.stdin.buffer if line.strip())
        for forecast in model.forecast(words or lines, "window" if words else "line"):
            print(json.dumps(forecast))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    raise SystemExit(code)
