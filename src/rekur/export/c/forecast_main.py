"""The text of main.c of a model that forecasts: reads observations, and writes a forecast behind each."""

from __future__ import annotations

from rekur.export.c.constants import comment, quoted
from rekur.export.c.main_program import BEGIN, CUT
from rekur.export.c.main_reading import READ_COUNT, READ_LINE, READ_MISSING, READ_NUMBERS
from rekur.export.c.windows import Windows
from rekur.features.covariates import ROLES

_NAMES = """
static char names[SERIES][64];
static int count_of_series = 0;

/* the number of the series of a name, a new one if it is not known; -1 for too many, and for a name that is too long */
static int series_of(const char *name, int *is_new)
{
    int k;
    for (k = 0; k < count_of_series && strcmp(names[k], name) != 0; ++k) {
    }
    *is_new = k == count_of_series;
    if (k == SERIES || strlen(name) >= sizeof names[0]) {
        return -1;
    }
    if (*is_new) {
        strcpy(names[k], name);
        count_of_series += 1;
    }
    return k;
}
"""

_TIME = """
/* read a date, with a time of day if there is one: 2024-02-29T13:45:00; also 2024-02, 2024-Q1 and 2024-W09;
   an offset behind it is told in nanoseconds */
static int time_in(const char *text, int64_t *time, int64_t *offset)
{{
    static const int64_t units[3] = {{INT64_C(3600000000000), INT64_C(60000000000), INT64_C(1000000000)}};
    int year, month = 1, day = 1, used = 0, k;
    int64_t clock = 0, part = 100000000;
    char kind = 0;
    *offset = 0;
    if (sscanf(text, "%4d-%c%d%n", &year, &kind, &month, &used) == 3 && (kind == 'Q' || kind == 'W')) {{
        if (month < 1 || month > (kind == 'Q' ? 4 : 53) || text[used] != '\\0' || year < 1678 || year > 2261) {{
            return 0;
        }}
        if (kind == 'Q') {{
            *time = {name}_time(year, 3 * month - 2, 1, 0);
        }} else {{
            const int64_t days = {name}_time(year, 1, 4, 0) / INT64_C(86400000000000);
            *time = (days - ((days + 3) % 7 + 7) % 7 + 7 * (month - 1)) * INT64_C(86400000000000);
        }}
        return 1;
    }}
    used = 0;
    if (sscanf(text, "%4d-%2d%n-%2d%n", &year, &month, &used, &day, &used) < 2 || used == 0) {{
        if (sscanf(text, "%4d%2d%2d%n", &year, &month, &day, &used) < 3) {{
            return 0;
        }}
    }}
    if (month < 1 || month > 12 || day < 1 || day > 31 || year < 1678 || year > 2261) {{
        return 0;
    }}
    text += used;
    for (k = 0; k < 3 && (*text == (k == 0 ? 'T' : ':') || (k == 0 && *text == ' ')); ++k) {{
        int number = 0;
        if (sscanf(text + 1, "%2d%n", &number, &used) != 1 || number < 0) {{
            return 0;
        }}
        clock += number * units[k];
        text += 1 + used;
    }}
    if (k == 3 && *text == '.') {{
        for (text += 1; *text >= '0' && *text <= '9'; ++text, part /= 10) {{
            clock += (*text - '0') * part;
        }}
    }}
    *time = {name}_time(year, month, day, clock);
    if (*text == '+' || *text == '-') {{
        int hours = 0, minutes = 0;
        k = sscanf(text + 1, "%2d%n:%2d%n", &hours, &used, &minutes, &used);
        k = k == 1 ? sscanf(text + 1, "%2d%2d%n", &hours, &minutes, &used) : k;
        *offset = (hours * units[0] + minutes * units[1]) * (*text == '-' ? -1 : 1);
        text += k > 0 ? 1 + used : 0;
    }} else if (*text == 'Z') {{
        text += 1;
    }}
    return *text == '\\0';
}}
"""

_MAIN = """
int main(int argc, char **argv)
{
    const int by_name = argc > 1 && strcmp(argv[1], "series") == 0;
    if ((argc > 1 && !by_name && strcmp(argv[1], "stream") != 0) || argc > (by_name ? 3 : 2)) {
        fprintf(stderr, "got '%.60s'; expected lines on standard input, no word or stream or series\\n",
                argv[argc - 1]);
        return 2;
    }
    if (argc > 2) {
        input = fopen(argv[2], "r");
        if (input == NULL) {
            fprintf(stderr, "got '%.60s'; expected a file of lines\\n", argv[2]);
            return 2;
        }
        if (take_lines(by_name, 0) != 0) {
            return 2;
        }
        fclose(input);
    }
    input = stdin;
    return take_lines(by_name, 1);
}
"""

