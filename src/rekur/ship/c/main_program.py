"""The text of main.c: reads lines from standard input and writes what the model says of each."""

from __future__ import annotations

from typing import Any

from rekur.features import Features, SymbolFeatures, TextFeatures
from rekur.ship.c.constants import quoted
from rekur.ship.c.raw import token_texts
from rekur.ship.c.source import Extra, Lowered

_LONGEST = 65536


def main_program(lowered: Lowered, features: Features | None, extra: Extra, multi_label: bool) -> str:
    """Return the C program.

    Args:
        lowered: the program.
        features: of the raw input; None where only steps can be given.
        extra: what stands around the program.
        multi_label: whether an item may have several labels.
    """
    name, task = lowered.style.name, lowered.program.task
    sampling = _sampling(name, features) if task == "language" and features is not None else ""
    if f"{name}_push" not in extra.declarations:
        loop, usage = (
            _token_loop(lowered),
            "    a line is a sequence of steps as numbers, and one output is written for it",
        )
    elif isinstance(features, TextFeatures | SymbolFeatures):
        loop, usage = _text_loop(name, features), _text_usage(name, task, features)
    else:
        loop, usage = (
            _row_loop(name),
            "    a line is a row of numbers, nan for one that is missing; an empty line begins anew",
        )
    arguments = "int argc, char **argv" if "argc" in loop + sampling else "void"
    sampled = '    if (argc > 2 && strcmp(argv[1], "sample") == 0) {\n        return sample(argc, argv);\n    }\n'
    return f"""/* reads lines from standard input:
{usage} */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "{name}.h"

static char line[{_LONGEST}];

{_telling(lowered, extra, multi_label)}{sampling}
int main({arguments})
{{
{sampled if sampling else ""}{loop}    return 0;
}}
"""


def _telling(lowered: Lowered, extra: Extra, multi_label: bool) -> str:
    """Return the function that writes what a state stands for."""
    name, upper, task = lowered.style.name, lowered.style.name.upper(), lowered.program.task
    if f"{name}_label" in extra.declarations:
        names = f"""    for (k = 0; k < {upper}_OUTPUT; ++k) {{
        if (probabilities[k] >= 0.5f) {{
            printf("%s%s", several++ ? "|" : "", {name}_label(k));
        }}
    }}
"""
        one = f'    printf("%s", {name}_label(best));\n'
        what = f"""    static float probabilities[{upper}_OUTPUT];
    int best = 0, k{", several = 0" if multi_label else ""};
    {name}_read(state, output);
    {name}_probabilities(output, probabilities);
    for (k = 1; k < {upper}_OUTPUT; ++k) {{
        best = probabilities[k] > probabilities[best] ? k : best;
    }}
{names if multi_label else one}    printf("\\t%.6g\\n", (double)probabilities[best]);
"""
    elif f"{name}_value" in extra.declarations:
        what = f"""    {name}_read(state, output);
    printf("%.9g\\n", {name}_value(output));
"""
    elif task == "language" and f"{name}_push" in extra.declarations:
        return f"""static void tell(const {name}_state *state)
{{
    printf("%.9g\\n", state->log_probability);
    fflush(stdout);
}}
"""
    else:
        what = f"""    int k;
    {name}_read(state, output);
    for (k = 0; k < {upper}_OUTPUT; ++k) {{
        printf("%.9g%c", (double)output[k], k + 1 < {upper}_OUTPUT ? ' ' : '\\n');
    }}
"""
    return f"""static void tell(const {name}_state *state)
{{
    static float output[{upper}_OUTPUT];
{what}    fflush(stdout);
}}
"""


