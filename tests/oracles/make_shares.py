"""Write what aeon's MiniRocket makes of made-up series, so that tests can compare without it.

In an environment of its own, for aeon wants numba and an older pandas:

    python -m venv /tmp/aeon
    /tmp/aeon/bin/pip install aeon==1.6.0
    /tmp/aeon/bin/python tests/oracles/make_shares.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from aeon.classification.convolution_based import MiniRocketClassifier
from aeon.regression.convolution_based import MiniRocketRegressor
from aeon.transformations.collection.convolution_based import MiniRocket
from make_cases import Floats, frequency, order


def walks(seed: int, count: int, channels: int, steps: int) -> Floats:
    """Return random walks (N, D, T), rounded, so that they are kept in few characters."""
    draw = np.random.default_rng(seed)
    return np.round(draw.normal(0, 1, (count, channels, steps)).cumsum(axis=2), 3)


def shares(seed: int, channels: int, steps: int, kernels: int) -> dict[str, Any]:
    """Return series, the parameters that aeon draws for them, and its shares."""
    X = walks(seed, 4, channels, steps)
    model = MiniRocket(n_kernels=kernels, random_state=seed)
    values = np.asarray(model.fit_transform(X))
    counts, chosen, dilations, features, biases = model.parameters
    return {
        "series": X.tolist(),
        "kernels": kernels,
        "channel_counts": counts.tolist(),
        "channels": chosen.tolist(),
        "dilations": dilations.tolist(),
        "counts": features.tolist(),
        "biases": [float(f"{bias:.9g}") for bias in biases],
        "shares": np.round(values.astype(float), 6).tolist(),
    }


def main() -> None:
    """Write shares.json beside this file."""
    cases = [shares(0, 1, 60, 840), shares(1, 3, 41, 336), shares(2, 12, 24, 168), shares(3, 1, 9, 168)]
    accuracies, errors = [], []
    for seed in range(5):
        X, y = order(0, 260)
        model = MiniRocketClassifier(random_state=seed).fit(X[:60], y[:60])
        accuracies.append(float(np.mean(model.predict(X[60:]) == y[60:])))
        X, z = frequency(0, 240)
        regressor = MiniRocketRegressor(random_state=seed).fit(X[:40], z[:40])
        errors.append(float(np.sqrt(np.mean((regressor.predict(X[40:]) - z[40:]) ** 2))))
    written = {"cases": cases, "order_accuracy": accuracies, "frequency_rmse": errors}
    Path(__file__).with_name("shares.json").write_text(json.dumps(written, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
