"""The meaning of an export's output: labels and probabilities, a number, or the next token."""

from __future__ import annotations

from typing import Any

from rekur._ids import PADDING, RESERVED, UNKNOWN
from rekur.errors import InputError, describe
from rekur.export.c.constants import quoted
from rekur.export.c.source import Extra, Style
from rekur.export.onnx.manifest import prediction
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
        return _tags(target, style)
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


def _tags(target: TagsTarget, style: Style) -> Extra:
    """Return the functions of labels, and where tags depend on the tag before them those that choose and name a tag.

    Raises:
        InputError: a tag is not certain before the next step.
    """
    extra, told = _classes(target.output_names, False, style), prediction(target)
    if told["next"] is None and not told["renamed"] and told["groups"] == list(range(target.size)):
        return extra
    if len(told["last"]) < target.size:
        fix = "Train with --causal, or export with --to onnx."
        raise InputError(describe("tags", target.inner.name, "a scheme whose tags are certain at each step", fix))
    extra.add(_tag_functions(told, target.size, style))
    return extra


def _tag_functions(told: dict[str, Any], size: int, style: Style) -> Extra:
    name, upper = style.name, style.name.upper()
    return Extra(
        uses={"copy", "softmax"},
        declarations=f"""
/* the tag of a step: the best by its output that may follow the tag before it, which is -1 at the start */
int {name}_tag(const float output[{upper}_OUTPUT], int previous);

/* the name of a tag behind another one */
const char *{name}_tag_name(int tag, int previous);

/* the probability of that name */
float {name}_tag_probability(const float output[{upper}_OUTPUT], int tag);
""",
        definitions=_tag_tables(told, size, name)
        + f"""
int {name}_tag(const float output[{upper}_OUTPUT], int previous)
{{
    int tag, best = -1;
    for (tag = 0; tag < {upper}_OUTPUT; ++tag) {{
        if ({name}_legal[previous + 1][tag] && (best < 0 || output[tag] > output[best])) {{
            best = tag;
        }}
    }}
    return best;
}}

float {name}_tag_probability(const float output[{upper}_OUTPUT], int tag)
{{
    static {upper}_THREAD float shares[{upper}_OUTPUT];
    float sum = 0.0f;
    int k;
    copy(shares, output, {size});
    softmax(shares, {size});
    for (k = 0; k < {upper}_OUTPUT; ++k) {{
        sum += {name}_groups[k] == {name}_groups[tag] ? shares[k] : 0.0f;
    }}
    return sum < 1.0f ? sum : 1.0f;
}}
""",
    )


def _tag_tables(told: dict[str, Any], size: int, name: str) -> str:
    """Return which tag may follow which, which outputs share a name, and the function of names."""
    follows = told["next"] or [range(size)] * size
    rows = [[int(tag in legal) for tag in range(size)] for legal in (told["first"], *follows)]
    legal = "".join(f"    {{{', '.join(map(str, row))}}},\n" for row in rows)
    names = "".join(f"    {quoted(str(text).encode())},\n" for text in told["names"])
    renamed = "".join(
        f"    if (previous == {previous} && tag == {tag}) {{\n        return {quoted(str(text).encode())};\n    }}\n"
        for previous, tag, text in told["renamed"]
    )
    return f"""
/* whether a tag (column) may be the first (row 0) or stand behind a tag (the rows from 1 on) */
static const unsigned char {name}_legal[{size + 1}][{size}] = {{
{legal}}};

/* outputs that share a number have one name */
static const int {name}_groups[{size}] = {{{", ".join(map(str, told["groups"]))}}};

const char *{name}_tag_name(int tag, int previous)
{{
    static const char *const names[{size}] = {{
{names}    }};
    (void)previous;
{renamed}    return names[tag];
}}
"""


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