def _text_usage(name: str, task: str, features: Any) -> str:
    if _one_code(features):
        return "    a line is one code, after which a prediction is written; an empty line begins anew"
    written = "its log-probability" if task == "language" else "its prediction"
    rows = [f"    {name}                             a line is a whole sequence, and {written} is written"]
    rows += [f"    {name} stream                      a line is an event; an empty line begins anew"]
    if task == "language":
        rows += [f"    {name} sample TOKENS [SEED [TEMPERATURE]]   writes a text of so many tokens"]
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
    int whole = 1, first = 1;
    {name}_init(&state);
    while (fgets(line, (int)sizeof line, stdin) != NULL) {{
        const char *text = first && strncmp(line, "\\357\\273\\277", 3) == 0 ? line + 3 : line;
        size_t length = strlen(text);
        const int begins = whole;
        first = 0;
        whole = length > 0 && text[length - 1] == '\\n';
        while (length > 0 && (text[length - 1] == '\\n' || text[length - 1] == '\\r')) {{
            length -= 1;
        }}
        if (live && begins && strspn(text, " \\t\\r\\n") >= length) {{
            {name}_init(&state);
            continue;
        }}
        {name}_push(&state, text, length);
        if (!whole && !feof(stdin)) {{
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
    long number = 0;
    {name}_init(&state);
    while (fgets(line, (int)sizeof line, stdin) != NULL) {{
        static double values[{upper}_CHANNELS];
        const char *place = line;
        int count = 0;
        number += 1;
        while (*(place += strspn(place, " ,\\t\\r\\n[]")) != '\\0') {{
            char *end;
            const double value = strtod(place, &end);
            if (end == place) {{
                count = -1;
                break;
            }}
            if (count < {upper}_CHANNELS) {{
                values[count] = value;
            }}
            count += 1;
            place = end;
        }}
        if (count == 0) {{
            {name}_init(&state);
        }} else if (count != {upper}_CHANNELS || {name}_push(&state, values) != 0) {{
            fprintf(stderr, "line %ld: got no row that can be taken; expected %d numbers\\n", number, {upper}_CHANNELS);
            return 1;
        }} else {{
            tell(&state);
        }}
    }}
"""


def _token_loop(lowered: Lowered) -> str:
    name, size = lowered.style.name, lowered.program.input.size
    tokens = lowered.program.input.kind == "tokens"
    wrong = (
        f"end == place || !(value >= 0.0 && value < {size}.0) || value != (double)(int32_t)value"
        if tokens
        else "end == place"
    )
    taken = f"{name}_step(&state, (int32_t)value);"
    rows = f"""x[count++] = (float)value;
            if (count == {size}) {{
                {name}_step(&state, x);
                count = 0;
            }}"""
    given = "" if tokens else f"    static float x[{size}];\n    int count = 0;\n"
    return f"""    static {name}_state state;
{given}    while (fgets(line, (int)sizeof line, stdin) != NULL) {{
        const char *place = line;
        if (strchr(line, '\\n') == NULL && !feof(stdin)) {{
            fprintf(stderr, "got a line of more than %d bytes; expected a shorter one\\n", (int)sizeof line - 2);
            return 1;
        }}
        {name}_init(&state);
        while (*(place += strspn(place, " ,\\t\\r\\n[]")) != '\\0') {{
            char *end;
            const double value = strtod(place, &end);
            if ({wrong}) {{
                fprintf(stderr, "got %s; expected numbers of tokens\\n", place);
                return 1;
            }}
            {taken if tokens else rows}
            place = end;
        }}
        tell(&state);
    }}
"""


def _sampling(name: str, features: Features) -> str:
    """Return the function that lets a language model write, with the text of its tokens."""
    texts = token_texts(features)
    upper = name.upper()
    spaced = isinstance(features, TextFeatures) and features.tokens_ == "word"
    spaced = spaced or (isinstance(features, SymbolFeatures) and features.form_ == "codes")
    writing = "putchar(token - 2);"
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
    const long tokens = strtol(argv[2], NULL, 10);
    uint32_t seed = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) * 2654435761u + 1u : 1u;
    const float temperature = argc > 4 ? (float)atof(argv[4]) : 1.0f;
    long number;
    int32_t token = 0;
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
