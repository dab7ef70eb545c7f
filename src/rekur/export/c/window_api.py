"""The functions of a forecaster in C that are called: a series begins, takes a value, and is forecast."""

from __future__ import annotations

from rekur.export.c.constants import comment
from rekur.export.c.windows import Windows


def arguments(windows: Windows, name: str) -> dict[str, str]:
    """Return the parameters of the public functions ``init``, ``push`` and ``forecast`` behind the state."""
    more, upper = windows.covariates, name.upper()
    columns = len(more.past.names) + len(more.future.names)
    init = ["int channel"] if windows.channels else []
    init += [f"const double statics[{len(more.static.names)}]"] if more.static.names else []
    push = ["int64_t time"] if windows.clock else []
    push += ["double value", *([f"const double columns[{columns}]"] if columns else [])]
    ahead = [f"const double ahead[{upper}_HORIZON * {len(more.future.names)}]"] if more.future.names else []
    forecast = [*ahead, f"double forecast[{upper}_HORIZON][{upper}_QUANTILES]"]
    return {key: "".join(f", {each}" for each in of) for key, of in (("init", init), ("push", push), ("of", forecast))}


def declarations(windows: Windows, name: str) -> str:
    """Return the declarations of the public functions of windows."""
    parameters, more, upper = arguments(windows, name), windows.covariates, name.upper()
    past, future, static = (
        comment(", ".join(getattr(more, role).names)) or "none" for role in ("past", "future", "static")
    )
    begin = "begin a series: the old content of the state is ignored"
    if windows.channels:
        begin += f"; the channel is the place of its column in {comment(', '.join(windows.channels))}, from 0 on, or\n"
        begin += f"   {upper}_OTHER for another series"
    begin += f"; static columns: {static}" if more.static.names else ""
    push = "take the value of the next step, NaN where it is missing"
    if windows.clock:
        push += "; the time is in nanoseconds since 1970 by the clock on the wall"
    if more.past.names or more.future.names:
        push += f"; columns of the step, NaN where missing:\n   {past} (known until now), then {future} (known ahead)"
    push += ";\n   returns 0, or 1 for a value that is refused, above 1e30 in size, which changes nothing"
    told = "write the quantiles of each step of the horizon, which begins behind the last value that is not missing"
    if more.future.names:
        told += f";\n   ahead: {future} at each step behind the newest, a row a step"
    lacks = "values, has nothing ahead" if more.future.names else "values"
    told += f";\n   returns 0, or 1 where nothing is forecast, as the series has fewer than two {lacks},"
    told += " or a whole\n   horizon of values is missing"
    next_time = ""
    if windows.clock:
        next_time = f"""
/* the time of the step behind another one */
int64_t {name}_next(int64_t time);

/* nanoseconds since 1970 of a day of a month, both from 1 on, and a time of day in nanoseconds */
int64_t {name}_time(int year, int month, int day, int64_t rest);
"""
    return f"""
/* {begin} */
void {name}_init({name}_state *state{parameters["init"]});

/* forget the values of a series */
void {name}_reset({name}_state *state);

/* {push} */
int {name}_push({name}_state *state{parameters["push"]});

/* {told} */
int {name}_forecast(const {name}_state *state{parameters["of"]});

/* the probability of a quantile, 0 to {len(windows.target.levels) - 1} */
double {name}_level(int quantile);
{next_time}"""


def pushing_code(windows: Windows, name: str) -> str:
    """Return the functions that begin a series and take a value."""
    parameters, more, upper = arguments(windows, name), windows.covariates, name.upper()
    begin = f"    state->channel = channel >= 0 && channel < {upper}_OTHER ? channel : {upper}_OTHER;\n"
    begin = begin if windows.channels else "    state->channel = 0;\n"
    if more.static.width:
        begin += "    scale_row(state->statics, NULL, statics, COLUMNS, COLUMNS + STATICS);\n"
    forget = "    state->lacks = 0;\n" if more.future.names else ""
    times = "            state->times[i - 1] = state->times[i];\n" if windows.clock else ""
    local = "    float *row;\n    const float *before;\n" if more.size else ""
    rows = ""
    if more.size:
        rows = """        for (i = COLUMNS; i < KEPT * COLUMNS; ++i) {
            state->rows[i - COLUMNS] = state->rows[i];
        }
"""
    return f"""
void {name}_reset({name}_state *state)
{{
    state->count = 0;
    state->gap = 0;
{forget}}}

void {name}_init({name}_state *state{parameters["init"]})
{{
    {name}_reset(state);
{begin}}}

int {name}_push({name}_state *state{parameters["push"]})
{{
    const int is_missing = value != value;
{local}    int i;
    if (value > LARGEST_VALUE || value < -LARGEST_VALUE) {{
        return 1;
    }}
    if (state->count == KEPT) {{
        const double first = state->values[0];
        for (i = 1; i < KEPT; ++i) {{
            state->values[i - 1] = state->values[i];
{times}        }}
{rows}        state->values[0] = state->values[0] == state->values[0] ? state->values[0] : first;
        state->count -= 1;
    }}
    state->values[state->count] = value;
{_taking(windows)}    state->count += 1;
    state->gap = !is_missing ? 0 : state->gap < KEPT ? state->gap + 1 : KEPT;
    return 0;
}}
{_times(windows, name)}"""


def _taking(windows: Windows) -> str:
    """Return the lines that take the time and the columns of a value."""
    more, lines = windows.covariates, "    state->times[state->count] = time;\n" if windows.clock else ""
    past, future = len(more.past.names), len(more.future.names)
    if more.size:
        lines += """    row = state->rows + state->count * COLUMNS;
    before = state->count > 0 ? row - COLUMNS : NULL;
    scale_row(row, before, columns, 0, PAST_COLUMNS);
"""
    if future:
        lines += f"""    before = before != NULL ? before + PAST_COLUMNS : NULL;
    scale_row(row + PAST_COLUMNS, before, columns + {past}, PAST_COLUMNS, COLUMNS);
    state->lacks = is_missing ? state->lacks : 0;
    for (i = {past}; i < {past + future} && is_missing; ++i) {{
        state->lacks |= columns[i] != columns[i];
    }}
"""
    return lines


def _times(windows: Windows, name: str) -> str:
    if windows.clock is None:
        return ""
    return f"""
int64_t {name}_next(int64_t time)
{{
    return next_time(time);
}}

int64_t {name}_time(int year, int month, int day, int64_t rest)
{{
    return (month_start(year, month - 1) + day - 1) * DAY + rest;
}}
"""
