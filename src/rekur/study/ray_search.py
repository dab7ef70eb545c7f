"""The same search with trials side by side on a Ray cluster; what comes next is still decided in one place.

Workers train and report each evaluation to a small actor; the driver reads the reports, and says through the actor
which trials are to end. A model travels back only if it is the best so far.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rekur.errors import InputError, describe
from rekur.study.driver import Driver, Job
from rekur.study.objective import Outcome, Setting, run_trial
from rekur.tasks import load

if TYPE_CHECKING:
    from rekur.study.run_search import Cluster

#: seconds between two looks at what the workers report
PAUSE = 0.5
Files = dict[str, bytes]


class Mailbox:
    """Evaluations on their way to the driver, and the trials that are to end; it lives on the cluster."""

    def __init__(self) -> None:
        self._reports: list[tuple[int, int, float]] = []
        self._ending: set[int] = set()

    def report(self, number: int, evaluation: int, cost: float) -> bool:
        """Take a worker's report; return True if its trial is to end."""
        self._reports.append((number, evaluation, cost))
        return number in self._ending

    def end(self, number: int) -> None:
        """Let a trial end at its next evaluation."""
        self._ending.add(number)

    def take(self) -> list[tuple[int, int, float]]:
        """Return the reports that came since the last call."""
        taken, self._reports = self._reports, []
        return taken


def train_remotely(
    setting: Setting, number: int, options: dict[str, Any], mailbox: Any, baseline: bool, time_limit: float
) -> tuple[Outcome, Files]:
    """Run one trial on a worker; return how it ended and the files of its model."""
    import ray

    def watch(evaluation: int, cost: float) -> bool:
        return bool(ray.get(mailbox.report.remote(number, evaluation, cost)))

    outcome, task = run_trial(setting, options, watch, baseline=baseline, time_limit=time_limit)
    if task is None:
        return outcome, {}
    with tempfile.TemporaryDirectory() as above:
        folder = task.save(Path(above) / "best")
        found = [path for path in folder.rglob("*") if path.is_file()]
        return outcome, {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def run_on_cluster(driver: Driver, setting: Setting, cluster: Cluster) -> None:
    """Run trials side by side, as many as the cluster has room for, until there are none left.

    Args:
        driver: says what comes next.
        setting: what all trials share; files are read by their paths on the workers.
        cluster: where.
    """
    import ray

    with _connected(ray, cluster):
        _Crowd(ray, driver, setting, cluster).go()


class _Crowd:
    """The trials that run at this moment."""

    def __init__(self, ray: Any, driver: Driver, setting: Setting, cluster: Cluster) -> None:
        self.ray, self.driver, self.setting, self.cluster = ray, driver, setting, cluster
        self.shared = ray.put(setting)
        self.mailbox = ray.remote(Mailbox).options(num_cpus=0).remote()
        # two results, so that the files of a model that is not the best are never fetched
        self.train = ray.remote(train_remotely).options(
            num_cpus=cluster.processors, num_gpus=cluster.gpus, max_retries=0, num_returns=2
        )
        self.jobs: dict[Any, tuple[Job, Any]] = {}

    def go(self) -> None:
        try:
            while self._fill() or self.jobs:
                done, _ = self.ray.wait(list(self.jobs), timeout=PAUSE)
                self._hear()
                for one in done:
                    self._end(one)
        except KeyboardInterrupt:
            for one in self.jobs:
                self.ray.cancel(one, force=True)
            self.driver.stop()

    def _fill(self) -> bool:
        """Begin trials while there is room; return whether any was begun."""
        room = self._room() - len(self.jobs)
        begun = False
        while room > 0 and (job := self.driver.next()) is not None:
            left = max(1.0, self.driver.left()) if job.defaults and self.driver.has_limit else 0.0
            baseline = job.defaults and bool(self.setting.options.get("baseline", True))
            outcome, files = self.train.remote(self.shared, job.number, job.options, self.mailbox, baseline, left)
            self.jobs[outcome] = (job, files)
            room, begun = room - 1, True
        return begun

    def _room(self) -> int:
        """Return how many trials fit on the cluster as it is now."""
        there = self.ray.cluster_resources()
        fits = there.get("CPU", 0.0) / self.cluster.processors
        if self.cluster.gpus:
            fits = min(fits, there.get("GPU", 0.0) / self.cluster.gpus)
        if fits < 1 and not self.jobs:
            asked = f"{self.cluster.processors:g} processors and {self.cluster.gpus:g} GPUs"
            has = f"{there.get('CPU', 0.0):g} processors and {there.get('GPU', 0.0):g} GPUs"
            raise InputError(describe("cluster", asked, f"no more for a trial than it has: {has}", "Ask for less."))
        return int(fits)

    def _hear(self) -> None:
        """Take in what workers reported, and end the trials that are behind."""
        running = {job.number: job for job, _ in self.jobs.values()}
        for number, evaluation, cost in self.ray.get(self.mailbox.take.remote()):
            if number in running and self.driver.watch(running[number], evaluation, cost):
                self.mailbox.end.remote(number)

    def _end(self, one: Any) -> None:
        job, files = self.jobs.pop(one)
        try:
            outcome: Outcome = self.ray.get(one)
        except self.ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from error  # a fault of ours, as it would be in this process
        except self.ray.exceptions.RayError as error:
            why = str(error).strip().splitlines()[0]
            self.driver.drop(job, f"its worker died ({why})", "died")
            return
        self.driver.tell(job, outcome, lambda folder: self._save(files, folder))

    def _save(self, files: Any, folder: Path) -> None:
        """Write a model that came from a worker."""
        with tempfile.TemporaryDirectory() as above:
            for name, content in self.ray.get(files).items():
                path = Path(above) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            load(above).save(folder, overwrite=True)


@contextmanager
def _connected(ray: Any, cluster: Cluster) -> Iterator[None]:
    """Connect to the cluster, or start one here; a connection that was there before is used and left alone."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    before = signal.getsignal(signal.SIGTERM)
    here = {"include_dashboard": False} if cluster.address is None else {}
    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="error", **here)
    except (ConnectionError, ValueError, RuntimeError) as error:
        why = str(error).strip().splitlines()[0]
        fix = "Leave --ray-address out to start a cluster on this machine."
        raise InputError(describe("ray address", cluster.address, f"a cluster that answers ({why})", fix)) from error
    signal.signal(signal.SIGTERM, before)  # Ray takes it, and would end without good order
    try:
        yield
    finally:
        ray.shutdown()
