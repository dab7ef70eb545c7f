"""Series on which the export of a forecaster is tried before it is written, and its forecasts of them.

Axes: N windows, S steps of the past, D numbers of a step, H steps of the horizon, Q quantiles, O numbers of an output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rekur._filled_series import end_of
from rekur._history import History
from rekur.export.c import check
from rekur.export.c.constants import Array
from rekur.export.c.windows import Windows
from rekur.features.covariates import ROLES, Covariates
from rekur.features.windows import Window
from rekur.program import ForecastEngine

_COUNT = 12
#: 2024-01-01, a Monday, in nanoseconds since 1970
_START = 1_704_067_200 * 10**9


def trial_windows(windows: Windows) -> list[Window]:
    """Return windows of drawn series: short and long, with missing values, some of them at the end."""
    rng = np.random.default_rng(0)
    features, horizon = windows.features, windows.features.horizon
    names = [*windows.channels, "series"]
    drawn = []
    for number in range(_COUNT):
        length = (2, 3, 5, features.lookback, features.memory - 1, features.memory + horizon + 9)[number % 6]
        values = _values(windows, rng, length, number)
        missing = rng.random(length) < (0.0, 0.15)[number % 2]
        behind = min(max(length - 4, 0), horizon - 1) // 2 if number % 3 == 2 else 0
        missing[:2] = missing[length - 1 - behind] = False
        missing[length - behind :] = True
        values[missing] = np.nan
        history = _history(windows, rng, names[number % len(names)], values)
        drawn.append(Window(history, 0, end_of(values)))
    return drawn


def _values(windows: Windows, rng: np.random.Generator, length: int, number: int) -> Array:
    """Return a walk with a season in the unit of the data; a constant, and a series of zeros, are among them."""
    unit, season, steps = windows.target.unit, windows.plain.season, np.arange(length)
    if number in (3, 4):
        return np.full(length, 0.0 if number == 3 else 2 * unit)
    walk = rng.normal(size=length).cumsum() * 0.2 + np.sin(2 * np.pi * steps / max(season, 2))
    values = unit * (4 + walk + 0.3 * rng.normal(size=length))
    return np.asarray(np.abs(values) if windows.plain.non_negative else values)


def _history(windows: Windows, rng: np.random.Generator, channel: str, values: Array) -> History:
    """Return values as a history, with drawn columns and with time stamps where the calendar is read."""
    more, count = windows.covariates, len(values)
    dated: dict[str, Any] = {}
    if windows.clock is not None:
        step, start = windows.clock.step, _START
        if step.unit == "weekday":
            start += step.weekdays.index("1") * 86_400 * 10**9
        if step.unit == "month":
            start = int(step.add(start, 0))
        dated = {"step": step, "form": windows.clock.form, "start": start}
    sizes = {"past": count, "future": count + windows.features.horizon, "static": 1}
    columns: dict[str, Any] = {}
    for role in ROLES:
        scaler = getattr(more, role)
        rows = np.array(scaler.location) + np.array(scaler.scale) * rng.normal(size=(sizes[role], len(scaler.names)))
        if role != "static":
            rows[:count][rng.random((count, len(scaler.names))) < 0.1] = np.nan
            rows[-windows.features.horizon - count // 2 :] = np.nan_to_num(
                rows[-windows.features.horizon - count // 2 :]
            )
        columns[role] = rows[0] if role == "static" else rows
        columns[f"{role}_names"] = scaler.names
    return History("", (channel,), values[:, None], **dated, **columns)


def expected_quantiles(
    windows: Windows, engine: ForecastEngine, items: Sequence[Window]
) -> tuple[Array, list[tuple[float, float]]]:
    """Return what the model forecasts, (N, H, Q), and level and scale of each window."""
    encoded = list(windows.features.encode_many(items))
    outputs = engine.run([each.inputs["steps"] for each in encoded], [each.inputs["ahead"] for each in encoded])
    quantiles = [windows.target.decode(row, each.context).T for row, each in zip(outputs, encoded, strict=True)]
    return np.stack(quantiles), [(each.context["level"], each.context["scale"]) for each in encoded]


def pushed_quantiles(sources: dict[str, str], name: str, windows: Windows, items: Sequence[Window]) -> Array:
    """Return what an export forecasts behind all steps of the series of windows, (N, H, Q); NaN where nothing."""
    with check.scratch() as folder:
        for file in (f"{name}.h", f"{name}.c"):
            (folder / file).write_text(sources[file], encoding="utf-8")
        (folder / "trial.c").write_text(_program(windows, name), encoding="utf-8")
        binary = check.build(folder, [f"{name}.c", "trial.c"], "trial")
        written = check.run(binary, b"".join(_pushes(windows, item) for item in items) + b"-1\n")
    shape = (len(items), windows.features.horizon, len(windows.target.levels))
    return np.array([float(value) for value in written.split()]).reshape(shape)


def _pushes(windows: Windows, item: Window) -> bytes:
    """Return the steps of a window as text: how many, its channel, and numbers."""
    history, more, horizon = item.history, windows.covariates, windows.features.horizon
    count = item.origin if end_of(history.values[:, item.channel]) > item.origin else len(history)
    names = (history.channels[item.channel], history.name)
    numbers = [windows.plain.group_of(*names), *_columns(more, history, "static").tolist()]
    times = history.local(0, count) if windows.clock is not None else None
    past, future = _columns(more, history, "past"), _columns(more, history, "future")
    future = np.concatenate([future, np.full((horizon, future.shape[1]), np.nan)])
    texts = [f"{count}", *(f"{number:.17g}" for number in numbers)]
    for step in range(count):
        texts += [] if times is None else [f"{times[step]}"]
        row = [history.values[step, item.channel], *past[step], *future[step]]
        texts += [f"{number:.17g}" for number in row]
    texts += [f"{number:.17g}" for number in future[count : count + horizon].reshape(-1)]
    return (" ".join(texts) + "\n").encode()


def _columns(more: Covariates, history: History, role: str) -> Array:
    return np.asarray(more.columns(role, history))


def _program(windows: Windows, name: str) -> str:
    """Return the C program that pushes series and writes a forecast behind each."""
    more, upper = windows.covariates, name.upper()
    past, future, static = (len(getattr(more, role).names) for role in ROLES)
    init = (", channel" if windows.channels else "") + (", statics" if static else "")
    push = (", (int64_t)time" if windows.clock else "") + ", numbers[0]" + (", numbers + 1" if past + future else "")
    time = '            if (scanf("%lld", &time) != 1) { return 1; }\n' if windows.clock else ""
    return f"""#include <stdio.h>