_STAMPS = """        const char *stamp;
        int64_t time = 0, offset = 0;
"""

_STAMP = """        stamp = next_piece();
        if (stamp == NULL || !time_in(stamp, &time, &offset)) {
            return refuse(number, stamp == NULL ? "" : stamp, "a time, such as 2024-02-29 or 2024-02-29T13:00");
        }
"""

#: pushes the steps that are left out
_GAP = """        if (state->count > 0 && !skip_to(state, TIME)) {
            return refuse(number, stamp, "the time of the next step, or of a later one");
        }
"""

#: of more missing values than a state keeps only the last are pushed
_LEAP = """    if (next < time) {{
        const uint64_t step = (uint64_t)({name}_next(0));
        const uint64_t steps = ((uint64_t)time - (uint64_t)next) / step;
        next = (int64_t)((uint64_t)next + (steps > {kept} ? steps - {kept} : 0) * step);
    }}
"""

_SKIP = """
/* push missing values up to a time; give 0 where that is no step */
static int skip_to({name}_state *state, int64_t time)
{{
    const double missing = strtod("nan", NULL);
    int64_t next = {name}_next(state->times[state->count - 1]);
{nothing}{leap}    while (next < time) {{
        (void){name}_push(state, next, missing{columns});
        next = {name}_next(next);
    }}
    return next == time;
}}
"""


def forecast_main(windows: Windows, name: str) -> str:
    """Return the C program.

    Args:
        windows: of the model.
        name: of the export.
    """
    whole, future = _row(windows), len(windows.covariates.future.names)
    most = f"{whole} + {name.upper()}_HORIZON * {future}" if future else str(whole)
    reading = (
        READ_LINE.replace("getchar()", "getc(input)")
        + READ_NUMBERS
        + READ_COUNT
        + READ_MISSING
        + _NAMES
        + _channels(windows)
    )
    if windows.clock:
        reading += _TIME.format(name=name) + _skip(windows, name)
        reading += (
            "\n/* of the newest time of each series */\nstatic int64_t offsets[SERIES];\n" if windows.instants else ""
        )
    return f"""/* reads lines from standard input:
{_usage(windows, name)} */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "{name}.h"

/* most series, and numbers of a line: of a step, and of the steps ahead */
#ifndef SERIES
#define SERIES 128
#endif
#define STEP_NUMBERS {whole}
#define MOST ({most})

static {name}_state states[SERIES];
static FILE *input;
{reading}{_telling(name)}
{_whole(windows, name)}"""


def _whole(windows: Windows, name: str) -> str:
    """Return the functions that take all lines of a file, and of the history and standard input."""
    return f"""/* take all lines of the input; give 2 for one that is refused */
static int take_lines(int by_name, int tells)
{{
    static double forecast[{name.upper()}_HORIZON][{name.upper()}_QUANTILES], numbers[MOST];
    size_t length;
    long number = 0;
    int whole, k, is_new = 0;
    while ((length = read_line(&whole)) > 0) {{
        const char *name = "";
        {name}_state *state;
        int count = 0;
{_STAMPS if windows.clock else ""}{_line(windows, name)}    }}
    return 0;
}}
{_MAIN}"""


def _skip(windows: Windows, name: str) -> str:
    """Return the function that pushes missing values up to a time."""
    count, nothing = len(windows.covariates.past.names) + len(windows.covariates.future.names), ""
    if count:
        nothing = f"""    double nothing[{count}];
    int k;
    for (k = 0; k < {count}; ++k) {{
        nothing[k] = missing;
    }}
"""
    leap = _LEAP.format(name=name, kept=windows.kept) if windows.next_time == "even" else ""
    return _SKIP.format(name=name, nothing=nothing, leap=leap, columns=", nothing" if count else "")


def _row(windows: Windows) -> int:
    """Return how many numbers a step has."""
    return 1 + sum(len(getattr(windows.covariates, role).names) for role in ROLES)


