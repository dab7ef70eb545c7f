/* part: fixed_bend: fixed_tangent_table */
/* the hyperbolic tangent of a number with 17 bits after the point, with 15 bits: between two entries of a table, 32 of
   them for each 1 on the axis, and what the curve has more than the line: y'' = -2 y (1 - y y) */
static int32_t fixed_bend(uint32_t size)
{
    const int32_t part = (int32_t)(size & 4095u);
    int32_t low, y, bent;
    if (size >= (uint32_t)8 << 17) {
        return 32768;
    }
    low = fixed_tangent_table[size >> 12];
    y = low * 2048 + (fixed_tangent_table[(size >> 12) + 1u] - low) * (part >> 1);
    bent = ((low * ((32768 * 32768 - low * low) >> 15)) >> 15) * ((part * (4096 - part)) >> 8);
    return (y + (bent >> 15) + 1024) >> 11;
}

/* part: fixed_tanh: fixed_bend fixed_size */
/* of a number with 16 bits after the point, with 15 */
static int32_t fixed_tanh(int32_t x)
{
    const uint32_t size = fixed_size(x);
    const int32_t y = fixed_bend(size >= (uint32_t)8 << 16 ? (uint32_t)8 << 17 : size << 1);
    return x < 0 ? -y : y;
}

/* part: fixed_sigmoid: fixed_bend fixed_size */
/* of a number with 16 bits after the point, with 15 */
static int32_t fixed_sigmoid(int32_t x)
{
    const int32_t y = (32768 - fixed_bend(fixed_size(x))) >> 1;
    return x < 0 ? y : 32768 - y;
}

/* part: fixed_exponential: fixed_power_table */
/* of a number of 0 or less whose size is given with 16 bits after the point, with 30: 2^-k times an entry of a table of
   2^(-i/32), times what is left */
static uint32_t fixed_exponential(uint32_t size)
{
    const uint64_t power = ((uint64_t)size * 24204406u) >> 8;
    const uint32_t k = (uint32_t)(power >> 32), rest = (uint32_t)power & 0x7ffffffu;
    uint64_t r, y;
    if (k > 31u) {
        return 0;
    }
    r = ((uint64_t)rest * 744261118u) >> 32; /* ln 2: with 30 bits */
    y = ((uint64_t)1 << 30) - r + ((r * r) >> 31) - ((((r * r) >> 30) * r) / 6u >> 30);
    y = (y * fixed_power_table[(uint32_t)power >> 27] + ((uint64_t)1 << 29)) >> 30;
    return (uint32_t)((y + (((uint64_t)1 << k) >> 1)) >> k);
}

/* part: fixed_share */
/* a / (a + b), with 30 bits after the point */
static int32_t fixed_share(uint32_t a, uint32_t b)
{
    return (int32_t)(((uint64_t)a << 30) / ((uint64_t)a + b));
}

/* part: fixed_logarithm */
/* of a number of 1 or more that has 30 bits after the point, with 16: its power of two, then bit after bit of the rest */
static int32_t fixed_logarithm(uint64_t x)
{
    uint64_t found;
    uint32_t binary = 0;
    int bit;
    while (x >= (uint64_t)1 << 31) {
        x = (x + 1u) >> 1;
        binary += (uint32_t)1 << 20;
    }
    for (bit = 19; bit >= 0; --bit) {
        x = (x * x) >> 30;
        if (x >= (uint64_t)1 << 31) {
            x >>= 1;
            binary |= (uint32_t)1 << bit;
        }
    }
    found = (uint64_t)binary * 2977044472u; /* ln 2, with 32 bits; that of binary is 20 */
    return (int32_t)((found + ((uint64_t)1 << 35)) >> 36);
}

