"""What a search found, as a person reads it and as a program does, and the command that trains the best model again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from rekur.cli import show

#: options of ``rekur tune`` that ``rekur fit`` does not repeat
OF_THE_SEARCH = {"out", "trials", "space", "time_limit", "trial_time_limit", "quiet", "as_json"}
OF_THE_SEARCH |= {"on_cluster", "ray_address", "ray_processors", "ray_gpus"}


def fit_line(task: str, files: list[str], given: dict[str, Any], best: Any, out: Path) -> str:
    """Return the command that trains the best model again."""
    words = ["rekur", "fit", task, *files]
    options = {one.name: one for one in click.get_current_context().command.params if isinstance(one, click.Option)}
    tried = {} if best.defaults else best.options
    limit = best.chosen.get("time_limit") or 0.0
    for name, option in options.items():
        value = tried.get(name, given.get(name))
        if name in OF_THE_SEARCH or value is None or value == ():
            continue
        for one in value if isinstance(value, tuple) else [value]:
            if isinstance(one, bool):
                words += option.opts if one == option.flag_value else option.secondary_opts
            else:
                words += [option.opts[0], _spelled(one)]
    words += ["--time-limit", f"{limit:.6g}s"] if limit else []
    return shlex.join([*words, "--out", f"{out}-best"])


def _spelled(value: Any) -> str:
    """Return the value of an option as the command line takes it."""
    if isinstance(value, dict):
        return ",".join(f"{key}={number}" for key, number in value.items())
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def show_result(result: Any, out: Path, line: str, as_json: bool) -> None:
    """Print what was found, and how to use it or go on."""
    best = result.best
    if as_json:
        kept = {"trials": [one.to_dict() for one in result.trials], "importance": result.importance, "command": line}
        chosen = {"bundle": str(out / "best"), "best": best.to_dict()} if best is not None else {}
        ended = {"search": str(out), "ended": result.ended, "monitor": result.monitor}
        show.as_json({**ended, "larger_is_better": result.larger_is_better, **chosen, **kept})
        return
    from rekur.study.search_report import best_table, importance_table

    if best is not None:
        show.table(*best_table(result, most=5, across=False))
        if result.importance:
            show.table(*importance_table(result))
        counts = {state: sum(one.state == state for one in result.trials) for state in ("finished", "pruned", "failed")}
        said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        click.echo(f"Search ended: {result.ended}; {len(result.trials)} trials: {said}.")
        click.echo(f"The model of trial {best.number} is saved in {out / 'best'}, all trials in {out / 'search.html'}.")
        click.echo("It was chosen by its score on the validation items; how good it is, items of their own tell:")
        click.echo(f"  rekur evaluate {out / 'best'} TEST_FILE\nTo train it again:\n  {line}")
    else:
        click.echo(f"Search ended: {result.ended}; no trial has finished, and no model was saved.")
    if result.ended == "interrupted":
        click.echo("You stopped it. To go on, run the same command again.")
    elif result.ended == "time limit":
        click.echo("To go on, run the same command again.")
    else:
        click.echo(f"For more trials, run the same command with a larger --trials than {len(result.trials)}.")
