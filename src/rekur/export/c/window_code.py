"""The functions of windows in C that differ from model to model: plain forecasts, rows of the network, the forecast."""

from __future__ import annotations

from rekur.export.c.window_api import arguments
from rekur.export.c.windows import Windows
from rekur.features.usual_levels import NUMBERS

#: parts that the functions call
USES = frozenset(
    {
        "take_values",
        "plain_forecast",
        "backtest",
        "scale_window",
        "scale_errors",
        "sort",
        "inverse_sinh",
        "scaled_window",
        "input",
        "read_window",
    }
)


def uses_of(windows: Windows) -> set[str]:
    """Return the parts that the functions of windows call."""
    uses, more = set(USES), windows.covariates
    uses |= {"scale_row"} if more.size or more.static.width else set()
    uses |= {"row_at"} if more.size else set()
    uses |= {"among_usual"} if windows.plain.levels else set()
    uses |= {"covered_ridge"} if windows.plain.covered else set()
    uses |= {"effect_at"} if windows.plain.covered and more.future.width else set()
    if windows.clock is not None:
        uses |= {"time_at", "harmonics", "month_start", *(f"phase_of_{cycle}" for cycle in more.cycles)}
    return uses


def candidates_code(windows: Windows) -> str:
    """Return the function that writes the plain forecasts at an origin, and that of ridges that read columns."""
    covered = non_negative = ""
    if windows.plain.covered:
        covered = """    for (k = 0; k < COVERED; ++k, to += HORIZON) {
        covered_forecast(to, covered + k, state, origin, scale);
    }
"""
    if windows.plain.non_negative:
        non_negative = """    for (k = 0; k < CANDIDATES * HORIZON; ++k) {
        work.candidates[k] = work.candidates[k] > 0.0 ? work.candidates[k] : 0.0;
    }
"""
    return (
        _covered(windows)
        + f"""
static void write_candidates(const live_series *state, int origin, double scale)
{{
    const double shift = read_window(origin, PLAIN_STEPS);
    double *to = work.candidates;
    int k, h;
    for (k = 0; k < RIDGES; ++k, to += HORIZON) {{
        plain_forecast(to, ridges + k, state->channel, scale, shift);
    }}
    for (k = 0; k < NAIVES; ++k) {{
        for (h = 0; h < HORIZON; ++h) {{
            *to++ = work.window[PLAIN_STEPS - periods[k] + h % periods[k]];
        }}
    }}
    for (h = 0; h < HORIZON; ++h) {{
        *to++ = (work.candidates[h] + work.candidates[MEAN_LAST * HORIZON + h]) / 2.0;
    }}
{covered}{non_negative}}}
"""
    )


def _covered(windows: Windows) -> str:
    if not windows.plain.covered:
        return ""
    more = windows.covariates
    lags = calendar = static = less = plus = ""
    if more.future.width:
        less = " - effect_at(state, origin - steps + i, ridge->effect)"
        plus = "effect_at(state, origin + i, ridge->effect) + "
    if more.size:
        lags = """    for (i = 0; i < ridge->lags * COLUMNS; ++i) {
        const int step = origin - ridge->lags + i / COLUMNS;
        weights = add_weighted(to, (double)row_at(state, step, i % COLUMNS), weights);
    }
"""
    if more.calendar_size:
        calendar = f"""    write_calendar(state, origin);
    for (i = 0; i < {more.calendar_size}; ++i) {{
        weights = add_weighted(to, work.calendar[i], weights);
    }}
"""
    if more.static.width:
        static = f"""    for (i = 0; i < {more.static.width}; ++i) {{
        weights = add_weighted(to, (double)state->statics[i], weights);
    }}
"""
    return f"""
static void covered_forecast(
    double *to, const covered_ridge *ridge, const live_series *state, int origin, double scale)
{{
    const int steps = ridge->steps;
    const double shift = read_window(origin, steps);
    const double *const values = ridge->logs ? work.logs : work.window;
    const double location = mean_of(values + steps - ridge->location, ridge->location);
    const double divisor = divisor_of(values, steps, ridge->divisor, scale);
    const float *weights = ridge->weights;
    double centre;
    int i;
    for (i = 0; i < steps; ++i) {{
        work.inputs[i] = (values[i] - location) / divisor{less};
    }}
    centre = mean_of(work.inputs + steps - ridge->location, ridge->location);
    for (i = 0; i < HORIZON; ++i) {{
        to[i] = {plus}centre;
    }}
    for (i = 0; i < steps; ++i) {{
        weights = add_weighted(to, work.inputs[i] - centre, weights);
    }}
{lags}{calendar}{static}    (void)add_weighted(to, 1.0, weights);
    (void)state;
    back_to_values(to, ridge->logs, location, divisor, shift);
}}
"""


