/* part: matrix (float32) */
/* a matrix in column-major order */
typedef struct { const float *weight; int rows; } matrix;

/* part: matrix (int8) */
/* a matrix of 8-bit numbers in column-major order; each row has a scale */
typedef struct { const int8_t *weight; const float *scale; int rows; } matrix;

/* part: zero */
static void zero(float *y, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = 0.0f;
    }
}

/* part: copy */
static void copy(float *y, const float *x, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = x[i];
    }
}

/* part: add */
static void add(float *y, const float *x, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] += x[i];
    }
}

/* part: blend */
/* updates the state, except for the share that keeps its old value */
static void blend(float *state, const float *value, float stays, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        state[i] = value[i] + stays * (state[i] - value[i]);
    }
}

/* part: add_product (float32): matrix */
/* adds to y some rows and columns of a matrix times x */
static void add_product(
    float *restrict y, const matrix *m, int row, int rows, int column, int columns, const float *restrict x)
{
    const float *restrict w = m->weight + column * m->rows + row;
    int c = 0, r;
    for (; c + 4 <= columns; c += 4) {
        const float *restrict w1 = w + m->rows, *restrict w2 = w1 + m->rows, *restrict w3 = w2 + m->rows;
        const float x0 = x[c], x1 = x[c + 1], x2 = x[c + 2], x3 = x[c + 3];
        for (r = 0; r < rows; ++r) {
            y[r] += (w[r] * x0 + w1[r] * x1) + (w2[r] * x2 + w3[r] * x3);
        }
        w = w3 + m->rows;
    }
    for (; c < columns; ++c) {
        for (r = 0; r < rows; ++r) {
            y[r] += w[r] * x[c];
        }
        w += m->rows;
    }
}

/* part: add_product (int8): matrix */
enum { BLOCK = 64 };

/* adds to sums a block of rows of 8-bit numbers times x */
static void add_block(
    float *restrict sums, const int8_t *restrict w, int stride, int rows, int columns, const float *restrict x)
{
    int c = 0, r;
    for (; c + 4 <= columns; c += 4) {
        const int8_t *restrict w1 = w + stride, *restrict w2 = w1 + stride, *restrict w3 = w2 + stride;
        const float x0 = x[c], x1 = x[c + 1], x2 = x[c + 2], x3 = x[c + 3];
        for (r = 0; r < rows; ++r) {
            sums[r] += ((float)w[r] * x0 + (float)w1[r] * x1) + ((float)w2[r] * x2 + (float)w3[r] * x3);
        }
        w = w3 + stride;
    }
    for (; c < columns; ++c) {
        for (r = 0; r < rows; ++r) {
            sums[r] += (float)w[r] * x[c];
        }
        w += stride;
    }
}

/* adds to y some rows and columns of a matrix times x */
static void add_product(
    float *restrict y, const matrix *m, int row, int rows, int column, int columns, const float *restrict x)
{
    const int8_t *w = m->weight + column * m->rows + row;
    const float *scale = m->scale + row;
    float sums[BLOCK];
    int first, r;
    for (first = 0; first < rows; first += BLOCK) {
        const int size = rows - first < BLOCK ? rows - first : BLOCK;
        for (r = 0; r < size; ++r) {
            sums[r] = 0.0f;
        }
        add_block(sums, w + first, m->rows, size, columns, x);
        for (r = 0; r < size; ++r) {
            y[first + r] += scale[first + r] * sums[r];
        }
    }
}

/* part: add_row (float32): matrix */
/* adds one row of a matrix to y */
static void add_row(float *y, const matrix *m, int row, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] += m->weight[i * m->rows + row];
    }
}

/* part: add_row (int8): matrix */
/* adds one row of a matrix to y */
static void add_row(float *y, const matrix *m, int row, int size)
{
    const float scale = m->scale[row];
    int i;
    for (i = 0; i < size; ++i) {
        y[i] += scale * (float)m->weight[i * m->rows + row];
    }
}

