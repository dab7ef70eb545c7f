"""What several files of laws share."""

from __future__ import annotations

import pytest

from rekur import _kernels


@pytest.fixture(params=["kernels", "numpy"])
def paths(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test on the compiled kernels and without them."""
    if request.param == "numpy":
        monkeypatch.setattr(_kernels, "kernels", None)
    elif _kernels.kernels is None:
        pytest.skip("the compiled kernels are not installed")
