"""The text of main.c: reads lines from standard input and writes a prediction for each."""

from __future__ import annotations

from typing import Any

from rekur._ids import RESERVED, START
from rekur.export.c.constants import quoted
from rekur.export.c.main_reading import READ_COUNT, READ_LINE, READ_MISSING, READ_NUMBERS
from rekur.export.c.raw import token_texts
from rekur.export.c.source import Extra, Lowered
from rekur.features import Features, SymbolFeatures, TextFeatures
from rekur.targets import LabelTarget, NextTarget, Target

_STEPS = """    a line is a sequence of steps as numbers, and {written};
    between numbers stand blanks, or commas, semicolons or tabs, or the line is a list in brackets"""
_ROWS = """    a line is a row of numbers, and an empty line begins anew;
    between numbers stand blanks, or commas, semicolons or tabs, or the line is a list in brackets;
    NA, NaN, null, ? and nothing between two commas are missing values;
    the word stream may follow the name of the program, and changes nothing"""

#: begins to read a line of numbers, behind a mark of its encoding
BEGIN = """        char *const text = line + (number == 0 && strncmp(line, "\\357\\273\\277", 3) == 0 ? 3 : 0);
        char *piece;
        double value = 0.0;
        number += 1;
        if (!whole || strlen(line) != length) {
            return refuse(number, stripped(text), "a line of text of less than 65536 bytes");
        }
"""
CUT = """        if (!begin_numbers(text)) {
            return refuse(number, stripped(text), "numbers with one kind of separator, or a whole list");
        }
"""


def main_program(lowered: Lowered, features: Features | None, extra: Extra, target: Target) -> str:
    """Return the C program.

    Args:
        lowered: the program.
        features: of the raw input; None if main.c reads only steps.
        extra: the code around the program.
        target: the meaning of the output.
    """
    name, is_next = lowered.style.name, isinstance(target, NextTarget)
    sampling = _sampling(name, features) if is_next and features is not None else ""
    if f"{name}_push" not in extra.declarations:
        written = "one output is written for it"
        if lowered.per_step:
            written = "the output of each step is written on a line of its own"
        begins = "        previous = -1;\n" if f"{name}_tag_name" in extra.declarations else ""
        loop, usage, reading = _step_loop(lowered, begins), _STEPS.format(written=written), READ_NUMBERS
    elif isinstance(features, TextFeatures | SymbolFeatures):
        loop, usage, reading = _text_loop(name, features), _text_usage(name, features, scores_tokens=is_next), ""
    else:
        loop, usage, reading = _row_loop(name), _ROWS, READ_NUMBERS + READ_MISSING
    reading += READ_COUNT if "refuse_count" in loop else ""
    words = (["stream"] if f"{name}_push" in extra.declarations else []) + (["sample"] if sampling else [])
    others = "".join(f' && strcmp(argv[1], "{word}") != 0' for word in words)
    expected = "lines on standard input, " + (" or ".join(["no word", *words]) if words else "and no word here")
    sampled = '    if (argc > 1 && strcmp(argv[1], "sample") == 0) {\n        return sample(argc, argv);\n    }\n'
    return f"""/* reads lines from standard input:
{usage} */
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "{name}.h"

{READ_LINE}{reading}
{_telling(lowered, extra, target)}{sampling}
int main(int argc, char **argv)
{{
    if (argc > 1{others}) {{
        fprintf(stderr, "got '%.60s'; expected {expected}\\n", argv[1]);
        return 2;
    }}
{sampled if sampling else ""}{loop}    return 0;
}}
"""


def _telling(lowered: Lowered, extra: Extra, target: Target) -> str:
    """Return the function that writes the prediction of a state."""
    name, upper = lowered.style.name, lowered.style.name.upper()
    multi_label = isinstance(target, LabelTarget) and target.multi_label
    if f"{name}_tag_name" in extra.declarations:
        return f"""static int previous = -1; /* the tag before */

static void tell(const {name}_state *state)
{{
    static float output[{upper}_OUTPUT];
    int tag;
    {name}_read(state, output);
    tag = {name}_tag(output, previous);
    printf("%s\\t%.6g\\n", {name}_tag_name(tag, previous), (double){name}_tag_probability(output, tag));
    previous = tag;
    fflush(stdout);
}}
"""
    if f"{name}_label" in extra.declarations:
        names = f"""    for (k = 0; k < {upper}_OUTPUT; ++k) {{
        if (probabilities[k] >= 0.5f) {{
            printf("%s%s", several++ ? "|" : "", {name}_label(k));
        }}
    }}
"""
        single = f'    printf("%s", {name}_label(best));\n'
        body = f"""    static float probabilities[{upper}_OUTPUT];
    int best = 0, k{", several = 0" if multi_label else ""};
    {name}_read(state, output);
    {name}_probabilities(output, probabilities);
    for (k = 1; k < {upper}_OUTPUT; ++k) {{
        best = probabilities[k] > probabilities[best] ? k : best;
    }}
{names if multi_label else single}    printf("\\t%.6g\\n", (double)probabilities[best]);
"""
    elif f"{name}_value" in extra.declarations:
        body = f"""    {name}_read(state, output);
    printf("%.9g\\n", {name}_value(output));
"""
    elif isinstance(target, NextTarget) and f"{name}_push" in extra.declarations:
        return f"""static void tell(const {name}_state *state)
{{
    printf("%.9g\\n", state->log_probability);
    fflush(stdout);
}}
"""
    else:
        body = f"""    int k;
    {name}_read(state, output);
    for (k = 0; k < {upper}_OUTPUT; ++k) {{
        printf("%.9g%c", (double)output[k], k + 1 < {upper}_OUTPUT ? ' ' : '\\n');
    }}
"""
    return f"""static void tell(const {name}_state *state)
{{
    static float output[{upper}_OUTPUT];
{body}    fflush(stdout);
}}
"""


