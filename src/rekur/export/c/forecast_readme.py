"""The README.md of an export of a forecaster."""

from __future__ import annotations

from typing import Any

from rekur.export.c.forecast_history import HISTORY
from rekur.export.c.readme import proof_text
from rekur.export.c.window_api import arguments
from rekur.export.c.windows import Windows


def forecast_readme(report: dict[str, Any], windows: Windows, history: str) -> str:
    """Return the README.md.

    Args:
        report: the content of ``manifest.json``.
        windows: of the model.
        history: the file with the ends of training series, and what it holds; empty for none.
    """
    name, code = report["name"], report["code_bytes"]
    rows = [
        ("flash: constants", f"{report['constant_bytes']:,} bytes"),
        ("flash: code", f"{code:,} bytes ({report['code_measured_with']})" if code else "not measured"),
        ("RAM: state of a series", f"{report['state_bytes']:,} bytes"),
        ("RAM: buffer that all series share", f"{report['buffer_bytes']:,} bytes"),
        ("RAM: a forecast, where the caller wants it", f"{report['output_bytes']:,} bytes"),
        ("multiply-adds of a forecast, in single precision", f"{report['multiply_adds_network']:,}"),
        ("multiply-adds of a forecast, in double precision", f"{report['multiply_adds_plain']:,}"),
    ]
    table = "".join(f"| {quantity} | {size} |\n" for quantity, size in rows)
    features, upper = windows.features, name.upper()
    weights = report["precision"] + (", with a scale a row" if report["precision"] == "int8" else "")
    return f"""# {name}

A recurrent model ({report["task"]}) in C99: one header, one source, no allocation, no library at all.

| what | size |
| --- | --- |
{table}
Weights are {weights}; those of ridges are float32. {proof_text(report)}
A forecast is in the unit of the values that are pushed.

## Use

```c
#include "{name}.h"

static {name}_state state; /* one for each series */
static double forecast[{upper}_HORIZON][{upper}_QUANTILES];

{_calls(windows, name)}
forecast[0][{upper}_MEDIAN]; /* the forecast of the first step; {name}_level tells the quantiles */
```

A value that is pushed is the next step of its series, NaN where it is missing; the last {features.memory} are kept. All
are scaled by the newest ones, so a forecast reads them anew: call `{name}_forecast` when it is needed, not after each
value. It begins behind the last value that is not missing, and needs two values; steps before the first are missing. A
series begins with nothing: push its last {features.memory} steps first ({upper}_MEMORY) to go on from them.
{_more(windows, name)}{_of_history(name, history)}
`make` builds `{name}`, which reads lines from standard input; main.c says how.
Or: `cc -O3 -std=c99 main.c {name}.c -o {name}`.
The buffer is shared: use the model from one thread at a time, or compile with `-D{upper}_THREAD=_Thread_local` (C11).
"""


def _of_history(name: str, history: str) -> str:
    if not history:
        return ""
    return f"""
{history}. `./{name} series {HISTORY}` takes its lines first, and goes on behind them with those of standard input,
which begin with the name of a series.
"""


def _calls(windows: Windows, name: str) -> str:
    """Return the calls of the functions of a series."""
    names = {key: _names(text) for key, text in arguments(windows, name).items()}
    return f"""{name}_init(&state{names["init"]});
{name}_push(&state{names["push"]}); /* for each step */
{name}_forecast(&state{names["of"]});"""


def _names(parameters: str) -> str:
    """Return the names of parameters.

    Example:
        >>> _names(", int channel, const double statics[2]")
        ', channel, statics'
    """
    words = [each.split("[")[0].split()[-1] for each in parameters.split(", ") if each]
    return "".join(f", {word}" for word in words)


def _more(windows: Windows, name: str) -> str:
    more, texts = windows.covariates, list[str]()
    if windows.channels:
        others = f"{name.upper()}_OTHER stands for any other series."
        channels = ", ".join(f"{number} is {channel}" for number, channel in enumerate(windows.channels))
        texts.append(f"Columns of training have ridges of their own: channel {channels}; {others}")
    columns = [*more.past.names, *more.future.names]
    if columns:
        texts.append(
            f"`columns` are the numbers of {', '.join(columns)} at the step of the value, NaN where missing; they are "
            "scaled here."
        )
    if more.future.names:
        texts.append(
            f"`ahead` are those of {', '.join(more.future.names)} at the steps behind the newest one, a row a step."
        )
    if more.static.names:
        texts.append(f"`statics` are the numbers of {', '.join(more.static.names)}, for the whole series.")
    if any("=" in each for each in (*columns, *more.static.names)):
        texts.append("A name with `=` is 1 where the column has that text, else 0.")
    if windows.clock is not None:
        cycles = " and the ".join(more.cycles)
        texts.append(
            f"The network reads the {cycles}: `time` is that of the step in nanoseconds since 1970, by the clock on "
            f"the wall; `{name}_time` makes it of a date, and `{name}_next` gives that of the step behind, by the step "
            "of training. Push each step, also those that are missing."
        )
    return "".join(f"\n{text}\n" for text in texts)
