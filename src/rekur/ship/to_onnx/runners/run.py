"""Runs the exported model beside this file; it needs NumPy and ONNX Runtime alone.

    python run.py "a text" "[[0.5, 1.0], [0.1, 0.2]]"    items: texts, or JSON of token numbers or of rows
    python run.py --live "a text"                        step by step, the state carried on: a line after each step

Texts of bytes, characters and letters become tokens here, rows are scaled here (they must be complete); items of
other models are given as token numbers: see "reading" in manifest.json.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


class Model:
    """An exported model."""

    def __init__(self, folder: Path) -> None:
        self.about = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        self.graphs = {
            name: onnxruntime.InferenceSession(str(folder / f"{name}.onnx")) for name in self.about["graphs"]
        }

    def read(self, item: Any) -> Any:
        """Return the steps of an item: token numbers (T,), or rows (T, D)."""
        how, size = self.about["reading"], self.about["input"]["size"]
        if how["kind"] == "rows":
            rows = np.array(item, np.float64)
            if how["mean"] is not None:
                rows = (rows.reshape(-1, len(how["mean"])) - how["mean"]) / how["scale"]
            return np.pad(rows, ((0, 0), (0, how["indicators"]))).astype(np.float32).reshape(-1, size)
        if not isinstance(item, str):
            return np.array(item, np.int64).reshape(-1)
        if how["kind"] == "tokens":
            raise SystemExit(f"{how['why']}, such as [4, 2, 7]")
        for fold in how["folds"]:
            item = "".join(map(FOLDS[fold], item))
        ids = [byte + 2 for byte in item.encode()] if how["kind"] == "bytes" else list(map(self._id, item))
        return np.array(how["begin"] + ids[: how["max_length"]], np.int64)

    def _id(self, character: str) -> int:
        known = self.about["reading"]["vocabulary"]
        return known.index(character) + 2 if character in known else 1

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
        names = ["scores", *(f"next.{name}" for name in state)]
        given = {f"state.{name}": array for name, array in state.items()}
        scores, *after = self.graphs["step"].run(names, {"input": x, **given})
        return scores, dict(zip(state, after, strict=True))

    def present(self, scores: Any) -> dict[str, Any]:
        """Return the prediction that scores (K,) stand for."""
        how, wide = self.about["prediction"], scores.astype(np.float64)
        if how["kind"] in ("number", "scores"):
            return {"value": how["mean"] + how["scale"] * wide[0]} if "mean" in how else {"scores": wide.tolist()}
        powers = np.exp(wide - wide.max())
        shares = 1 / (1 + np.exp(-wide)) if how["kind"] == "sigmoid" else powers / powers.sum()
        best = int(shares.argmax())
        if how["kind"] == "token":
            return {"token": best, "probability": float(shares[best])}
        label = how["labels"][best]
        if how["kind"] == "sigmoid":
            label = [name for name, share in zip(how["labels"], shares, strict=True) if share >= 0.5]
        probabilities = dict(zip(map(str, how["labels"]), shares.tolist(), strict=True))
        return {"label": label, "probability": float(shares[best]), "probabilities": probabilities}


FOLDS = {
    "lower": lambda c: c.lower() if len(c.lower()) == 1 else c,
    "upper": lambda c: c.upper() if len(c.upper()) == 1 else c,
    "digits": lambda c: "0" if c.isdecimal() else c,
    "spaces": lambda c: "" if c.isspace() else c,
}


def parse(text: str) -> Any:
    """Return an item of the command line: JSON where it is a list, else the text itself."""
    return json.loads(text) if text.startswith("[") else text


if __name__ == "__main__":
    model, live = Model(Path(__file__).parent), "--live" in sys.argv
    sequences = [model.read(parse(text)) for text in sys.argv[1:] if text != "--live"]
    if not live:
        for row in model.run(sequences):
            print(json.dumps(model.present(row), ensure_ascii=False))
    for steps in sequences if live else []:
        state = model.begin()
        for step in steps:
            scores, state = model.step(step[None], state)
            print(json.dumps(model.present(scores[0]), ensure_ascii=False))
