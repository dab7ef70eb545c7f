"""The kernels under the address and undefined-behaviour sanitizers, on arrays of odd sizes, against plain loops."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("REKUR_")}
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, env=plain)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_kernels_touch_nothing_that_is_not_theirs(tmp_path: Path) -> None:
    for program in ("cmake", "c++"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed, so the kernels cannot be built")
    made = run("cmake", "-S", ROOT / "native", "-B", tmp_path, "-DREKUR_SANITIZE=ON")
    if made.returncode == 0:
        made = run("cmake", "--build", tmp_path, "--parallel", "2")
    assert made.returncode == 0, made.stdout + made.stderr
    done = run(tmp_path / "check")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) % 8 == 1
    assert lines[-2].startswith("plain, above")
    assert lines[-1].startswith("recall: ")
    assert all(int(line.split(": ")[1].split(" checks")[0]) > 10 for line in lines)