def _text_usage(name: str, features: Any, *, scores_tokens: bool) -> str:
    if _one_code(features):
        return "    a line is one code, after which a prediction is written; an empty line begins anew"
    written = "its log-probability" if scores_tokens else "its prediction"
    rows = [f"    {name}                             a line is a whole sequence, and {written} is written"]
    rows += [f"    {name} stream                      a line is an event; an empty line begins anew"]
    if scores_tokens:
        rows += [f"    {name} sample TOKENS [SEED [TEMPERATURE]]   writes a text of TOKENS tokens"]
    return "\n".join(rows)


def _one_code(features: Any) -> bool:
    return isinstance(features, SymbolFeatures) and features.form_ == "codes" and features.separator_ is None


def _text_loop(name: str, features: Any) -> str:
    live = "1" if _one_code(features) else 'argc > 1 && strcmp(argv[1], "stream") == 0'
    ending = ""
    if isinstance(features, TextFeatures) and features.tokens_ == "word":
        ending = f'            {name}_push(&state, "\\n", 1);\n'
    elif isinstance(features, SymbolFeatures) and features.form_ == "codes" and features.separator_ is not None:
        between = features.separator_.encode()
        ending = f"            {name}_push(&state, {quoted(between)}, {len(between)});\n"
    return f"""    static {name}_state state, ended;
    const int live = {live};
    size_t read;
    int whole = 1, next_whole, first = 1;
    {name}_init(&state);
    while ((read = read_line(&next_whole)) > 0) {{
        const size_t mark = first && strncmp(line, "\\357\\273\\277", 3) == 0 ? 3 : 0;
        const char *text = line + mark;
        size_t length = read - mark;
        const int begins = whole;
        first = 0;
        whole = next_whole;
        while (length > 0 && (text[length - 1] == '\\n' || text[length - 1] == '\\r')) {{
            length -= 1;
        }}
        if (live && begins && strspn(text, " \\t\\r\\n") >= length) {{
            {name}_init(&state);
            continue;
        }}
        {name}_push(&state, text, length);
        if (!whole) {{
            continue; /* the rest of a long line follows */
        }}
        if (live) {{
{ending}            ended = state;
            {name}_finish(&ended);
            tell(&ended);
        }} else {{
            {name}_finish(&state);
            tell(&state);
            {name}_init(&state);
        }}
    }}
"""


def _row_loop(name: str) -> str:
    upper = name.upper()
    return f"""    static {name}_state state;
    size_t length;
    long number = 0;
    int whole;
    {name}_init(&state);
    while ((length = read_line(&whole)) > 0) {{
        static double values[{upper}_CHANNELS];
        int count = 0;
{BEGIN}        if (is_empty(text)) {{
            {name}_init(&state);
            continue;
        }}
{CUT}        while ((piece = next_piece()) != NULL) {{
            if (!number_or_missing(piece, &value)) {{
                return refuse(number, piece, "a number, or NA for one that is missing");
            }}
            if (count < {upper}_CHANNELS) {{
                values[count] = value;
            }}
            count += 1;
        }}
        if (count != {upper}_CHANNELS) {{
            return refuse_count(number, count, {upper}_CHANNELS);
        }}
        if ({name}_push(&state, values) != 0) {{
            return refuse(number, "a value that is missing or too large", "a row that the model takes");
        }}
        tell(&state);
    }}
"""


