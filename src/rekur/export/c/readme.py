"""The README.md and the Makefile of an export."""

from __future__ import annotations

from typing import Any


def makefile(name: str) -> str:
    """Return the Makefile."""
    return f"""CC ?= cc
CFLAGS ?= -O3
CFLAGS += -std=c99 -Wall -Wextra -Wpedantic -Wconversion

{name}: main.c {name}.c {name}.h
\t$(CC) $(CFLAGS) main.c {name}.c -o $@

.PHONY: clean
clean:
\trm -f {name}
"""


def readme(report: dict[str, Any], raw: bool, why_not: str, answers: str) -> str:
    """Return the README.md.

    Args:
        report: the content of ``manifest.json``.
        raw: whether the code reads raw input.
        why_not: why it does not.
        answers: ``label``, ``value``, ``token`` or empty.
    """
    name, upper = report["name"], report["name"].upper()
    code = report["code_bytes"]
    rows = [
        ("flash: constants", f"{report['constant_bytes']:,} bytes"),
        ("flash: code", f"{code:,} bytes ({report['code_measured_with']})" if code else "not measured"),
        ("RAM: state of a stream", f"{report['state_bytes']:,} bytes"),
        ("RAM: buffer that all streams share", f"{report['buffer_bytes']:,} bytes"),
        ("RAM: output, where the caller wants it", f"{report['output_bytes']:,} bytes"),
        ("multiply-adds of a step", f"{report['multiply_adds_step']:,}"),
        ("multiply-adds of reading the output", f"{report['multiply_adds_read']:,}"),
    ]
    more = _doubles(name) if raw and report["input"]["kind"] == "rows" else ""
    if why_not:
        more = f"\nRaw input cannot be given: {why_not}. Give steps to `{name}_step`.\n"
    if report["per_step"]:
        more += _each_step(name, upper, report)
    table = "".join(f"| {quantity} | {size} |\n" for quantity, size in rows)
    return f"""# {name}

A recurrent model ({report["task"]}) in C99: one header, one source, no allocation, no library at all.

| what | size |
| --- | --- |
{table}
Weights are {report["precision"]}{", with a scale a row" if report["precision"] == "int8" else ""}. {proof_text(report)}
{_fixed(name, upper, report) if report["activations"] == "fixed" else ""}
## Use

```c
#include "{name}.h"

static {name}_state state;
static float output[{upper}_OUTPUT];
{_labelled(upper, answers)}
{name}_init(&state);
{_loop(name, report, raw)}
{name}_read(&state, output);
{_asked(name, answers)}```

`make` builds `{name}`, which reads lines from standard input; main.c says how. Several streams are several states.
The buffer is shared: use the model from one thread at a time, or compile with `-D{upper}_THREAD=_Thread_local` (C11).
{more}"""


def _loop(name: str, report: dict[str, Any], raw: bool) -> str:
    if not raw:
        step = {"tokens": "token", "ids": "ids"}.get(report["input"]["kind"], "row")
        then = ", then read its output" if report["per_step"] else ""
        return f"{name}_step(&state, {step}); /* for each step{then} */"
    if report["input"]["kind"] == "rows":
        return f"{name}_push(&state, row); /* for each row of raw numbers */"
    return f"{name}_push(&state, text, length); /* for each piece of the text, in UTF-8 */\n{name}_finish(&state);"


def _doubles(name: str) -> str:
    return f"""
`{name}_push` scales rows in double precision, as training does. Where a device computes that in software, and it takes
too long, give `{name}_step` rows that are scaled already.
"""


def _each_step(name: str, upper: str, report: dict[str, Any]) -> str:
    late = ""
    if report["delay"]:
        late = (
            f" It comes {report['delay']} steps late ({upper}_DELAY): the first {report['delay']} are not valid, and a"
        )
        late += f" sequence ends with {report['delay']} steps of zeros."
    return f"""
`{name}_read` gives the output of one step, so read it after each.{late} Of tags that may not
follow each other `{name}_tag` chooses the best that may, and `{name}_tag_name` names it; both take the tag before it,
-1 at the start of a sequence.
"""


def _labelled(upper: str, answers: str) -> str:
    return f"static float probabilities[{upper}_OUTPUT];\n" if answers == "label" else ""


def _asked(name: str, answers: str) -> str:
    if answers == "label":
        return f"{name}_probabilities(output, probabilities); /* of {name}_label(0), {name}_label(1), … */\n"
    if answers == "value":
        return f"{name}_value(output);\n"
    return f"{name}_log_probability(output, token);\n" if answers == "token" else ""


def _fixed(name: str, upper: str, report: dict[str, Any]) -> str:
    rows = report["input"]["kind"] == "rows"
    row_steps = f" Rows of whole numbers, each times {upper}_ONE, go to `{name}_step_fixed`." if rows else ""
    step = f"{name}_step_fixed" if rows else f"{name}_step"
    return f"""
## Fixed point

`{step}` and `{name}_scores` use no floating point. Scores are whole numbers with 16 bits after the point:
{upper}_ONE stands for 1; `{name}_best` gives the place of the largest.{row_steps}

`{name}_read` gives the same scores as floating point. Of the buffer {report["output_bytes"]:,} bytes are for it alone;
with -ffunction-sections -fdata-sections -Wl,--gc-sections a linker leaves out both where it is not called.

- States that stay within a known bound, as those of tanh and sigmoid do, are of 16 bits, all others of 32.
- Rows of a step are of 32 bits with 16 after the point, and stop at 32767 in size: scale larger inputs down.
- A product of int8 weights with numbers of 16 bits adds up in 32 bits. It cannot overflow: the sizes of the weights
  of a row add up to less than 65536, and a longer row is cut in pieces. Its scale is a whole number of 32 bits and a
  shift; their product has 64 bits.
- tanh and sigmoid are read from a table of 257 numbers, within 4e-5.
"""


def proof_text(report: dict[str, Any]) -> str:
    """Return what was proved of an export, as sentences."""
    if report["difference"] is None:
        return "No C compiler was there when it was written: it has not been run yet."
    text = f"Run against the model on {report['sequences']} sequences before it was kept: the outputs differ by "
    text += f"{report['difference']:.2g} at most"
    if report["difference_of_rounding"] is not None:
        text += f"; what rounding changes is {report['difference_of_rounding']:.2g} at most"
    if report["changed_answers"] is not None:
        text += f", and the answer changes for {report['changed_answers']}"
    return f"{text} (where outputs are above 1, as a share of the largest)."
