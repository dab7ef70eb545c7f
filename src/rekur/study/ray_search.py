"""The same search with parallel trials on a Ray cluster; the driver still chooses the trials.

Workers train and report each evaluation to a small actor; the driver reads the reports, and ends trials through the
actor. Only a model that is the best so far is sent back.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rekur import _check
from rekur.errors import InputError, describe
from rekur.study.driver import Driver, Job
from rekur.study.objective import Outcome, Setting, run_trial
from rekur.tasks import load

#: seconds between two readings of the workers' reports
PAUSE = 0.5
Files = dict[str, bytes]


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The cluster of parallel trials.

    Args:
        address: of a Ray cluster, such as ``auto`` or ``ray://head:10001``; None starts one on this machine.
        processors: for each trial.
        gpus: for each trial; a fraction such as 0.5 shares one.
    """

    address: str | None = None
    processors: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        _check.positive("processors", self.processors)
        _check.number("gpus", self.gpus, 0)


class Mailbox:
    """The actor on the cluster that passes evaluations to the driver, and the ends of trials to workers."""

    def __init__(self) -> None:
        self._reports: list[tuple[int, int, float]] = []
        self._ending: set[int] = set()

    def report(self, number: int, evaluation: int, cost: float) -> bool:
        """Store a worker's report; return True if its trial should end."""
        self._reports.append((number, evaluation, cost))
        return number in self._ending

    def end(self, number: int) -> None:
        """End a trial at its next evaluation."""
        self._ending.add(number)

    def take(self) -> list[tuple[int, int, float]]:
        """Return the reports since the last call."""
        taken, self._reports = self._reports, []
        return taken


def train_remotely(
    setting: Setting, number: int, options: dict[str, Any], mailbox: Any, time_limit: float
) -> tuple[Outcome, Files]:
    """Run one trial on a worker; return its outcome and the files of its model."""
    import ray

    def watch(evaluation: int, cost: float) -> bool:
        return bool(ray.get(mailbox.report.remote(number, evaluation, cost)))

    outcome, task = run_trial(setting, options, watch, time_limit=time_limit)
    if task is None:
        return outcome, {}
    with tempfile.TemporaryDirectory() as above:
        folder = task.save(Path(above) / "best")
        paths = [path for path in folder.rglob("*") if path.is_file()]
        return outcome, {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def run_on_cluster(driver: Driver, setting: Setting, cluster: Cluster) -> None:
    """Run the trials of a search in parallel, as many at a time as the cluster has room for.

    Args:
        driver: chooses the trials.
        setting: the data and options of all trials; workers open files by the same paths.
        cluster: the cluster.
    """
    import ray

    with _connected(ray, cluster):
        _Crowd(ray, driver, setting, cluster).go()


class _Crowd:
    """The running trials."""

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
                for reference in done:
                    self._end(reference)
        except KeyboardInterrupt:
            for reference in self.jobs:
                self.ray.cancel(reference, force=True)
            self.driver.stop()

    def _fill(self) -> bool:
        """Start trials while they fit on the cluster; return whether any was started."""
        room = self._room() - len(self.jobs)
        begun = False
        while room > 0 and (job := self.driver.next()) is not None:
            left = max(1.0, self.driver.left()) if job.defaults and self.driver.has_limit else 0.0
            outcome, files = self.train.remote(self.shared, job.number, job.options, self.mailbox, left)
            self.jobs[outcome] = (job, files)
            room, begun = room - 1, True
        return begun

    def _room(self) -> int:
        """Return how many trials fit on the cluster at its current size."""
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
        """Record the workers' reports, and end trials that fall behind."""
        running = {job.number: job for job, _ in self.jobs.values()}
        for number, evaluation, cost in self.ray.get(self.mailbox.take.remote()):
            if number in running and self.driver.watch(running[number], evaluation, cost):
                self.mailbox.end.remote(number)

    def _end(self, reference: Any) -> None:
        job, files = self.jobs.pop(reference)
        try:
            outcome: Outcome = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from error  # a bug in Rekur: raise it as in this process
        except self.ray.exceptions.RayError as error:
            why = str(error).strip().splitlines()[0]
            self.driver.drop(job, f"its worker died ({why})", "died")
            return
        self.driver.tell(job, outcome, lambda folder: self._save(files, folder))

    def _save(self, files: Any, folder: Path) -> None:
        """Save a model from a worker."""
        with tempfile.TemporaryDirectory() as above:
            for name, content in self.ray.get(files).items():
                path = Path(above) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            load(above).save(folder, overwrite=True)


@contextmanager
def _connected(ray: Any, cluster: Cluster) -> Iterator[None]:
    """Connect to the cluster, or start one on this machine; an existing connection is used and left open."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    handler = signal.getsignal(signal.SIGTERM)
    here = {"include_dashboard": False} if cluster.address is None else {}
    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="error", **here)
    except (ConnectionError, ValueError, RuntimeError) as error:
        why = str(error).strip().splitlines()[0]
        fix = "Leave --ray-address out to start a cluster on this machine."
        raise InputError(describe("ray address", cluster.address, f"a cluster that answers ({why})", fix)) from error
    signal.signal(signal.SIGTERM, handler)  # Ray replaces the handler with one that skips our cleanup
    try:
        yield
    finally:
        ray.shutdown()
