"""The part of main.c that reads lines and numbers, as ``rekur stream`` reads them."""

from __future__ import annotations

#: reads a line, or the first 65535 bytes of a longer one
READ_LINE = r"""
static char line[65536];

/* read a line with its end; return its length, 0 at the end of the input; a longer line comes in pieces */
static size_t read_line(int *whole)
{
    size_t length = 0;
    int next = 0;
    while (length < sizeof line - 1 && next != '\n' && (next = getchar()) != EOF) {
        line[length++] = (char)next;
    }
    line[length] = '\0';
    *whole = next == '\n' || next == EOF;
    return length;
}
"""

#: cuts a line into numbers
READ_NUMBERS = r"""
#define BLANKS " \t\r\n\v\f"

static char *rest;
static const char *between;
static int listed;

static int refuse(long number, const char *got, const char *expected)
{
    fprintf(stderr, "line %ld: got '%.60s'; expected %s\n", number, got, expected);
    return 2;
}

static char *stripped(char *text)
{
    size_t length = strlen(text);
    while (length > 0 && strchr(BLANKS, text[length - 1]) != NULL) {
        text[--length] = '\0';
    }
    return text + strspn(text, BLANKS);
}

/* begin to cut numbers with blanks, or with commas, semicolons or tabs between them, or in brackets;
   give 0 for brackets that do not close and for several kinds of separators */
static int begin_numbers(char *text)
{
    const int commas = strchr(text, ',') != NULL, semicolons = strchr(text, ';') != NULL;
    const int tabs = strchr(text, '\t') != NULL;
    listed = text[strspn(text, BLANKS)] == '[';
    between = listed || commas ? "," : semicolons ? ";" : tabs ? "\t" : " \v\f";
    rest = listed || *between == ' ' ? stripped(text) : text;
    if (listed) {
        char *const last = rest + strlen(rest) - 1;
        if (*last != ']') {
            return 0;
        }
        *last = '\0';
        rest = stripped(rest + 1);
    }
    if (*rest == '\0') {
        rest = NULL;
    }
    return listed || commas + semicolons + tabs < 2;
}

/* give the next piece, NULL after the last */
static char *next_piece(void)
{
    char *const piece = rest;
    if (piece != NULL) {
        char *const end = piece + strcspn(piece, between);
        rest = *end == '\0' ? NULL : end + 1 + (*between == ' ' ? strspn(end + 1, between) : 0);
        *end = '\0';
    }
    return piece == NULL ? NULL : stripped(piece);
}

/* read a whole piece as a decimal number; return 0 if it is not one */
static int number_in(const char *piece, double *value)
{
    const char *place = piece + (*piece == '-' || (*piece == '+' && !listed));
    size_t digits = strspn(place, "0123456789");
    if (listed && (digits == 0 || (digits > 1 && *place == '0'))) {
        return 0; /* JSON has no .5 and no 05 */
    }
    place += digits;
    if (*place == '.') {
        const size_t behind = strspn(++place, "0123456789");
        place += behind;
        digits = listed ? behind : digits + behind;
    }
    if (digits > 0 && (*place == 'e' || *place == 'E')) {
        place += 1 + (place[1] == '+' || place[1] == '-');
        digits = strspn(place, "0123456789");
        place += digits;
    }
    *value = strtod(piece, NULL);
    return digits > 0 && *place == '\0';
}
"""

#: refuses a row of another length
READ_COUNT = r"""
static int refuse_count(long number, int got, int expected)
{
    fprintf(stderr, "line %ld: got %d numbers; expected %d\n", number, got, expected);
    return 2;
}
"""

#: takes a missing value too
READ_MISSING = r"""
static int is_empty(const char *text)
{
    return text[strspn(text, BLANKS)] == '\0';
}

/* read a number, or NaN where one is missing: nothing between separators, NA, N/A, NaN, null, none or ? */
static int number_or_missing(const char *piece, double *value)
{
    static const char *const words[] = {"?", "na", "n/a", "nan", "null", "none"};
    size_t k, i;
    int missing = listed ? strcmp(piece, "null") == 0 || strcmp(piece, "NaN") == 0 : *piece == '\0';
    for (k = 0; k < sizeof words / sizeof words[0] && !missing && !listed; ++k) {
        for (i = 0; piece[i] == words[k][i] || (words[k][i] >= 'a' && piece[i] == words[k][i] - 'a' + 'A'); ++i) {
            if (piece[i] == '\0') {
                missing = 1;
                break;
            }
        }
    }
    *value = missing ? strtod("nan", NULL) : 0.0;
    return missing || number_in(piece, value);
}
"""