def _step_loop(lowered: Lowered, begins: str) -> str:
    """Return the loop over lines that are whole sequences of steps: token numbers, or the numbers of rows.

    Args:
        lowered: the program.
        begins: statements at the start of each sequence.
    """
    name, source = lowered.style.name, lowered.program.input
    size = source.size
    declared, begin, end, argument = "", "", "", "(int32_t)value"
    if source.kind == "tokens":
        wrong = f"!(value >= 0.0 && value < {size}.0) || value != (double)(int32_t)value"
        expected = f"a token, a whole number in [0, {size - 1}]"
    elif source.kind == "ids":
        limits = ", ".join(f"{column}.0" for column in source.columns)
        declared = f"    static int32_t x[{size}];\n    static const double limits[{size}] = {{{limits}}};\n"
        wrong = "!(value >= 0.0 && value < limits[count]) || value != (double)(int32_t)value"
        expected = f"an id, a whole number of 0 or more, below {', '.join(map(str, source.columns))}"
    else:
        declared = f"    static float x[{size}];\n"
        wrong, expected = "!(value >= -FLT_MAX && value <= FLT_MAX)", "a number"
    tell = f"""if (++steps > {lowered.delay}) {{
                    tell(&state);
                }}"""
    taken = f"{name}_step(&state, (int32_t)value);"
    if source.kind != "tokens":
        begin, argument = "        int count = 0;\n", "x"
        kind = "int32_t" if source.kind == "ids" else "float"
        taken = f"""x[count++] = ({kind})value;
            if (count == {size}) {{
                {name}_step(&state, x);
                count = 0;
                {tell if lowered.per_step else ""}
            }}"""
        end = f"""        if (count != 0) {{
            return refuse_count(number, count, {size});
        }}
"""
    elif lowered.per_step:
        taken += f" {tell}"
    if lowered.per_step:
        begin += "        long steps = 0;\n" + ("        int ahead;\n" if lowered.delay else "")
        end += _flush(lowered, argument)
    else:
        end += "        tell(&state);\n"
    return f"""    static {name}_state state;
{declared}    size_t length;
    long number = 0;
    int whole;
    while ((length = read_line(&whole)) > 0) {{
{begin}{BEGIN}        {name}_init(&state);
{begins}{CUT}        while ((piece = next_piece()) != NULL) {{
            if (!number_in(piece, &value) || {wrong}) {{
                return refuse(number, piece, "{expected}");
            }}
            {taken}
        }}
{end}    }}
"""


def _flush(lowered: Lowered, argument: str) -> str:
    """Return the code that takes the steps of a look-ahead at the end of a line, and tells their outputs."""
    if not lowered.delay:
        return ""
    zeros = "value = 0.0;" if argument != "x" else "memset(x, 0, sizeof x);"
    return f"""        {zeros}
        for (ahead = 0; ahead < {lowered.delay}; ++ahead) {{
            {lowered.style.name}_step(&state, {argument});
            if (++steps > {lowered.delay}) {{
                tell(&state);
            }}
        }}
"""


def _sampling(name: str, features: Features) -> str:
    """Return the function that samples a text, with the text of each token."""
    texts = token_texts(features)
    upper = name.upper()
    spaced = isinstance(features, TextFeatures) and features.tokens_ == "word"
    spaced = spaced or (isinstance(features, SymbolFeatures) and features.form_ == "codes")
    writing = f"putchar(token - {RESERVED});"
    table = ""
    if texts is not None:
        rows = "".join(f"    {quoted(text)},\n" for text in texts)
        table = f"\nstatic const char *const texts[{len(texts)}] = {{\n{rows}}};\n"
        gap = "if (number > 0 && strcmp(texts[token], \"\\n\") != 0) {\n            putchar(' ');\n        }\n        "
        writing = (gap if spaced else "") + "fputs(texts[token], stdout);"
    return f"""{table}
static int sample(int argc, char **argv)
{{
    static {name}_state state;
    static float output[{upper}_OUTPUT];
    char *end[3] = {{"", "", ""}};
    const long tokens = argc > 2 ? strtol(argv[2], &end[0], 10) : -1;
    uint32_t seed = argc > 3 ? (uint32_t)strtoul(argv[3], &end[1], 10) * 2654435761u + 1u : 1u;
    const float temperature = argc > 4 ? (float)strtod(argv[4], &end[2]) : 1.0f;
    long number;
    int32_t token = {START};
    if (tokens < 0 || !(temperature >= 0.0f) || argc > 5 || *end[0] != 0 || *end[1] != 0 || *end[2] != 0) {{
        fprintf(stderr, "sample: expected a number of tokens, then a seed and a temperature if any\\n");
        return 2;
    }}
    seed = seed == 0 ? 1u : seed;
    {name}_init(&state);
    for (number = 0; number < tokens; ++number) {{
        {name}_step(&state, token);
        {name}_read(&state, output);
        token = {name}_draw(output, temperature > 0.01f ? temperature : 0.01f, &seed);
        {writing}
    }}
    putchar('\\n');
    return 0;
}}
"""
