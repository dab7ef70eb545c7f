"""The text of the C header and the C source of a model that forecasts."""

from __future__ import annotations

from rekur.export.c.constants import comment
from rekur.export.c.forecast import Forecasting
from rekur.export.c.parts import assemble
from rekur.export.c.window_api import declarations, pushing_code
from rekur.export.c.window_code import candidates_code, forecast_code, rows_code, uses_of
from rekur.export.c.windows import Windows, calendar_code, macros_of
from rekur.export.c.write import SIZES, member_text, reset_text
from rekur.program.parts import AHEAD, INPUT

_SYSTEM = "".join(f"#include <{file}>\n" for file in ("float.h", "limits.h", "stddef.h", "stdint.h"))


def state_bytes(windows: Windows) -> int:
    """Return ``sizeof`` the state of a series."""
    return _bytes(windows.members)


def buffer_bytes(lowered: Forecasting, windows: Windows | None) -> int:
    """Return the bytes that all series share."""
    networks = 2 * _bytes([(kind, name, size) for kind, name, size, _ in lowered.fields])
    return 4 * lowered.buffer + networks + (0 if windows is None else _bytes(windows.work))


def _bytes(members: list[tuple[str, str, int]]) -> int:
    sizes = SIZES | {"int": 4}
    total = sum(sizes[kind] * max(size, 1) for kind, _, size in members)
    widest = max((sizes[kind] for kind, _, _ in members), default=1)
    return -(-max(total, 1) // widest) * widest


def multiply_adds(lowered: Forecasting, windows: Windows) -> tuple[int, int]:
    """Return the multiply-adds of the network of a forecast, and of its plain forecasts."""
    past, ahead = lowered.multiply_adds
    features = windows.features
    network = past * (features.lookback // features.segment) + ahead * features.segments
    return network, windows.multiply_adds


def header(lowered: Forecasting, windows: Windows | None) -> str:
    """Return the C header; without windows, that of the network alone."""
    program, name, upper = lowered.program, lowered.style.name, lowered.style.name.upper()
    past, ahead = program.input.size, program.parts[AHEAD].inputs[INPUT].size
    return f"""/* {name}: a recurrent model, {comment(program.task)}; written by Rekur.
{"" if windows is None else _sizes(lowered, windows)}
   The buffer is static: one thread at a time, or compile with -D{upper}_THREAD=_Thread_local (C11). */
#ifndef {upper}_H
#define {upper}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

/* numbers of a row of the past, of a row of the horizon, and of an output */
#define {upper}_PAST_ROW {past}
#define {upper}_AHEAD_ROW {ahead}
#define {upper}_OUTPUT {program.output_size}
{"" if windows is None else _state(lowered, windows)}
/* the network alone: rows of the past and of the horizon, and an output for each of these, in the unit of a window */
void {name}_network(const float *past, int rows, const float *ahead, int segments, float *outputs);
{"" if windows is None else declarations(windows, name)}
#ifdef __cplusplus
}}
#endif

#endif
"""


def _sizes(lowered: Forecasting, windows: Windows) -> str:
    network, plain = multiply_adds(lowered, windows)
    state, buffer = state_bytes(windows), buffer_bytes(lowered, windows)
    return f"""
   RAM    {state} bytes of state for each series, {buffer} bytes of buffer that all share
   flash  {lowered.constants.bytes} bytes of constants ({lowered.style.precision}, ridges float32), and the code
   push   a value is stored; a forecast reads the last {windows.features.memory} of them anew, by which it is scaled:
          {network} multiply-adds of the network in single precision, {plain} of plain forecasts in double
"""


def _state(lowered: Forecasting, windows: Windows) -> str:
    name, upper = lowered.style.name, lowered.style.name.upper()
    members = "\n".join(member_text(*each) for each in windows.members)
    other = ""
    if windows.channels:
        other = "\n/* the channel of a series that has no ridges of its own */\n"
        other += f"#define {upper}_OTHER {len(windows.channels)}\n"
    return f"""
/* steps of the horizon, quantiles of each, the place of the median among them */
#define {upper}_HORIZON {windows.features.horizon}
#define {upper}_QUANTILES {len(windows.target.levels)}
#define {upper}_MEDIAN {windows.target.median}

/* the last steps that a forecast depends on, bytes of the state, bytes of the buffer */
#define {upper}_MEMORY {windows.features.memory}
#define {upper}_STATE_BYTES {state_bytes(windows)}
#define {upper}_BUFFER_BYTES {buffer_bytes(lowered, windows)}
{other}
/* the last values of one series: copy it to fork the series, store it to continue later */
typedef struct {{
{members}
}} {name}_state;
"""


def source(lowered: Forecasting, windows: Windows | None, tables: str = "") -> str:
    """Return the C source; without windows, that of the network alone.

    Args:
        lowered: the network.
        windows: what makes its windows.
        tables: what :func:`rekur.export.c.windows.add_constants` returned for them.
    """
    name, upper, uses = lowered.style.name, lowered.style.name.upper(), lowered.past.uses | lowered.ahead.uses
    variants = lowered.style.variants
    if windows is not None:
        uses, variants = uses | uses_of(windows), (*variants, windows.next_time)
    uses = uses | ({"matrix"} if lowered.constants.matrices else set())
    parts, _ = assemble(uses, variants)
    return f"""/* {name}: a recurrent model, {comment(lowered.program.task)}; written by Rekur. */
{_SYSTEM}
#include "{name}.h"

#if INT_MAX < 2147483647
#error "this model needs an int of 32 bits"
#endif

#ifndef {upper}_THREAD
#define {upper}_THREAD
#endif

{_statics(lowered, windows)}
/* ── constants ── */

{"" if windows is None else _macros(windows)}{lowered.constants.arrays}
/* ── parts ── */

{parts}
{tables}{lowered.constants.matrices}
{_network(lowered, name)}{"" if windows is None else _of_windows(windows, name)}"""


def _network(lowered: Forecasting, name: str) -> str:
    """Return the functions of the network."""
    upper = name.upper()
    resets = "\n".join(reset_text(member, size, value) for _, member, size, value in lowered.fields)
    return f"""/* ── the network ── */

static void begin_network(network_state *state)
{{
    int i;
{resets}
}}

static void take_segment(network_state *state, const float *x)
{{
{_indented(lowered.past.lines)}}}

static void tell_segment(network_state *state, const float *x, float *output)
{{
{_indented(lowered.ahead.lines)}}}

void {name}_network(const float *past, int rows, const float *ahead, int segments, float *outputs)
{{
    int i;
    begin_network(&network);
    for (i = 0; i < rows; ++i) {{
        take_segment(&network, past + i * {upper}_PAST_ROW);
    }}
    for (i = 0; i < segments; ++i) {{
        left = network;
        tell_segment(&left, ahead + i * {upper}_AHEAD_ROW, outputs + i * {upper}_OUTPUT);
    }}
}}
"""


def _statics(lowered: Forecasting, windows: Windows | None) -> str:
    """Return the buffers, and the types of what they hold."""
    name, upper = lowered.style.name, lowered.style.name.upper()
    members = "\n".join(member_text(kind, member, size) for kind, member, size, _ in lowered.fields)
    text = f"""typedef struct {{
{members}
}} network_state;

static {upper}_THREAD network_state network, left;
static {upper}_THREAD float buffer[{max(1, lowered.buffer)}];
"""
    if windows is None:
        return text
    work = "\n".join(member_text(*each) for each in windows.work)
    return f"""typedef char {name}_state_has_the_stated_size[sizeof({name}_state) == {upper}_STATE_BYTES ? 1 : -1];
typedef {name}_state live_series;

{text}
/* what all series share while a forecast is computed */
static {upper}_THREAD struct {{
{work}
}} work;

static void write_candidates(const live_series *state, int origin, double scale);
"""


def _macros(windows: Windows) -> str:
    return "".join(f"#define {name} {value}\n" for name, value in macros_of(windows).items()) + "\n"


def _of_windows(windows: Windows, name: str) -> str:
    pieces = (calendar_code(windows), candidates_code(windows), pushing_code(windows, name), rows_code(windows))
    return f"\n/* ── windows ── */\n{''.join(pieces)}{forecast_code(windows, name)}"


def _indented(lines: list[str]) -> str:
    return "".join(f"    {line}\n" for line in lines)