/* part: normalise: root */
/* layer normalization with gains */
static void normalise(float *y, int size, float epsilon, const float *gain)
{
    float mean = 0.0f, spread = 0.0f, scale;
    int i;
    for (i = 0; i < size; ++i) {
        mean += y[i];
    }
    mean /= (float)size;
    for (i = 0; i < size; ++i) {
        y[i] -= mean;
        spread += y[i] * y[i];
    }
    scale = 1.0f / root(spread / (float)size + epsilon);
    for (i = 0; i < size; ++i) {
        y[i] = y[i] * scale * gain[i];
    }
}

/* part: apply_relu */
static void apply_relu(float *y, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = y[i] < 0.0f ? 0.0f : y[i];
    }
}

/* part: apply_tanh: hyperbolic */
static void apply_tanh(float *y, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = hyperbolic(y[i]);
    }
}

/* part: apply_sigmoid: sigmoid */
static void apply_sigmoid(float *y, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = sigmoid(y[i]);
    }
}

/* part: highest */
static float highest(const float *x, int size)
{
    float top = x[0];
    int i;
    for (i = 1; i < size; ++i) {
        top = x[i] > top ? x[i] : top;
    }
    return top;
}

/* part: softmax: exponential highest */
/* softmax */
static void softmax(float *y, int size)
{
    const float top = highest(y, size);
    float total = 0.0f;
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = exponential(y[i] - top);
        total += y[i];
    }
    for (i = 0; i < size; ++i) {
        y[i] /= total;
    }
}

/* part: log_softmax: exponential logarithm highest */
/* logarithm of the softmax */
static void log_softmax(float *y, int size)
{
    const float top = highest(y, size);
    float total = 0.0f;
    int i;
    for (i = 0; i < size; ++i) {
        y[i] -= top;
        total += exponential(y[i]);
    }
    total = logarithm(total);
    for (i = 0; i < size; ++i) {
        y[i] -= total;
    }
}

/* part: shift: copy */
/* removes the oldest step of a window and appends a new one */
static void shift(float *before, const float *x, int steps, int size)
{
    int i;
    for (i = 0; i < (steps - 1) * size; ++i) {
        before[i] = before[i + size];
    }
    copy(before + (steps - 1) * size, x, size);
}

/* part: mix_key */
/* a 64-bit hash of a key */
static uint64_t mix_key(uint64_t key)
{
    const uint64_t spread = UINT64_C(0x9e3779b97f4a7c15);
    key *= spread;
    return (key ^ (key >> 29)) * spread;
}

/* part: run_key: mix_key */
/* the key of a number of tokens that end before a position */
static uint64_t run_key(const int32_t *end, int count)
{
    uint64_t key = mix_key((uint64_t)end[-1]);
    int back;
    for (back = 2; back <= count; ++back) {
        key = mix_key(key ^ (uint64_t)end[-back]);
    }
    return key;
}

/* part: recall: run_key */
/* notes that a token followed a run, and returns the one that followed the run that it ends, 0 where none did; the
   token stands before the end, and a slot holds the mark of a run above a token */
static int recall(uint64_t *memory, uint32_t slots, const int32_t *end, int count)
{
    const uint64_t written = run_key(end - 1, count), read = run_key(end, count);
    uint64_t seen;
    memory[(written >> 12) & (slots - 1)] = ((written >> 33) << 32) | (uint64_t)end[-1];
    seen = memory[(read >> 12) & (slots - 1)];
    return (seen >> 32) == (read >> 33) ? (int)(seen & 0xffffffffu) : 0;
}

