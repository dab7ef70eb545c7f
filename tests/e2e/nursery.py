"""Trains, kills the training at random moments, goes on, until it is finished: ``python nursery.py FOLDER SEED``.

A process that has PyTorch loaded already forks the ones that are killed: so they are many in little time.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import lightning_fabric  # noqa: F401 (loaded once, here)
import torch
from tests.e2e import worker


def born(**options: Any) -> int:
    """Return the number of a new process that trains."""
    number = os.fork()
    if number == 0:
        code = 1
        try:
            worker.run(**options)
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return number


def disturbed(folder: Path, draw: random.Random) -> tuple[int, set[str]]:
    """Kill a training at random moments until it is finished; return how often, and the checkpoints that were seen."""
    kills, steps, longest = 0, set[str](), 0.25
    while True:
        child = born(out=str(folder / "killed.json"), folder=str(folder / "run"), resume=True, pause=0.005)
        until = time.monotonic() + draw.uniform(0, longest)
        ended = 0
        while not ended and time.monotonic() < until:
            time.sleep(0.001)
            ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            if status:
                raise SystemExit(f"the training ended by itself with status {status}")
            return kills, steps
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills, longest = kills + 1, longest * 1.02  # a busy machine is slow, and is to get there too
        steps |= {path.name for path in (folder / "run").glob("step-*")}


def main(folder: Path, seed: int) -> dict[str, Any]:
    """Return what an undisturbed run and those that were killed again and again came to, and how often they were."""
    torch.set_num_threads(1)
    os.waitpid(born(out=str(folder / "whole.json")), 0)
    draw, kills, steps, killed, left = random.Random(seed), 0, set[str](), [], []
    while kills < 12:  # a fast machine is done after a few
        run = folder / str(len(killed))
        run.mkdir()
        more, seen = disturbed(run, draw)
        kills, steps = kills + more, steps | seen
        killed.append(json.loads((run / "killed.json").read_text()))
        left.append(sorted(path.name for path in (run / "run").iterdir()))
    whole = json.loads((folder / "whole.json").read_text())
    return {"whole": whole, "killed": killed, "kills": kills, "stations": len(steps), "left": left}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
