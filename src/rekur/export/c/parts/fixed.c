/* part: fixed_matrix */
/* a matrix of 8-bit numbers in row-major order; each row has a factor, a whole number */
typedef struct { const int8_t *weight; const int32_t *factor; int columns; } fixed_matrix;

/* part: fixed_down */
/* x / 2^bits, rounded to the nearest; bits above 0 */
static int64_t fixed_down(int64_t x, int bits)
{
    x += (int64_t)1 << (bits - 1);
    return x < 0 ? ~(~x >> bits) : x >> bits;
}

/* part: fixed_fit */
/* the nearest 32-bit number above INT32_MIN */
static int32_t fixed_fit(int64_t x)
{
    x = x > INT32_MAX ? INT32_MAX : x;
    return (int32_t)(x < -INT32_MAX ? -INT32_MAX : x);
}

/* part: fixed_fit_16 */
/* the nearest 16-bit number */
static int16_t fixed_fit_16(int32_t x)
{
    x = x > INT16_MAX ? INT16_MAX : x;
    return (int16_t)(x < INT16_MIN ? INT16_MIN : x);
}

/* part: fixed_size */
/* the absolute value */
static uint32_t fixed_size(int32_t x)
{
    return x < 0 ? 0u - (uint32_t)x : (uint32_t)x;
}

/* part: fixed_convert: fixed_down fixed_fit */
/* a number with as many bits more after the point, or less where that is below 0 */
static int32_t fixed_convert(int32_t x, int more)
{
    return more < 0 ? fixed_fit(fixed_down(x, -more)) : fixed_fit((int64_t)x * ((int64_t)1 << more));
}

/* part: fixed_zero */
static void fixed_zero(int32_t *y, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = 0;
    }
}

/* part: fixed_copy */
static void fixed_copy(int32_t *y, const int32_t *x, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = x[i];
    }
}

/* part: fixed_copy_16 */
static void fixed_copy_16(int16_t *y, const int16_t *x, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = x[i];
    }
}

/* part: fixed_widen: fixed_convert */
static void fixed_widen(int32_t *y, const int16_t *x, int more, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = fixed_convert(x[i], more);
    }
}

/* part: fixed_move_point: fixed_convert */
static void fixed_move_point(int32_t *y, const int32_t *x, int more, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = fixed_convert(x[i], more);
    }
}

/* part: fixed_add: fixed_fit */
static void fixed_add(int32_t *y, const int32_t *x, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = fixed_fit((int64_t)y[i] + x[i]);
    }
}

/* part: fixed_add_each: fixed_fit */
/* adds one number to each number of y */
static void fixed_add_each(int32_t *y, const int32_t *x, int32_t more, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = fixed_fit((int64_t)x[i] + more);
    }
}

/* part: fixed_add_row: fixed_matrix fixed_down fixed_fit */
/* adds one row of a matrix to y */
static void fixed_add_row(int32_t *y, const fixed_matrix *m, int row, int size, int bits)
{
    const int8_t *w = m->weight + row * m->columns;
    const int64_t factor = m->factor[row];
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = fixed_fit(y[i] + fixed_down(factor * w[i], bits));
    }
}

/* part: fixed_add_product: fixed_matrix fixed_down fixed_fit */
/* y plus a sum times the factor of its row */
static int32_t fixed_with(int32_t y, int32_t sum, int32_t factor, int bits)
{
    return fixed_fit(y + fixed_down((int64_t)sum * factor, bits));
}

/* adds to y some rows and columns of a matrix times x, four rows at once; the sums of 32 bits cannot overflow: the sizes
   of the numbers that a row has in these columns add up to less than 65536 */
static void fixed_add_product(
    int32_t *restrict y, const fixed_matrix *m, int row, int rows, int column, int columns, const int16_t *restrict x,
    int bits)
{
    const int8_t *restrict w = m->weight + row * m->columns + column;
    const int32_t *factor = m->factor + row;
    int r = 0, c;
    for (; r + 4 <= rows; r += 4) {
        const int8_t *restrict w1 = w + m->columns, *restrict w2 = w1 + m->columns, *restrict w3 = w2 + m->columns;
        int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (c = 0; c < columns; ++c) {
            const int32_t one = x[c];
            s0 += w[c] * one;
            s1 += w1[c] * one;
            s2 += w2[c] * one;
            s3 += w3[c] * one;
        }
        y[r] = fixed_with(y[r], s0, factor[r], bits);
        y[r + 1] = fixed_with(y[r + 1], s1, factor[r + 1], bits);
        y[r + 2] = fixed_with(y[r + 2], s2, factor[r + 2], bits);
        y[r + 3] = fixed_with(y[r + 3], s3, factor[r + 3], bits);
        w = w3 + m->columns;
    }
    for (; r < rows; ++r) {
        int32_t sum = 0;
        for (c = 0; c < columns; ++c) {
            sum += w[c] * (int32_t)x[c];
        }
        y[r] = fixed_with(y[r], sum, factor[r], bits);
        w += m->columns;
    }
}

/* part: fixed_narrow: fixed_size */
/* puts numbers of 32 bits into 16, as many bits lower as the largest needs, and returns how many */
static int fixed_narrow(int16_t *restrict y, const int32_t *restrict x, int size)
{
    uint32_t seen = 0, half;
    int bits = 0, i;
    for (i = 0; i < size; ++i) {
        seen |= fixed_size(x[i]);
    }
    while ((seen >> bits) > 0x7fffu) {
        bits += 1;
    }
    half = bits > 0 ? (uint32_t)1 << (bits - 1) : 0u;
    for (i = 0; i < size; ++i) {
        uint32_t near = (fixed_size(x[i]) + half) >> bits;
        near = near > 0x7fffu ? 0x7fffu : near;
        y[i] = (int16_t)(x[i] < 0 ? -(int32_t)near : (int32_t)near);
    }
    return bits;
}

/* part: fixed_add_wide_product: fixed_add_product fixed_narrow */
/* the same for an x of 32 bits */
static void fixed_add_wide_product(
    int32_t *restrict y, const fixed_matrix *m, int row, int rows, int column, int columns, const int32_t *restrict x,
    int bits)
{
    const int lost = fixed_narrow(narrow, x, columns);
    fixed_add_product(y, m, row, rows, column, columns, narrow, bits - lost);
}

