/* part: take_byte: take_character */
/* takes a byte of UTF-8; invalid bytes become U+FFFD */
static void take_byte(live_stream *state, uint8_t byte)
{
    if (state->text_left > 0 && (byte & 0xc0u) == 0x80u) {
        state->text_code = state->text_code << 6 | (byte & 0x3fu);
        if (--state->text_left == 0) {
            const uint32_t code = state->text_code;
            const int valid = code >= state->text_least && code <= 0x10ffffu && (code < 0xd800u || code > 0xdfffu);
            take_character(state, valid ? code : 0xfffdu);
        }
        return;
    }
    if (state->text_left > 0) {
        state->text_left = 0;
        take_character(state, 0xfffdu);
    }
    if (byte < 0x80u) {
        take_character(state, byte);
    } else if (byte >= 0xc2u && byte <= 0xf4u) {
        state->text_left = byte < 0xe0u ? 1 : byte < 0xf0u ? 2 : 3;
        state->text_code = byte & (byte < 0xe0u ? 0x1fu : byte < 0xf0u ? 0x0fu : 0x07u);
        state->text_least = byte < 0xe0u ? 0x80u : byte < 0xf0u ? 0x800u : 0x10000u;
    } else {
        take_character(state, 0xfffdu);
    }
}

/* part: end_bytes: take_character */
/* a character that is cut off at the end becomes U+FFFD */
static void end_bytes(live_stream *state)
{
    if (state->text_left > 0) {
        state->text_left = 0;
        take_character(state, 0xfffdu);
    }
}

/* part: look_up */
/* the value of a character in a table of runs: that of its run, which rises with the character if `rises` is 1 */
static uint32_t look_up(const character_run *runs, int count, uint32_t code, uint32_t otherwise)
{
    int low = 0, high = count;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (runs[middle].last < code) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == count || code < runs[low].first) {
        return otherwise;
    }
    return runs[low].value + (code - runs[low].first) * runs[low].rises;
}

/* part: take_character (char): look_up take_token */
/* each character is a token; 0 means a skipped character */
static void take_character(live_stream *state, uint32_t code)
{
    const uint32_t token = look_up(character_tokens, CHARACTER_TOKENS, code, 1);
    if (token != 0) {
        take_token(state, (int32_t)token);
    }
}