/* part: find_key */
/* the row of a run of tokens: its index among the stored keys from 1 on, 0 for an unknown run */
static int find_key(const int64_t *known, int count, uint64_t key)
{
    const int64_t wanted = key <= (uint64_t)INT64_MAX ? (int64_t)key : -(int64_t)(UINT64_MAX - key) - 1;
    int low = 0, high = count;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (known[middle] < wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && known[low] == wanted ? low + 1 : 0;
}

/* part: take_mean */
static void take_mean(float *mean, uint32_t *count, const float *x, int size)
{
    float share;
    int i;
    *count += *count < UINT32_MAX;
    share = 1.0f / (float)*count;
    for (i = 0; i < size; ++i) {
        mean[i] += (x[i] - mean[i]) * share;
    }
}

/* part: take_largest */
static void take_largest(float *largest, uint32_t *count, const float *x, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        largest[i] = *count == 0 || x[i] > largest[i] ? x[i] : largest[i];
    }
    *count = 1;
}

/* part: attend: exponential */
/* adds a step to a softmax-weighted mean, stored as the largest logarithm, the sum and the weighted sum */
static void attend(float *total, float *mass, float *top, float score, const float *x, int size)
{
    const int begun = *mass > 0.0f;
    const float highest_score = begun && *top > score ? *top : score;
    const float old = begun ? exponential(*top - highest_score) : 0.0f, share = exponential(score - highest_score);
    int i;
    for (i = 0; i < size; ++i) {
        total[i] = total[i] * old + share * x[i];
    }
    *mass = *mass * old + share;
    *top = highest_score;
}

/* part: divide */
static void divide(float *y, const float *x, float by, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = by > 0.0f ? x[i] / by : x[i];
    }
}

/* part: inner */
static float inner(const float *restrict a, const float *restrict b, int size)
{
    float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
    int i = 0;
    for (; i + 4 <= size; i += 4) {
        s0 += a[i] * b[i];
        s1 += a[i + 1] * b[i + 1];
        s2 += a[i + 2] * b[i + 2];
        s3 += a[i + 3] * b[i + 3];
    }
    for (; i < size; ++i) {
        s0 += a[i] * b[i];
    }
    return (s0 + s2) + (s1 + s3);
}

/* part: cluster */
/* log-probabilities of the tokens of a cluster, plus that of the cluster */
static void cluster(float *y, const float *inside, float own, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = inside[i] + own;
    }
}

/* part: next_place */
/* counts a step, and returns its place in its window: the first step is one by itself, then each window has as many */
static uint32_t next_place(uint32_t *seen, uint32_t steps)
{
    const uint32_t place = *seen == 0 ? 0 : (*seen - 1) % steps;
    *seen = *seen == steps ? 1 : *seen + 1;
    return place;
}

/* part: window_max: next_place */
/* adds a step to a window, and returns whether that ends and its result is written */
static int window_max(float *window, uint32_t *seen, const float *x, float *y, int size, uint32_t steps)
{
    const int ends = *seen % steps == 0;
    const uint32_t place = next_place(seen, steps);
    int i;
    for (i = 0; i < size; ++i) {
        window[i] = place == 0 || x[i] > window[i] ? x[i] : window[i];
        y[i] = window[i];
    }
    return ends;
}

/* part: window_mean: next_place */
/* adds a step to a window, and returns whether that ends and its result is written */
static int window_mean(float *window, uint32_t *seen, const float *x, float *y, int size, uint32_t steps)
{
    const int ends = *seen % steps == 0;
    const float by = *seen == 0 ? 1.0f : (float)steps;
    const uint32_t place = next_place(seen, steps);
    int i;
    for (i = 0; i < size; ++i) {
        window[i] = place == 0 ? x[i] : window[i] + x[i];
        y[i] = window[i] / by;
    }
    return ends;
}

/* part: clip */
static void clip(float *y, float limit, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = y[i] > limit ? limit : y[i] < -limit ? -limit : y[i];
    }
}

/* part: apply_log: logarithm */
static void apply_log(float *y, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = logarithm(y[i] > 1e-30f ? y[i] : 1e-30f);
    }
}

/* part: add_exactly */
/* adds up numbers, and what rounding loses */
static void add_exactly(float *y, float *lost, const float *x, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        const float sum = y[i] + x[i], part = sum - y[i];
        lost[i] += (y[i] - (sum - part)) + (x[i] - part);
        y[i] = sum;
    }
}
