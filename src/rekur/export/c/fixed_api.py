"""The public functions of a fixed-point export: scores as whole numbers, and the functions of every export."""

from __future__ import annotations

from rekur.export.c.source import Extra, Style
from rekur.program import Program


def fixed_functions(program: Program, style: Style) -> Extra:
    """Return the public functions around the steps and scores in whole numbers.

    Args:
        program: the exported program.
        style: the form of the export.
    """
    name, upper, size = style.name, style.name.upper(), program.input.size
    extra = Extra(
        uses={"fixed_best"},
        declarations=f"""
/* scores are whole numbers that have 16 bits after the point: {upper}_ONE stands for 1; padding's is INT32_MIN */
#define {upper}_ONE 65536

/* write the output for the sequence so far in whole numbers; this and the steps use no floating point */
void {name}_scores(const {name}_state *state, int32_t output[{upper}_OUTPUT]);

/* the index of the largest score */
int {name}_best(const int32_t output[{upper}_OUTPUT]);
""",
        definitions=f"""
int {name}_best(const int32_t output[{upper}_OUTPUT])
{{
    return fixed_best(output, {upper}_OUTPUT);
}}

void {name}_read(const {name}_state *state, float output[{upper}_OUTPUT])
{{
    static {upper}_THREAD int32_t scores[{upper}_OUTPUT];
    int i;
    {name}_scores(state, scores);
    for (i = 0; i < {upper}_OUTPUT; ++i) {{
        output[i] = scores[i] == INT32_MIN ? -FLT_MAX : (float)scores[i] * (1.0f / 65536.0f);
    }}
}}
""",
    )
    if program.input.kind == "rows":
        extra.declarations += f"""
/* take one step: a row of {size} numbers as {name}_step takes them, each times {upper}_ONE */
void {name}_step_fixed({name}_state *state, const int32_t x[{size}]);
"""
        extra.definitions += f"""
void {name}_step({name}_state *state, const float x[{size}])
{{
    int32_t row[{size}];
    int i;
    for (i = 0; i < {size}; ++i) {{
        const float value = x[i] * 65536.0f + (x[i] < 0.0f ? -0.5f : 0.5f);
        row[i] = value >= 2147483648.0f ? INT32_MAX : value > -2147483648.0f ? (int32_t)value : -INT32_MAX;
    }}
    {name}_step_fixed(state, row);
}}
"""
    return extra