#include "{name}.h"

static int read_numbers(double *to, int count)
{{
    int k = 0;
    while (k < count && scanf("%lf", to + k) == 1) {{
        ++k;
    }}
    return k == count;
}}

int main(void)
{{
    static {name}_state state;
    static double forecast[{upper}_HORIZON][{upper}_QUANTILES];
    static double numbers[{1 + past + future}], statics[{max(1, static)}], ahead[{upper}_HORIZON * {max(1, future)}];
{"    long long time;" + chr(10) if windows.clock else ""}    int count, channel, h, k;
    while (scanf("%d", &count) == 1 && count >= 0) {{
        if (scanf("%d", &channel) != 1 || !read_numbers(statics, {static})) {{
            return 1;
        }}
        {name}_init(&state{init});
        while (count-- > 0) {{
{time}            if (!read_numbers(numbers, {1 + past + future}) || {name}_push(&state{push}) != 0) {{
                return 1;
            }}
        }}
        if (!read_numbers(ahead, {upper}_HORIZON * {future})) {{
            return 1;
        }}
        k = {name}_forecast(&state{", ahead" if future else ""}, forecast);
        for (h = 0; h < {upper}_HORIZON * {upper}_QUANTILES; ++h) {{
            if (k != 0) {{
                printf("nan ");
            }} else {{
                printf("%.17g ", forecast[h / {upper}_QUANTILES][h % {upper}_QUANTILES]);
            }}
        }}
        printf("\\n");
    }}
    return 0;
}}
"""


def network_outputs(sources: dict[str, str], name: str, items: Sequence[Any]) -> list[Array]:
    """Return the outputs (A · O) of the network of an export for rows.

    Args:
        sources: file -> text, including the header and the source.
        name: of the export.
        items: each with the rows ``steps`` (S, D) and ``ahead`` (A, E).
    """
    with check.scratch() as folder:
        for file in (f"{name}.h", f"{name}.c"):
            (folder / file).write_text(sources[file], encoding="utf-8")
        (folder / "rows.c").write_text(_rows_program(name, items), encoding="utf-8")
        binary = check.build(folder, [f"{name}.c", "rows.c"], "rows")
        lines = [
            " ".join([f"{len(x.steps)} {len(x.ahead)}", *(f"{v:.9g}" for v in np.r_[x.steps.ravel(), x.ahead.ravel()])])
            for x in items
        ]
        written = check.run(binary, "\n".join([*lines, "-1 0\n"]).encode())
    return [np.array([float(value) for value in line.split()]) for line in written.splitlines()]


def _rows_program(name: str, items: Sequence[Any]) -> str:
    upper = name.upper()
    rows = max((len(each.steps) for each in items), default=1)
    segments = max((len(each.ahead) for each in items), default=1)
    return f"""#include <stdio.h>
#include "{name}.h"

static int read_numbers(float *to, int count)
{{
    int k = 0;
    while (k < count && scanf("%f", to + k) == 1) {{
        ++k;
    }}
    return k == count;
}}

int main(void)
{{
    static float past[{max(1, rows)} * {upper}_PAST_ROW], ahead[{max(1, segments)} * {upper}_AHEAD_ROW];
    static float outputs[{max(1, segments)} * {upper}_OUTPUT];
    int rows, segments, k;
    while (scanf("%d %d", &rows, &segments) == 2 && rows >= 0) {{
        if (!read_numbers(past, rows * {upper}_PAST_ROW) || !read_numbers(ahead, segments * {upper}_AHEAD_ROW)) {{
            return 1;
        }}
        {name}_network(past, rows, ahead, segments, outputs);
        for (k = 0; k < segments * {upper}_OUTPUT; ++k) {{
            printf("%.9g ", (double)outputs[k]);
        }}
        printf("\\n");
    }}
    return 0;
}}
"""