/* part: take_hash: take_token */
/* a word is looked up by its 64-bit hash; the hashes of all words of the vocabulary differ */
static void take_hash(live_stream *state, uint64_t hash)
{
    int low = 0, high = WORDS;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (word_hashes[middle] < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    take_token(state, low < WORDS && word_hashes[low] == hash ? (int32_t)word_tokens[low] : 1);
}

/* part: add_to_hash */
static uint64_t add_to_hash(uint64_t hash, uint32_t code)
{
    hash = (hash ^ code) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

/* part: end_word: take_hash */
static void end_word(live_stream *state)
{
    const uint64_t hash = state->text_hash;
    const int is_word = state->text_length > 0;
    state->text_hash = 0;
    state->text_length = 0;
    if (is_word) {
        take_hash(state, hash);
    }
}

/* part: grow_word (folded): look_up add_to_hash end_word */
/* a word of LONGEST characters ends; the rest is another */
static void grow_word(live_stream *state, uint32_t code)
{
    state->text_hash = add_to_hash(state->text_hash, look_up(character_folds, CHARACTER_FOLDS, code, code));
    if (++state->text_length == LONGEST) {
        end_word(state);
    }
}

/* part: grow_word (plain): add_to_hash end_word */
/* a word of LONGEST characters ends; the rest is another */
static void grow_word(live_stream *state, uint32_t code)
{
    state->text_hash = add_to_hash(state->text_hash, code);
    if (++state->text_length == LONGEST) {
        end_word(state);
    }
}

/* part: take_character (spaces): look_up grow_word */
/* words are separated by spaces */
static void take_character(live_stream *state, uint32_t code)
{
    if (look_up(spaces, SPACES, code, 0) == 0) {
        grow_word(state, code);
        return;
    }
    end_word(state);
    if (LINES && code == 10) {
        grow_word(state, code);
        end_word(state);
    }
}

/* part: class_of */
/* the kinds of a character: the last entry whose character is not after it, character and kinds in one number */
static uint32_t class_of(uint32_t code)
{
    int low = 0, high = CHARACTER_CLASSES - 1;
    while (low < high) {
        const int middle = low + (high - low + 1) / 2;
        if (character_classes[middle] >> CLASS_BITS <= code) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return character_classes[low] & ((1u << CLASS_BITS) - 1u);
}

/* part: take_character (marks): class_of grow_word begin_word goes_on */
/* a word is letters, digits and accents, with single hyphens, apostrophes and points inside, or a picture, or a mark */
static void take_character(live_stream *state, uint32_t code)
{
    const uint32_t kinds = class_of(code);
    if (!goes_on(state, code, kinds)) {
        const uint32_t held = state->text_held;
        state->text_held = 0;
        end_word(state);
        if (held != 0) {
            begin_word(state, held, class_of(held));
            if (state->text_length > 0 && goes_on(state, code, kinds)) {
                return;
            }
            end_word(state);
        }
        begin_word(state, code, kinds);
    }
}

/* part: begin_word: grow_word */
static void begin_word(live_stream *state, uint32_t code, uint32_t kinds)
{
    if (kinds & IS_DROPPED) {
        if (LINES && code == 10) {
            grow_word(state, code);
            end_word(state);
        }
        return;
    }
    state->text_kind = kinds & IS_FLAG ? IN_FLAG : kinds & IS_PICTURE ? IN_PICTURE
                       : kinds & (IS_WORD | IS_ACCENT | IS_JOINER) ? IN_WORD : IN_UNSPACED;
    state->text_digit = (kinds & IS_DIGIT) != 0;
    grow_word(state, code);
    if (state->text_kind == IN_UNSPACED && !(kinds & IS_UNSPACED)) {
        end_word(state);
    }
}

/* part: goes_on: grow_word */
/* adds a character to the current word; returns 0 if it does not belong to it */
static int goes_on(live_stream *state, uint32_t code, uint32_t kinds)
{
    const uint32_t held = state->text_held, inside = IS_WORD | IS_ACCENT | IS_JOINER;
    const int kind = state->text_kind;
    int joins = 0, belongs;
    if (state->text_length == 0) {
        return 0;
    }
    if (kind == IN_WORD) {
        belongs = held == '.' || held == ',' ? (kinds & IS_DIGIT) != 0 : (kinds & inside) != 0;
        joins = (kinds & IS_HYPHEN) != 0 || ((code == '.' || code == ',') && state->text_digit);
    } else if (kind == IN_PICTURE) {
        belongs = (kinds & (held != 0 ? IS_PICTURE : IS_ENDING)) != 0;
        joins = code == 0x200du;
    } else {
        belongs = (kinds & (kind == IN_FLAG ? IS_FLAG : IS_ACCENT)) != 0;
    }
    if (belongs) {
        state->text_held = 0;
        if (held != 0) {
            grow_word(state, held);
        }
        state->text_digit = (kinds & IS_DIGIT) != 0;
        grow_word(state, code);
        if (kind == IN_FLAG) {
            end_word(state);
        }
        return 1;
    }
    if (joins && held == 0 && state->text_length + 2 <= LONGEST) {
        state->text_held = code;
        return 1;
    }
    return 0;
}

/* part: end_text (char): end_bytes */
static void end_text(live_stream *state)
{
    end_bytes(state);
}

/* part: end_text (spaces): end_bytes end_word */
static void end_text(live_stream *state)
{
    end_bytes(state);
    end_word(state);
}

/* part: end_text (marks): end_bytes end_word begin_word */
static void end_text(live_stream *state)
{
    uint32_t held;
    end_bytes(state);
    held = state->text_held;
    state->text_held = 0;
    end_word(state);
    if (held != 0) {
        begin_word(state, held, class_of(held));
        end_word(state);
    }
}

/* part: take_character (codes): look_up add_to_hash take_hash */
/* codes are separated by separators; the space around them is removed */
static void take_character(live_stream *state, uint32_t code)
{
    if (code == SEPARATOR) {
        if (state->text_length > 0) {
            take_hash(state, state->text_hash);
        }
        state->text_hash = state->text_ahead = 0;
        state->text_length = 0;
    } else if (look_up(spaces, SPACES, code, 0) == 0) {
        state->text_hash = state->text_ahead = add_to_hash(state->text_ahead, code);
        state->text_length = 1;
    } else if (state->text_length > 0) {
        state->text_ahead = add_to_hash(state->text_ahead, code);
    }
}

/* part: take_character (blanks): look_up add_to_hash take_hash */
/* codes are separated by blanks */
static void take_character(live_stream *state, uint32_t code)
{
    if (look_up(spaces, SPACES, code, 0) == 0) {
        state->text_hash = add_to_hash(state->text_hash, code);
        state->text_length = 1;
    } else {
        if (state->text_length > 0) {
            take_hash(state, state->text_hash);
        }
        state->text_hash = 0;
        state->text_length = 0;
    }
}

/* part: end_text (blanks): end_bytes take_character */
static void end_text(live_stream *state)
{
    end_bytes(state);
    take_character(state, ' ');
}

/* part: end_text (codes): end_bytes */
static void end_text(live_stream *state)
{
    end_bytes(state);
    take_character(state, SEPARATOR);
}

/* part: take_character (code): add_to_hash */
static void take_character(live_stream *state, uint32_t code)
{
    state->text_hash = add_to_hash(state->text_hash, code);
}

/* part: end_text (code): end_bytes take_hash */
static void end_text(live_stream *state)
{
    const uint64_t hash = state->text_hash;
    end_bytes(state);
    state->text_hash = 0;
    take_hash(state, hash);
}