def rows_code(windows: Windows) -> str:
    """Return the functions that write a row of the past and one of the horizon."""
    return _past_rows(windows) + _ahead_rows(windows)


def _past_rows(windows: Windows) -> str:
    more = windows.covariates
    blocks = 3 + int(windows.gaps)
    since = columns = calendar = ""
    if windows.gaps:
        since = """        x[3 * SEGMENT + i] = 0.0f;
        if (is_missing) {
            const double since = long_logarithm((double)(1 + place - *latest)) / long_logarithm(1.0 + LOOKBACK);
            x[3 * SEGMENT + i] = (float)since;
        }
"""
    if more.size:
        columns = f"""    for (i = 0; i < SEGMENT * COLUMNS; ++i) {{
        x[{blocks} * SEGMENT + i] = row_at(state, begin + i / COLUMNS, i % COLUMNS);
    }}
"""
    if more.calendar_size:
        calendar = f"""    if (work.first + begin >= 0) {{
        write_calendar(state, begin);
    }}
    for (i = 0; i < {more.calendar_size}; ++i) {{
        x[{blocks + more.size} * SEGMENT + i] = work.first + begin < 0 ? 0.0f : (float)work.calendar[i];
    }}
"""
    return f"""
static void write_past(const live_series *state, const scaled_window *window, int segment, int *latest, float *x)
{{
    const int begin = window->count - LOOKBACK + segment * SEGMENT;
    int i;
    for (i = 0; i < SEGMENT; ++i) {{
        const int place = segment * SEGMENT + i, step = begin + i;
        const int is_missing = step < 0 || work.raw[step < 0 ? 0 : step] != work.raw[step < 0 ? 0 : step];
        const double far = (filled_at(step) - window->level) / window->unit;
        *latest = is_missing ? *latest : place;
        x[i] = input((work.turned[place] - window->location) / window->spread);
        x[SEGMENT + i] = input(inverse_sinh(far));
        x[2 * SEGMENT + i] = is_missing ? 1.0f : 0.0f;
{since}    }}
{columns}{calendar}    (void)state;
}}
"""


def _ahead_rows(windows: Windows) -> str:
    more, columns = windows.covariates, ""
    if more.future.width:
        columns += """    for (i = 0; i < SEGMENT; ++i) {
        for (k = PAST_COLUMNS; k < COLUMNS; ++k) {
            *x++ = row_at(state, begin + i, k);
        }
    }
"""
    if more.calendar_size:
        columns += f"""    write_calendar(state, begin);
    for (k = 0; k < {more.calendar_size}; ++k) {{
        *x++ = (float)work.calendar[k];
    }}
"""
    if more.static.width:
        columns += """    for (k = 0; k < STATICS; ++k) {
        *x++ = state->statics[k];
    }
"""
    turned = "long_logarithm((each > 0.0 ? each : 0.0) + window->shift)" if windows.plain.non_negative else "each"
    return f"""
static void write_ahead(const live_series *state, const scaled_window *window, int segment, float *x)
{{
    const int begin = window->count + segment * SEGMENT;
    const double *const candidates = work.candidates + segment * SEGMENT;
    int i, k;
    for (i = 0; i < HORIZON / SEGMENT; ++i) {{
        *x++ = i == segment ? 1.0f : 0.0f;
    }}
    *x++ = input(window->share);
    *x++ = input(long_logarithm(window->spread));
    for (k = 0; k < CANDIDATES; ++k) {{
        *x++ = input(-work.errors[k] / 4.0);
    }}
    for (k = 0; k < CANDIDATES; ++k) {{
        *x++ = input(window->share + work.errors[k]);
    }}
{_among_usual(windows)}    for (i = 0; i < SEGMENT * CANDIDATES; ++i) {{
        const double each = candidates[i % CANDIDATES * HORIZON + i / CANDIDATES];
        *x++ = input(({turned} - window->location) / window->spread);
    }}
{columns}    for (i = 0; i < SEGMENT * CANDIDATES; ++i) {{
        const double each = candidates[i % CANDIDATES * HORIZON + i / CANDIDATES];
        *x++ = (float)cut_at((each - window->level) / window->unit, LARGEST_CANDIDATE);
    }}
    for (k = 0; k < CANDIDATES; ++k) {{
        *x++ = (float)long_logarithm(work.weights[k] > 1e-12 ? work.weights[k] : 1e-12);
    }}
    for (i = 0; i < SEGMENT; ++i) {{
        *x++ = (float)window->error;
    }}
    (void)state;
    (void)begin;
}}
"""