/* part: fixed_root */
/* the square root, rounded down */
static uint32_t fixed_root(uint64_t x)
{
    uint64_t root = 0, bit = (uint64_t)1 << 62;
    while (bit > 0) {
        if (x >= root + bit) {
            x -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
        bit >>= 2;
    }
    return (uint32_t)root;
}

/* part: fixed_normalise: fixed_down fixed_fit fixed_root fixed_size */
/* layer normalization with gains; epsilon has 32 bits after the point */
static void fixed_normalise(int32_t *y, int size, uint64_t epsilon, const int16_t *gain, int gain_bits)
{
    int64_t total = 0, scale;
    uint64_t spread = 0;
    uint32_t seen = 0;
    int lost = 0, up = 0, i;
    for (i = 0; i < size; ++i) {
        total += y[i];
    }
    total = (total < 0 ? total - size / 2 : total + size / 2) / size;
    for (i = 0; i < size; ++i) {
        y[i] = fixed_fit(y[i] - total);
        seen |= fixed_size(y[i]);
    }
    while ((seen >> lost) >= (uint32_t)1 << 24) {
        lost += 1;
    }
    for (i = 0; i < size; ++i) {
        const uint64_t own = fixed_size(y[i]) >> lost;
        spread += own * own;
    }
    spread = spread / (uint64_t)size + (epsilon >> (2 * lost));
    spread = spread > 0u ? spread : 1u;
    while (spread < (uint64_t)1 << 60) {
        spread <<= 2;
        up += 1;
    }
    scale = (int64_t)(((uint64_t)1 << 61) / fixed_root(spread));
    for (i = 0; i < size; ++i) {
        const int64_t own = lost > 0 ? fixed_down(y[i], lost) : y[i];
        y[i] = fixed_fit(fixed_down(fixed_down(own * scale, 45 - up) * gain[i], gain_bits));
    }
}

/* part: fixed_inner: fixed_down fixed_fit */
static int32_t fixed_inner(const int16_t *a, const int32_t *x, int size, int bits)
{
    int64_t total = 0;
    int i;
    for (i = 0; i < size; ++i) {
        total += (int64_t)a[i] * x[i];
    }
    return fixed_fit(fixed_down(total, bits));
}

/* part: fixed_apply_relu */
static void fixed_apply_relu(int32_t *y, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = y[i] < 0 ? 0 : y[i];
    }
}

/* part: fixed_apply_tanh: fixed_tanh */
/* with 15 bits after the point */
static void fixed_apply_tanh(int32_t *y, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = fixed_tanh(y[i]);
    }
}

/* part: fixed_apply_sigmoid: fixed_sigmoid */
/* with 15 bits after the point */
static void fixed_apply_sigmoid(int32_t *y, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = fixed_sigmoid(y[i]);
    }
}

/* part: fixed_highest */
static int32_t fixed_highest(const int32_t *x, int size)
{
    int32_t top = x[0];
    int i;
    for (i = 1; i < size; ++i) {
        top = x[i] > top ? x[i] : top;
    }
    return top;
}

/* part: fixed_softmax: fixed_exponential fixed_highest */
/* softmax */
static void fixed_softmax(int32_t *y, int size)
{
    const int32_t top = fixed_highest(y, size);
    uint64_t total = 0;
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = (int32_t)fixed_exponential((uint32_t)top - (uint32_t)y[i]);
        total += (uint32_t)y[i];
    }
    for (i = 0; i < size; ++i) {
        y[i] = (int32_t)((((uint64_t)(uint32_t)y[i] << 16) + total / 2u) / total);
    }
}

/* part: fixed_log_softmax: fixed_exponential fixed_highest fixed_logarithm fixed_fit */
/* logarithm of the softmax */
static void fixed_log_softmax(int32_t *y, int size)
{
    const int32_t top = fixed_highest(y, size);
    uint64_t total = 0;
    int64_t less;
    int i;
    for (i = 0; i < size; ++i) {
        total += fixed_exponential((uint32_t)top - (uint32_t)y[i]);
    }
    less = (int64_t)top + fixed_logarithm(total);
    for (i = 0; i < size; ++i) {
        y[i] = fixed_fit(y[i] - less);
    }
}

