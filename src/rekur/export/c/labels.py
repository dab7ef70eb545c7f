"""The meaning of an export's output: labels and probabilities, a number, or the next token."""

from __future__ import annotations

from rekur._ids import PADDING, RESERVED, UNKNOWN
from rekur.export.c.constants import quoted
from rekur.export.c.source import Extra, Style
from rekur.targets import LabelTarget, NextTarget, NumberTarget, TagsTarget, Target


def answers(target: Target, style: Style) -> Extra:
    """Return the public functions that interpret the output; none for a target that C does not know.

    Args:
        target: the meaning of the output.
        style: the form of the export.
    """
    if isinstance(target, LabelTarget):
        return _classes(target.output_names, target.multi_label, style)
    if isinstance(target, TagsTarget):
        return _classes(target.output_names, False, style)
    if isinstance(target, NumberTarget):
        return _value(float(target.mean), float(target.scale), style)
    return _tokens(style) if isinstance(target, NextTarget) else Extra()


def _classes(labels: list[str], several: bool, style: Style) -> Extra:
    name, upper = style.name, style.name.upper()
    texts = "".join(f"    {quoted(label.encode())},\n" for label in labels)
    how = "each by itself" if several else "together 1"
    if several:
        body = f"    copy(probabilities, output, {len(labels)});\n    apply_sigmoid(probabilities, {len(labels)});\n"
    else:
        body = f"    copy(probabilities, output, {len(labels)});\n    softmax(probabilities, {len(labels)});\n"
    return Extra(
        uses={"copy", "apply_sigmoid" if several else "softmax"},
        declarations=f"""
/* the name of a class, 0 to {len(labels) - 1} */
const char *{name}_label(int number);

/* the probability of each class, {how} */
void {name}_probabilities(const float output[{upper}_OUTPUT], float probabilities[{upper}_OUTPUT]);
""",
        definitions=f"""
const char *{name}_label(int number)
{{
    static const char *const labels[{len(labels)}] = {{
{texts}    }};
    return labels[number];
}}

void {name}_probabilities(const float output[{upper}_OUTPUT], float probabilities[{upper}_OUTPUT])
{{
{body}}}
""",
    )


def _value(mean: float, scale: float, style: Style) -> Extra:
    name, upper = style.name, style.name.upper()
    return Extra(
        declarations=f"""
/* the number that is predicted, in the unit of the data */
double {name}_value(const float output[{upper}_OUTPUT]);
""",
        definitions=f"""
double {name}_value(const float output[{upper}_OUTPUT])
{{
    return {mean!r} + {scale!r} * (double)output[0];
}}
""",
    )


def _tokens(style: Style) -> Extra:
    name, upper = style.name, style.name.upper()
    return Extra(
        uses={"softmax", "highest", "exponential", "logarithm"},
        declarations=f"""
/* the logarithm of the probability of a token, from the output before it; before the first token take a step of 0 */
float {name}_log_probability(const float output[{upper}_OUTPUT], int32_t token);

/* draw the next token and change the seed, which must not be 0; the output is used up */
int32_t {name}_draw(float output[{upper}_OUTPUT], float temperature, uint32_t *seed);
""",
        definitions=f"""
float {name}_log_probability(const float output[{upper}_OUTPUT], int32_t token)
{{
    const float top = highest(output, {upper}_OUTPUT);
    float total = 0.0f;
    int i;
    for (i = 0; i < {upper}_OUTPUT; ++i) {{
        total += exponential(output[i] - top);
    }}
    return output[token] - top - logarithm(total);
}}

int32_t {name}_draw(float output[{upper}_OUTPUT], float temperature, uint32_t *seed)
{{
    float left;
    int i;
    output[{PADDING}] = output[{UNKNOWN}] = -FLT_MAX; /* padding and unknown are never drawn */
    for (i = {RESERVED}; i < {upper}_OUTPUT; ++i) {{
        output[i] /= temperature;
    }}
    softmax(output, {upper}_OUTPUT);
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    left = (float)(*seed >> 8) * (1.0f / 16777216.0f);
    for (i = {RESERVED}; i + 1 < {upper}_OUTPUT && left >= output[i]; ++i) {{
        left -= output[i];
    }}
    return (int32_t)i;
}}
""",
    )