def _among_usual(windows: Windows) -> str:
    """Return the lines that tell where a window lies among the values of its channel; none without their levels."""
    if not windows.plain.levels:
        return ""
    return f"""    for (k = 0; k < {NUMBERS}; ++k) {{
        *x++ = input(work.usual[k]);
    }}
    for (k = 0; k < CHANNEL_LEVELS; ++k) {{
        *x++ = state->channel == k ? 1.0f : 0.0f;
    }}
"""


def forecast_code(windows: Windows, name: str) -> str:
    """Return the functions that write quantiles in the unit of the data, and a forecast."""
    parameters = arguments(windows, name)["of"]
    usual = "    among_usual(&window, state->channel);\n" if windows.plain.levels else ""
    return f"""{_quantiles(windows)}
int {name}_forecast(const {name}_state *state{parameters})
{{
    const int end = state->count - state->gap;
    const int count = end < MEMORY ? end : MEMORY;
    scaled_window window;
    int first, found = 0, latest = -1, i;
    double scale;
    if (count < 1 || state->gap >= HORIZON) {{
        return 1;
    }}
    work.first = end - count;
    first = take_values(state, work.first, count);
    for (i = 0; i < count; ++i) {{
        found += work.raw[i] == work.raw[i];
    }}
    if (found < 2) {{
        return 1;
    }}
{_known_ahead(windows)}    scale_window(&window, count);
{usual}    scale = plain_scale(count);
    backtest(state, first, count, scale);
    scale_errors(&window);
    write_candidates(state, count, scale);
    begin_network(&network);
    for (i = 0; i < LOOKBACK / SEGMENT; ++i) {{
        write_past(state, &window, i, &latest, work.x);
        take_segment(&network, work.x);
    }}
    for (i = 0; i < HORIZON / SEGMENT; ++i) {{
        write_ahead(state, &window, i, work.x);
        left = network;
        tell_segment(&left, work.x, work.output);
        write_quantiles(&window, work.output, i * SEGMENT, forecast + i * SEGMENT);
    }}
    return 0;
}}

double {name}_level(int quantile)
{{
    return levels[quantile];
}}
"""


def _known_ahead(windows: Windows) -> str:
    """Return the lines that scale the columns known ahead; nothing is forecast where one is missing."""
    count = len(windows.covariates.future.names)
    if not count:
        return ""
    return f"""    if (state->lacks != 0) {{
        return 1;
    }}
    for (i = 0; i < (HORIZON - state->gap) * {count}; ++i) {{
        if (ahead[i] != ahead[i]) {{
            return 1;
        }}
    }}
    for (i = 0; i < HORIZON - state->gap; ++i) {{
        const float *const before = i > 0 ? work.ahead + (i - 1) * COLUMNS : state->rows + (state->count - 1) * COLUMNS;
        float *const row = work.ahead + i * COLUMNS + PAST_COLUMNS;
        scale_row(row, before + PAST_COLUMNS, ahead + i * {count}, PAST_COLUMNS, COLUMNS);
    }}
"""


def _quantiles(windows: Windows) -> str:
    """Return the function that writes the quantiles of a segment."""
    moved, first = "", "    (void)first;\n"
    if windows.target.offsets is not None:
        first = ""
        moved = """        width = z[LEVELS - 1] - z[0];
        middle = z[MEDIAN];
        for (k = 0; k < LEVELS; ++k) {
            z[k] += offsets[(first + i) * LEVELS + k] * width;
            z[k] = k == MEDIAN || (k < MEDIAN ? z[k] > middle : z[k] < middle) ? middle : z[k];
        }
        sort(z, MEDIAN);
        sort(z + MEDIAN + 1, LEVELS - MEDIAN - 1);
"""
    cut = "            to[i][k] = to[i][k] > 0.0 ? to[i][k] : 0.0;\n" if windows.target.non_negative else ""
    return f"""
static void write_quantiles(const scaled_window *window, const float *output, int first, double (*to)[LEVELS])
{{
    double *const z = work.z;
{"    double width, middle;" + chr(10) if moved else ""}    int i, k;
    for (i = 0; i < SEGMENT; ++i) {{
        for (k = 0; k < LEVELS; ++k) {{
            z[k] = (double)output[i * LEVELS + k];
        }}
        sort(z, LEVELS);
{moved}        for (k = 0; k < LEVELS; ++k) {{
            to[i][k] = window->level + window->scale * z[k];
{cut}        }}
    }}
{first}}}
"""
