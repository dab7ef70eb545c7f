"""``rekur doctor``: what is installed here, and which paths will be used."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from typing import Any

import click

from rekur._kernels import absence, kernels, processors
from rekur._version import __version__
from rekur.cli import show
from rekur.cli.options import JSON

#: package -> the extra that brings it, and what it is for
OPTIONAL = {
    "torch": ("train", "training, and running models"),
    "lightning_fabric": ("train", "devices and precision"),
    "sklearn": ("train", "scores and baselines"),
    "tokenizers": ("train", "learning a BPE vocabulary"),
    "matplotlib": ("train", "plots and reports"),
    "pyarrow": ("parquet", "reading parquet files"),
    "zstandard": ("zstd", "reading .zst files"),
    "optuna": ("tune", "searching for good options"),
    "ray": ("ray", "searching on several machines"),
    "onnx": ("export", "exporting to ONNX"),
    "onnxruntime": ("export", "checking what was exported"),
    "h5py": ("keras", "reading Keras models"),
    "tensorboard": ("tensorboard", "event files for TensorBoard"),
}
_DISTRIBUTIONS = {"sklearn": "scikit-learn", "lightning_fabric": "lightning-fabric"}


@click.command("doctor")
@JSON
def command(as_json: bool) -> None:
    """Show versions, processors, optional packages, and which scan each cell will use here.

    \b
    rekur doctor
    rekur doctor --json
    """
    report = _report()
    if as_json:
        show.as_json(report)
        return
    machine = report["machine"]
    show.table("This machine", ("what", "value"), machine.items())
    packages = [(name, p["version"] or "missing", p["for"], p["fix"]) for name, p in report["packages"].items()]
    show.table("Optional packages", ("package", "version", "for", "to get it"), packages)
    if report["scans"]:
        rows = [(s["cell"], s["path"], s["reason"]) for s in report["scans"]]
        show.table("How each cell is run through time here", ("cell", "path", "because"), rows)


def _report() -> dict[str, Any]:
    packages: dict[str, dict[str, Any]] = {}
    for name, (extra, purpose) in OPTIONAL.items():
        found = importlib.util.find_spec(name) is not None
        version = _version(_DISTRIBUTIONS.get(name, name)) if found else None
        fix = "" if found else f'pip install "rekur[{extra}]"'
        packages[name] = {"version": version, "for": purpose, "fix": fix}
    machine: dict[str, Any] = {
        "rekur": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": processors(),
    }
    scans: list[dict[str, str]] = []
    if packages["torch"]["version"]:
        import torch

        from rekur.cells import CELLS, make_cell
        from rekur.scan import choose

        machine["torch threads"] = torch.get_num_threads()
        machine["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
        x = torch.zeros(4, 8, 16)
        for name in CELLS:
            choice = choose(make_cell(name, 16, 16), x, torch.tensor([8, 6, 3, 1]))
            scans.append({"cell": name, "path": choice.path, "reason": choice.reason})
    machine.update(_kernels())
    return {"machine": machine, "packages": packages, "scans": scans}


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _kernels() -> dict[str, str]:
    """Return which compiled kernels run here, and on whose threads: PyTorch's, where that was loaded before."""
    if kernels is None:
        return {"kernels": absence}
    return {"kernels": f"compiled, {kernels.instruction_set()}", "kernels' threads": kernels.team()}
