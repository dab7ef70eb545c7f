"""The text of the C header and the C source of an export."""

from __future__ import annotations

from rekur.export.c.constants import comment
from rekur.export.c.parts import assemble
from rekur.export.c.source import Extra, Lowered
from rekur.program import Input

SIZES = {"float": 4, "int32_t": 4, "uint32_t": 4, "uint64_t": 8, "double": 8, "uint16_t": 2, "uint8_t": 1}
SIZES |= {"int16_t": 2, "int64_t": 8}


def state_bytes(lowered: Lowered, extra: Extra) -> int:
    """Return ``sizeof`` the state: the widest members come first, so that only its end is padded."""
    members = _members(lowered, extra)
    total = sum(SIZES[kind] * max(size, 1) for kind, _, size in members)
    widest = max((SIZES[kind] for kind, _, _ in members), default=1)
    return -(-max(total, 1) // widest) * widest


def _members(lowered: Lowered, extra: Extra) -> list[tuple[str, str, int]]:
    members = [(kind, name, size) for kind, name, size, _ in lowered.fields] + list(extra.members)
    return sorted(members, key=lambda member: -SIZES[member[0]])


def header(lowered: Lowered, extra: Extra) -> str:
    """Return the C header."""
    program, name, upper = lowered.program, lowered.style.name, lowered.style.name.upper()
    takes, step_text = _input(program.input)
    step, read = lowered.multiply_adds
    members = "\n".join(member_text(*member) for member in _members(lowered, extra))
    size = state_bytes(lowered, extra)
    return f"""/* {name}: a recurrent model, {comment(program.task)}; written by Rekur.

   RAM    {size} bytes of state for each stream, {lowered.buffer_bytes} bytes of buffer that all streams share,
          {4 * program.output_size} bytes of output where the caller wants them
   flash  {lowered.constants.bytes} bytes of constants ({lowered.style.precision}), and the code
   step   {step} multiply-adds; reading the output {read}

   The buffer is one static array: one thread at a time, or compile with -D{upper}_THREAD=_Thread_local (C11). */
#ifndef {upper}_H
#define {upper}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

/* numbers of the output, bytes of the state, bytes of the buffer */
#define {upper}_OUTPUT {program.output_size}
#define {upper}_STATE_BYTES {size}
#define {upper}_BUFFER_BYTES {lowered.buffer_bytes}
{_delay(lowered)}
/* the state of one stream: copy it to fork the stream, store it to continue later */
typedef struct {{
{members or "    uint8_t nothing[1];"}
}} {name}_state;

/* begin a sequence: the old content of the state is ignored */
void {name}_init({name}_state *state);

/* begin a new sequence */
void {name}_reset({name}_state *state);

/* take one step: {step_text} */
void {name}_step({name}_state *state, {takes});

/* write the output {"of the newest step" if lowered.per_step else "for the sequence so far"} */
void {name}_read(const {name}_state *state, float output[{upper}_OUTPUT]);
{extra.declarations}
#ifdef __cplusplus
}}
#endif

#endif
"""


def _input(source: Input) -> tuple[str, str]:
    """Return the C argument of a step, and what it is."""
    if source.kind == "tokens":
        return "int32_t token", f"a token, a whole number in [0, {source.size})"
    if source.kind == "ids":
        below = ", ".join(map(str, source.columns))
        return f"const int32_t ids[{source.size}]", f"ids, whole numbers of 0 or more, below {below}"
    return f"const float x[{source.size}]", f"a row of {source.size} numbers"


def _delay(lowered: Lowered) -> str:
    """Return the definition of the look-ahead; empty without one."""
    if not lowered.delay:
        return ""
    return f"""
/* the look-ahead in steps: the output is that of the step DELAY steps before, so the first DELAY ones are not valid; at
   the end of a sequence take DELAY steps of zeros */
#define {lowered.style.name.upper()}_DELAY {lowered.delay}
"""


def source(lowered: Lowered, extra: Extra) -> str:
    """Return the C source."""
    name, upper = lowered.style.name, lowered.style.name.upper()
    part_names = {*lowered.step.uses, *lowered.read.uses, *extra.uses}
    part_names |= {"fixed_matrix" if lowered.style.fixed else "matrix"} if lowered.constants.matrices else set()
    parts, _ = assemble(part_names, (*lowered.style.variants, *extra.variants))
    system = ("float.h", "limits.h", "stddef.h", "stdint.h")
    includes = "".join(f"#include <{file}>\n" for file in system)
    matrices = lowered.constants.matrices
    step, read = _signatures(lowered)
    resets = "\n".join(reset_text(member, size, value) for _, member, size, value in lowered.fields)
    more = "".join(f"    {line}\n" for line in extra.reset)
    return f"""/* {name}: a recurrent model, {comment(lowered.program.task)}; written by Rekur. */
{includes}
#include "{name}.h"

#if INT_MAX < 2147483647
#error "this model needs an int of 32 bits"
#endif

#ifndef {upper}_THREAD
#define {upper}_THREAD
#endif

typedef char {name}_state_has_the_stated_size[sizeof({name}_state) == {upper}_STATE_BYTES ? 1 : -1];

{_buffers(lowered)}
/* ── constants ── */

{lowered.constants.kinds}{extra.macros}{lowered.constants.arrays}
/* ── parts ── */

{extra.preamble}
{parts}
{matrices}
/* ── the model ── */

void {name}_init({name}_state *state)
{{
    int i;
{resets}
{more}}}

void {name}_reset({name}_state *state)
{{
    {name}_init(state);
}}

void {step}
{{
{_indented(lowered.step.lines)}}}

void {read}
{{
{_indented(lowered.read.lines)}}}
{extra.definitions}"""


def _signatures(lowered: Lowered) -> tuple[str, str]:
    """Return the C signatures of the functions that take a step and that read the output."""
    name, source, fixed = lowered.style.name, lowered.program.input, lowered.style.fixed
    output = f"output[{name.upper()}_OUTPUT])"
    step = f"{name}_step({name}_state *state, {_input(source)[0]})"
    if fixed and source.kind == "rows":
        step = f"{name}_step_fixed({name}_state *state, const int32_t x[{source.size}])"
    read = (
        f"{name}_scores(const {name}_state *state, int32_t"
        if fixed
        else f"{name}_read(const {name}_state *state, float"
    )
    return step, f"{read} {output}"


def _buffers(lowered: Lowered) -> str:
    upper, kind = lowered.style.name.upper(), "int32_t" if lowered.style.fixed else "float"
    text = f"static {upper}_THREAD {kind} buffer[{lowered.buffer}];\n" if lowered.buffer else ""
    return text + (f"static {upper}_THREAD int16_t narrow[{lowered.narrow}];\n" if lowered.narrow else "")


def member_text(kind: str, name: str, size: int) -> str:
    """Return the declaration of a member of a struct; a length of 0 is that of a scalar."""
    return f"    {kind} {name}[{size}];" if size else f"    {kind} {name};"


def reset_text(member: str, size: int, value: str) -> str:
    """Return the statements that set a member of a state, of this length, to its initial value."""
    return f"    for (i = 0; i < {size}; ++i) {{\n        state->{member}[i] = {value};\n    }}"


def _indented(lines: list[str]) -> str:
    return "".join(f"    {line}\n" for line in lines)