def _line(windows: Windows, name: str) -> str:
    """Return the body of the loop over lines."""
    more, whole = windows.covariates, _row(windows)
    past, future, static = (len(getattr(more, role).names) for role in ROLES)
    init = (", channel_of(name)" if windows.channels else "") + (", numbers" if static else "")
    push = (", time" if windows.clock else "") + f", numbers[{static}]"
    push += f", numbers + {static + 1}" if past + future else ""
    stamp = gap = ""
    if windows.clock:
        stamp, gap = _STAMP, _GAP.replace("TIME", "time - offset + offsets[k]" if windows.instants else "time")
        gap += "        offsets[k] = offset;\n" if windows.instants else ""
    wrong = "count != STEP_NUMBERS" + (" && count != MOST" if future else "")
    told = ("count != MOST || " if future else "") + f"{name}_forecast(state"
    told += f", numbers + {whole}, forecast) != 0" if future else ", forecast) != 0"
    return f"""{BEGIN}        if (is_empty(text)) {{
            count_of_series = 0;
            continue;
        }}
{CUT}        if (by_name) {{
            name = next_piece();
            name = name == NULL ? "" : name;
        }}
{stamp}        while ((piece = next_piece()) != NULL) {{
            if (!number_or_missing(piece, &value)) {{
                return refuse(number, piece, "a number, or NA for one that is missing");
            }}
            if (count < MOST) {{
                numbers[count] = value;
            }}
            count += 1;
        }}
        if ({wrong}) {{
            return refuse_count(number, count, STEP_NUMBERS);
        }}
        k = series_of(name, &is_new);
        if (k < 0) {{
            return refuse(number, name, "few series with short names, or a main.c that is compiled with -DSERIES=N");
        }}
        state = states + k;
        if (is_new) {{
            {name}_init(state{init});
        }}
{gap}        if ({name}_push(state{push}) != 0) {{
            return refuse(number, "a value that is too large", "one of at most 1e30 in size");
        }}
        if (tells) {{
            tell(by_name ? name : NULL, {told}, forecast);
        }}
"""


def _usage(windows: Windows, name: str) -> str:
    more = windows.covariates
    parts = [comment(", ".join(more.static.names))] if more.static.names else []
    parts += ["the value", *([comment(", ".join(more.past.names))] if more.past.names else [])]
    parts += [comment(", ".join(more.future.names))] if more.future.names else []
    row = ", ".join([*(["the time"] if windows.clock else []), *parts])
    ahead = ""
    if more.future.names:
        names = comment(", ".join(more.future.names))
        ahead = f"\n    behind these may stand {names} of each step of the horizon: without them nothing is forecast;"
    return f"""    a line is a step of a series: {row};{ahead}
    with the word series behind the name of the program the name of its series comes first (SERIES/CHANNEL where series
    have several), and the name of a file may follow, such as history.csv: its lines are taken before, in silence;
    an empty line begins anew; between numbers stand blanks, or commas, semicolons or tabs;
    NA, NaN, null, ? and nothing between two commas are missing values;
    behind each line the forecast is written as {name}_forecast gives it, as an object in JSON"""


def _channels(windows: Windows) -> str:
    """Return the function that gives the channel of a series, of several also of SERIES/CHANNEL."""
    if not windows.channels:
        return ""
    rows = "".join(f"        {quoted(each.encode())},\n" for each in windows.channels)
    count = len(windows.channels)
    return f"""
static int channel_of(const char *name)
{{
    static const char *const channels[{count}] = {{
{rows}    }};
    const char *last = strrchr(name, '/');
    int k;
    last = last == NULL ? name : last + 1;
    for (k = 0; k < {count} && strcmp(channels[k], name) != 0 && strcmp(channels[k], last) != 0; ++k) {{
    }}
    return k;
}}
"""


def _telling(name: str) -> str:
    upper = name.upper()
    return f"""
static void tell_numbers(const char *label, double (*forecast)[{upper}_QUANTILES], int quantile)
{{
    int h;
    printf("\\"%s\\": [", label);
    for (h = 0; h < {upper}_HORIZON; ++h) {{
        printf("%s%.12g", h > 0 ? ", " : "", forecast[h][quantile]);
    }}
    printf("]");
}}

static void tell(const char *name, int waits, double (*forecast)[{upper}_QUANTILES])
{{
    char label[32];
    int k;
    printf("{{");
    if (name != NULL) {{
        printf("\\"series\\": \\"");
        for (; *name != '\\0'; ++name) {{
            printf(*name == '"' || *name == '\\\\' ? "\\\\%c" : "%c", *name);
        }}
        printf("\\", ");
    }}
    if (waits) {{
        printf("\\"forecast\\": null}}\\n");
    }} else {{
        tell_numbers("forecast", forecast, {upper}_MEDIAN);
        printf(", \\"quantiles\\": {{");
        for (k = 0; k < {upper}_QUANTILES; ++k) {{
            sprintf(label, "%g", {name}_level(k));
            printf("%s", k > 0 ? ", " : "");
            tell_numbers(label, forecast, k);
        }}
        printf("}}}}\\n");
    }}
    fflush(stdout);
}}
"""
