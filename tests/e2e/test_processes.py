"""Several processes that train together: the same course as one with the same batches, and an end that is told."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import environment
from tests.unit.new_tasks import ROWS as NEW_TASKS

from rekur.tasks.catalog import CATALOG

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")
ALONE = (sys.executable,)
TWO = (*TORCHRUN, "--nproc-per-node", "2", "--standalone")


def start(launcher: tuple[str, ...], out: Path, env: dict[str, str] | None = None, **options: Any) -> Any:
    """Begin a training of the worker in new processes."""
    words = json.dumps({"out": str(out), **options})
    variables = environment(PYTHONPATH=os.pathsep.join([str(ROOT / "src"), str(ROOT)]), **(env or {}))
    command = [*launcher, "-m", "tests.e2e.worker", words]
    return subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(*children: Any) -> tuple[list[int], str]:
    """Wait for processes; return their exit codes and all they said on standard error."""
    said = [child.communicate(timeout=200)[1].decode() for child in children]
    return [child.returncode for child in children], "\n".join(said)


def trained(launcher: tuple[str, ...], out: Path, **options: Any) -> Any:
    """Return what a training came to."""
    codes, said = finish(start(launcher, out, **options))
    assert codes == [0], said
    return json.loads(out.read_text(encoding="utf-8"))


def numbers(done: Any) -> list[float]:
    return [value for row in done["rows"] for value in row.values()]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What one process comes to, in double precision and without dropout."""
    return trained(ALONE, tmp_path_factory.mktemp("one") / "out.json", dropout=0.0, precision="64-true")


def test_two_processes_take_the_course_of_one(one: Any, tmp_path: Path) -> None:
    two = trained(TWO, tmp_path / "out.json", dropout=0.0, precision="64-true")
    assert numbers(two) == pytest.approx(numbers(one), rel=1e-9)


def test_the_tasks_take_the_course_of_one_process(tmp_path: Path) -> None:
    variables = environment(PYTHONPATH=os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
    courses = []
    for launcher in (ALONE, TWO):
        command = [*launcher, "-m", "tests.e2e.tasks_worker", str(tmp_path / "out.json")]
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, timeout=250, check=False)
        assert done.returncode == 0, done.stderr.decode()
        assert "Initializing distributed" not in done.stderr.decode()
        courses.append(json.loads((tmp_path / "out.json").read_text(encoding="utf-8")))
    one, two = courses
    tasks = [f"task {name}" for name in (*CATALOG, *(row.name for row in NEW_TASKS))]
    assert list(one) == list(two) == ["rare words", "classes", "characters", "spans", "recording", *tasks]
    for name, rows in one.items():
        assert len(rows) == len(two[name]) >= 1
        for row, other in zip(rows, two[name], strict=True):
            assert other == pytest.approx(row, rel=2e-4), name


def test_two_machines_take_the_course_of_one(one: Any, tmp_path: Path) -> None:
    port = str(free_port())
    children = []
    for rank in range(2):
        place = ("--nnodes", "2", "--node-rank", str(rank), "--master-addr", "127.0.0.1", "--master-port", port)
        launcher = (*TORCHRUN, *place, "--nproc-per-node", "1")
        children.append(start(launcher, tmp_path / "out.json", dropout=0.0, precision="64-true"))
    codes, said = finish(*children)
    assert codes == [0, 0], said
    two = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert numbers(two) == pytest.approx(numbers(one), rel=1e-9)


def test_two_tasks_of_slurm_take_the_course_of_one(one: Any, tmp_path: Path) -> None:
    job = {
        "SLURM_JOB_ID": "1",
        "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": "2",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }
    children = []
    for rank in "01":
        env = {**job, "SLURM_PROCID": rank, "SLURM_LOCALID": rank}
        children.append(start(ALONE, tmp_path / "out.json", env, dropout=0.0, precision="64-true"))
    codes, said = finish(*children)
    assert codes == [0, 0], said
    two = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert numbers(two) == pytest.approx(numbers(one), rel=1e-9)


def test_a_job_of_slurm_without_srun_is_one_process(one: Any, tmp_path: Path) -> None:
    job = {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4", "SLURM_PROCID": "0"}
    done = trained(ALONE, tmp_path / "out.json", env=job, dropout=0.0, precision="64-true")
    assert done["sha256"] == one["sha256"]


def test_a_worker_that_dies_ends_the_run_and_two_go_on_exactly(tmp_path: Path) -> None:
    whole = trained(TWO, tmp_path / "whole.json")
    run = str(tmp_path / "run")
    codes, said = finish(start(TWO, tmp_path / "killed.json", folder=run, every=4, die_at=18))
    assert codes == [1]
    assert not (tmp_path / "killed.json").exists()
    assert "process 0: processes: got no answer from one of the 2 that train together (" in said
    assert (
        "); expected all of them to run until the end. See what it said last; "
        f"then go on from {run}/step-00000016, which is whole."
    ) in said
    again = trained(TWO, tmp_path / "again.json", folder=run, every=4, resume=True)
    assert again["texts"] == ["Going on after step 16 of 40."]
    assert (again["sha256"], again["rows"]) == (whole["sha256"], whole["rows"])


@pytest.mark.parametrize(("before", "after"), [(TWO, ALONE), (ALONE, TWO)], ids=["two then one", "one then two"])
def test_another_number_of_processes_can_go_on(
    before: tuple[str, ...], after: tuple[str, ...], one: Any, tmp_path: Path
) -> None:
    how: dict[str, Any] = {"folder": str(tmp_path / "run"), "every": 4, "dropout": 0.0, "precision": "64-true"}
    codes, _ = finish(start(before, tmp_path / "killed.json", die_at=18, **how))
    assert codes == ([1] if before is TWO else [-9])
    done = trained(after, tmp_path / "out.json", resume=True, **how)
    assert numbers(done) == pytest.approx(numbers(one), rel=1e-9)
    counts = (2, 1) if before is TWO else (1, 2)
    assert done["texts"] == [
        f"warning: {counts[0]} processes before, {counts[1]} now: random draws will differ.",
        "Going on after step 16 of 40.",
    ]


def test_processes_drop_out_others(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, torch; from rekur.train import History, Silent, TrainOptions; "
        "from rekur.train.loop import _Run; from tests.e2e.worker import Network, Streams; "
        "options = TrainOptions(steps=1, accelerator='cpu'); "
        "run = _Run(Network(0.5), Streams(), options, History(), Silent(), None, None, 0); "
        "pathlib.Path(sys.argv[1], str(run.place.rank)).write_text(str(torch.rand(4).tolist()))"
    )
    (tmp_path / "draw.py").write_text(code, encoding="utf-8")
    variables = environment(PYTHONPATH=os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
    command = [*TWO, str(tmp_path / "draw.py"), str(tmp_path)]
    subprocess.run(command, env=variables, capture_output=True, timeout=200, check=True)
    assert (tmp_path / "0").read_text() != (tmp_path / "1").read_text()
