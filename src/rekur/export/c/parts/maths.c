/* part: bits */
typedef union { float value; uint32_t bits; } float_bits;

/* part: exponential: bits */
/* 2^k e^r with |r| <= ln 2 / 2, for sizes up to 87; the error is below 2e-7 of the value, and what is no number stays
   so; it chooses by bits, not by branches, so that loops over it become vector instructions */
static inline float exponential(float x)
{
    float_bits power, half;
    float r, y;
    int32_t k;
    uint32_t sign, size, none;
    power.value = x;
    sign = power.bits & 0x80000000u;
    size = power.bits & 0x7fffffffu;
    none = 0u - (uint32_t)(size > 0x7f800000u);
    power.bits = sign | (size < 0x42ae0000u ? size : 0x42ae0000u);
    half.bits = sign | 0x3f000000u;
    x = power.value;
    k = (int32_t)(x * 1.44269504f + half.value);
    r = (x - (float)k * 0.693359375f) + (float)k * 2.12194440e-4f;
    y = 1.0f / 120.0f + r * (1.0f / 720.0f + r * (1.0f / 5040.0f));
    y = 1.0f + r * (1.0f + r * (0.5f + r * (1.0f / 6.0f + r * (1.0f / 24.0f + r * y))));
    power.bits = (uint32_t)(k + 127) << 23;
    power.value *= y;
    power.bits |= none;
    return power.value;
}

/* part: tangent: exponential */
/* the error is below 3e-7; below 1/4 in size it is a series, else made of an exponential, chosen by bits */
static inline float tangent(float x)
{
    float_bits size, near, far;
    float square, y;
    uint32_t sign, small;
    size.value = x;
    sign = size.bits & 0x80000000u;
    size.bits &= 0x7fffffffu;
    square = x * x;
    y = -1.0f / 3.0f + square * (2.0f / 15.0f + square * (-17.0f / 315.0f + square * (62.0f / 2835.0f)));
    near.value = size.value + size.value * square * y;
    far.value = 1.0f - 2.0f / (exponential(2.0f * size.value) + 1.0f);
    small = 0u - (uint32_t)(size.bits < 0x3e800000u);
    far.bits = (near.bits & small) | (far.bits & ~small) | sign;
    return far.value;
}

/* part: logarithm: bits */
/* of numbers above 0: e ln 2 + ln m with m in [0.7, 1.4] */
static float logarithm(float x)
{
    float_bits mantissa;
    float s, square;
    int32_t e;
    mantissa.value = x;
    e = (int32_t)(mantissa.bits >> 23) - 127;
    mantissa.bits = (mantissa.bits & 0x7fffffu) | 0x3f800000u;
    if (mantissa.value > 1.41421356f) {
        mantissa.value *= 0.5f;
        e += 1;
    }
    s = (mantissa.value - 1.0f) / (mantissa.value + 1.0f);
    square = s * s;
    s *= 2.0f + square * (2.0f / 3.0f + square * (2.0f / 5.0f + square * (2.0f / 7.0f + square * (2.0f / 9.0f))));
    return (float)e * 0.69314718f + s;
}

/* part: root: bits */
/* of numbers of 0 or more, by Newton's method */
static float root(float x)
{
    float_bits guess;
    float y;
    if (!(x > 0.0f)) {
        return 0.0f;
    }
    guess.value = x;
    guess.bits = 0x1fbd1df5u + (guess.bits >> 1);
    y = guess.value;
    y = 0.5f * (y + x / y);
    y = 0.5f * (y + x / y);
    return 0.5f * (y + x / y);
}

/* part: exponential_less_one: exponential */
static float exponential_less_one(float x)
{
    float y;
    if (x < -0.5f || x > 0.5f) {
        return exponential(x) - 1.0f;
    }
    y = 1.0f / 120.0f + x * (1.0f / 720.0f + x * (1.0f / 5040.0f + x * (1.0f / 40320.0f)));
    return x * (1.0f + x * (0.5f + x * (1.0f / 6.0f + x * (1.0f / 24.0f + x * y))));
}

/* part: sigmoid (exact): exponential */
static inline float sigmoid(float x)
{
    return 1.0f / (1.0f + exponential(-x));
}

/* part: hyperbolic (exact): tangent */
static inline float hyperbolic(float x)
{
    return tangent(x);
}

/* part: hyperbolic (table): tangent_table */
/* linear interpolation in a table of 16-bit fixed-point numbers at steps of 1/32 */
static inline float hyperbolic(float x)
{
    const float place = (x < 0.0f ? -x : x) * 32.0f;
    float y = 1.0f, low;
    int32_t index;
    if (place < 255.0f) {
        index = (int32_t)place;
        low = (float)tangent_table[index];
        y = (low + ((float)tangent_table[index + 1] - low) * (place - (float)index)) * (1.0f / 32767.0f);
    }
    return x < 0.0f ? -y : y;
}

/* part: sigmoid (table): hyperbolic */
static inline float sigmoid(float x)
{
    return 0.5f + 0.5f * hyperbolic(0.5f * x);
}

/* part: log_sigmoid: exponential logarithm */
static float log_sigmoid(float x)
{
    const float size = x < 0.0f ? -x : x;
    return (x < 0.0f ? x : 0.0f) - logarithm(1.0f + exponential(-size));
}

/* part: apply_asinh: logarithm root */
static void apply_asinh(float *y, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        const float x = y[i] < 0.0f ? -y[i] : y[i], square = x * x;
        float far = x > 1e6f ? 1e6f : x;
        far = logarithm(far + root(far * far + 1.0f)) + (x > 1e6f ? logarithm(x * 1e-6f) : 0.0f);
        if (x < 0.25f) {
            far = x * (1.0f + square * (-1.0f / 6.0f + square * (3.0f / 40.0f - square * (5.0f / 112.0f))));
        }
        y[i] = y[i] < 0.0f ? -far : far;
    }
}

/* part: mix: exponential */
/* the mean of the candidates of each point, weighted by the softmax of gate and prior */
static void mix(
    float *y, const float *gate, const float *prior, const float *candidates, int points, int priors, int count)
{
    int point, k;
    for (point = 0; point < points; ++point, gate += count, candidates += count) {
        const float *const weights = prior + point % priors * count;
        float top = gate[0] + weights[0], mass = 0.0f, sum = 0.0f;
        for (k = 1; k < count; ++k) {
            top = gate[k] + weights[k] > top ? gate[k] + weights[k] : top;
        }
        for (k = 0; k < count; ++k) {
            const float share = exponential(gate[k] + weights[k] - top);
            mass += share;
            sum += share * candidates[k];
        }
        y[point] = sum / mass;
    }
}

/* part: quantiles: log_sigmoid */
/* rising numbers around each median: a softplus of an increment times the expected error from one to the next */
static void quantiles(
    float *y, const float *median, const float *error, const float *increments, int points, int below, int above)
{
    int point, k;
    for (point = 0; point < points; ++point, increments += below + above, y += below + 1 + above) {
        float sum = 0.0f;
        for (k = below; k > 0; --k) {
            sum -= log_sigmoid(-increments[k - 1]) * error[point];
            y[k - 1] = median[point] - sum;
        }
        y[below] = median[point];
        sum = 0.0f;
        for (k = below; k < below + above; ++k) {
            sum -= log_sigmoid(-increments[k]) * error[point];
            y[k + 1] = median[point] + sum;
        }
    }
}
