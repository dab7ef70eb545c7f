"""What all tests share: the slow mark, where the real data lie, one thread a worker."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings
from tests.profiles import register_profiles

register_profiles()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take long, with all examples")


def pytest_configure(config: pytest.Config) -> None:
    """Draw all examples with ``--slow``; ``--hypothesis-profile`` says otherwise."""
    settings.load_profile("full" if config.getoption("--slow") else "quick")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow; run with --slow"))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Keep PyTorch to one thread a worker: several workers share the machine."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real data sets, or skip."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("REKUR_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent; set REKUR_DATA to the folder that holds them")
    return folder