/* part: fixed_shift: fixed_copy */
/* removes the oldest step of a window and appends a new one */
static void fixed_shift(int32_t *before, const int32_t *x, int steps, int size)
{
    int i;
    for (i = 0; i < (steps - 1) * size; ++i) {
        before[i] = before[i + size];
    }
    fixed_copy(before + (steps - 1) * size, x, size);
}

/* part: fixed_shift_16: fixed_convert fixed_fit_16 */
/* the same with as many bits more after the point, in 16 bits */
static void fixed_shift_16(int16_t *before, const int32_t *x, int more, int steps, int size)
{
    int i;
    for (i = 0; i < (steps - 1) * size; ++i) {
        before[i] = before[i + size];
    }
    before += (steps - 1) * size;
    for (i = 0; i < size; ++i) {
        before[i] = fixed_fit_16(fixed_convert(x[i], more));
    }
}

/* part: fixed_approach: fixed_down fixed_fit */
/* moves numbers by a share, which has 30 bits after the point, towards x; they have as many bits more than x */
static void fixed_approach(int32_t *y, const int32_t *x, int more, int32_t share, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        const int64_t way = fixed_fit((int64_t)x[i] * ((int64_t)1 << more)) - (int64_t)y[i];
        y[i] = fixed_fit(y[i] + fixed_down(way * share, 30));
    }
}

/* part: fixed_approach_long: fixed_down */
/* the same for numbers that have 24 bits more than x, in 64: of however many steps, none is lost to rounding */
static void fixed_approach_long(int64_t *y, const int32_t *x, int32_t share, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] += fixed_down(((int64_t)x[i] - fixed_down(y[i], 24)) * share, 6);
    }
}

/* part: fixed_from_long: fixed_down fixed_fit */
/* such numbers with 16 bits after the point */
static void fixed_from_long(int32_t *y, const int64_t *x, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = fixed_fit(fixed_down(x[i], 24));
    }
}

/* part: fixed_count */
/* counts a step, and returns its share of a mean, with 30 bits after the point */
static int32_t fixed_count(uint32_t *count)
{
    *count += *count < UINT32_MAX;
    return (int32_t)((((uint64_t)1 << 30) + *count / 2u) / *count);
}

/* part: fixed_take_largest */
static void fixed_take_largest(int32_t *largest, uint32_t *count, const int32_t *x, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        largest[i] = *count == 0 || x[i] > largest[i] ? x[i] : largest[i];
    }
    *count = 1;
}

/* part: fixed_take_largest_16 */
static void fixed_take_largest_16(int16_t *largest, uint32_t *count, const int16_t *x, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        largest[i] = *count == 0 || x[i] > largest[i] ? x[i] : largest[i];
    }
    *count = 1;
}

/* part: fixed_weigh: fixed_exponential fixed_fit */
/* weighs a step, and returns its share of a mean whose weights are a softmax, with 30 bits after the point; their
   largest logarithm and their sum are kept, both with 16 */
static int32_t fixed_weigh(uint32_t *mass, int32_t *top, int32_t score)
{
    const int32_t highest_score = *mass > 0 && *top > score ? *top : score;
    const uint64_t old = fixed_exponential((uint32_t)highest_score - (uint32_t)*top);
    const uint32_t share = fixed_exponential((uint32_t)highest_score - (uint32_t)score);
    int32_t part;
    *mass = (uint32_t)((*mass * old) >> 30) + (share >> 14);
    *top = highest_score;
    part = (int32_t)(((uint64_t)share << 16) / *mass);
    if (*mass >= (uint32_t)1 << 31) { /* half of all weights, and so their logarithms */
        *mass >>= 1;
        *top = fixed_fit((int64_t)*top + 45426);
    }
    return part;
}

/* part: fixed_best */
/* the index of the largest */
static int fixed_best(const int32_t *x, int size)
{
    int best = 0, i;
    for (i = 1; i < size; ++i) {
        best = x[i] > x[best] ? i : best;
    }
    return best;
}
