"""Runs the exported model beside this file; it needs NumPy and ONNX Runtime alone.

    python run.py "a text" "[[0.5, 1.0], [0.1, 0.2]]"    items: texts, or JSON of token numbers or of rows
    python run.py --live "a text"                        step by step, the state carried on: a line after each step

It reads texts of bytes, characters and letters, and complete rows, which it scales; items of other models are given
as token numbers: "reading" in manifest.json says which.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime import InferenceSession


class Model:
    """An exported model."""

    def __init__(self, folder: Path) -> None:
        self.about = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        self.graphs = {name: InferenceSession(str(folder / f"{name}.onnx")) for name in self.about["graphs"]}

    def read(self, item: Any) -> Any:
        """Return the steps of an item: token numbers (T,), or rows (T, D)."""
        how = self.about["reading"]
        if how["kind"] == "rows":
            given, width = np.array(item, np.float64), len(how["mean"])
            given = given[None] if given.shape == (width,) else given.reshape(len(given), -1)
            if given.ndim != 2 or given.shape[1] != width or not np.isfinite(given).all():
                raise SystemExit(f"rows: got {item}; expected rows of {width} numbers, none missing.")
            rows = (given - how["mean"]) / how["scale"]
            return np.pad(rows, ((0, 0), (0, how["indicators"]))).astype(np.float32)
        if isinstance(item, str):
            if how["kind"] == "tokens":
                raise SystemExit(f"{how['why']}, such as [4, 2, 7]")
            bytewise = how["kind"] == "bytes"
            ids = [byte + 2 for byte in item.encode()] if bytewise else [how["numbers"].get(c, 1) for c in item]
            item = how["begin"] + [number for number in ids if number is not None][: how["max_length"]]
        return np.array(item, np.int64)

    def run(self, sequences: list[Any]) -> Any:
        """Return the scores (B, K) of sequences of steps."""
        lengths = np.array([len(steps) for steps in sequences], np.int64)
        x = np.zeros((len(sequences), max(1, lengths.max()), *sequences[0].shape[1:]), sequences[0].dtype)
        for row, steps in zip(x, sequences, strict=True):
            row[: len(steps)] = steps
        return self.graphs["sequence"].run(["scores"], {"input": x, "lengths": lengths})[0]

    def begin(self, batch: int = 1) -> dict[str, Any]:
        """Return the state before the first step."""
        slots = self.about["state"].items()
        return {name: np.full((batch, *s["shape"]), s["begins"], s["dtype"]) for name, s in slots}

    def step(self, x: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return the scores (B, K) after one more step (B,) or (B, D), and the next state."""
        given = {f"state.{name}": array for name, array in state.items()}
        scores, *after = self.graphs["step"].run(["scores", *(f"next.{name}" for name in state)], {"input": x, **given})
        return scores, dict(zip(state, after, strict=True))

    def present(self, scores: Any) -> dict[str, Any]:
        """Return the prediction that scores (K,) stand for."""
        how, wide = self.about["prediction"], scores.astype(np.float64)
        if how["kind"] == "number":
            return {"value": how["mean"] + how["scale"] * wide[0]}
        powers = np.exp(wide - wide.max())
        shares = 1 / (1 + np.exp(-wide)) if how["kind"] == "sigmoid" else powers / powers.sum()
        best = int(shares.argmax())
        if how["kind"] == "token":
            return {"token": best, "probability": float(shares[best])}
        each = list(zip(how["labels"], shares.tolist(), strict=True))
        label = [name for name, share in each if share >= 0.5] if how["kind"] == "sigmoid" else each[best][0]
        return {"label": label, "probability": each[best][1], "probabilities": {str(k): share for k, share in each}}


if __name__ == "__main__":
    model, items = Model(Path(__file__).parent), [text for text in sys.argv[1:] if text != "--live"]
    as_json = model.about["reading"]["kind"] in ("rows", "tokens")
    sequences = [model.read(json.loads(text) if as_json and text.startswith("[") else text) for text in items]
    for scores in [] if "--live" in sys.argv else model.run(sequences):
        print(json.dumps(model.present(scores)))
    for steps in sequences if "--live" in sys.argv else []:
        state = model.begin()
        for step in steps:
            scores, state = model.step(step[None], state)
            print(json.dumps(model.present(scores[0])))
