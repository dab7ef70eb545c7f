/* part: share_bank */
/* convolutions of nine taps, a dilation apart, over some channels, and biases of their outputs */
typedef struct {
    const int32_t *dilations, *biases_each;
    const uint8_t *channels;
    const float *biases;
    int count, reach, size;
} share_bank;

/* part: share_outputs: share_bank */
/* the outputs of the 84 kernels of a dilation at a step of a window: before, then x, then zeros; three taps out of nine
   have the weight 2, the others -1; taps has room for nine numbers a channel */
static void share_outputs(float *outputs, float *taps, const float *before, const float *x, int place,
                          const share_bank *bank, int number)
{
    const int size = bank->size, steps = 2 * bank->reach, dilation = bank->dilations[number];
    const uint8_t *channels = bank->channels + number * 84 * size;
    int tap, c, i, j, k;
    for (c = 0; c < size; ++c) {
        const float center = before[place * size + c];
        float total = 0.0f, mean;
        for (tap = 0; tap < 9; ++tap) {
            const int at = place + (tap - 4) * dilation;
            const float value = at < steps ? before[at * size + c] : at == steps && x ? x[c] : 0.0f;
            taps[9 * c + tap] = 3.0f * (value - center);
            total += taps[9 * c + tap];
        }
        mean = total / 9.0f;
        for (tap = 0; tap < 9; ++tap) {
            taps[9 * c + tap] -= mean;
        }
    }
    for (i = 0; i < 9; ++i) {
        for (j = i + 1; j < 9; ++j) {
            for (k = j + 1; k < 9; ++k) {
                float sum = 0.0f;
                for (c = 0; c < size; ++c) {
                    if (channels[c]) {
                        sum = ((sum + taps[9 * c + i]) + taps[9 * c + j]) + taps[9 * c + k];
                    }
                }
                *outputs++ = sum;
                channels += size;
            }
        }
    }
}

/* part: take_shares: share_outputs shift */
/* adds a step to a window, and counts the outputs whose last tap it is; half of the kernels have none in which a tap is
   before the first step */
static void take_shares(float *before, uint32_t *above, uint32_t *count, const float *x, float *outputs, float *taps,
                        const share_bank *bank)
{
    const float *biases = bank->biases;
    int number, kernel, b;
    for (number = 0; number < bank->count; ++number) {
        const int side = 4 * bank->dilations[number], each = bank->biases_each[number];
        const int is_there = *count >= (uint32_t)side, is_inside = *count >= 2 * (uint32_t)side;
        if (is_there) {
            share_outputs(outputs, taps, before, x, 2 * bank->reach - side, bank, number);
        }
        for (kernel = 0; kernel < 84; ++kernel) {
            const int counts = (number + kernel) % 2 == 0 ? is_there : is_inside;
            for (b = 0; counts && b < each; ++b) {
                above[b] += (uint32_t)(outputs[kernel] > biases[b]);
            }
            biases += each;
            above += each;
        }
    }
    *count += *count < UINT32_MAX;
    shift(before, x, 2 * bank->reach, bank->size);
}

/* part: read_shares: share_outputs */
/* the share of the outputs above each bias, with zeros behind the last step */
static void read_shares(float *y, const float *before, const uint32_t *above, uint32_t count, float *outputs, float *taps,
                        const share_bank *bank)
{
    const float *biases = bank->biases;
    int number, kernel, back, b;
    for (number = 0; number < bank->count; ++number) {
        const int side = 4 * bank->dilations[number], each = bank->biases_each[number];
        const uint32_t fringe = 2 * (uint32_t)side;
        for (b = 0; b < 84 * each; ++b) {
            y[b] = (float)above[b];
        }
        for (back = 1; back <= side && (uint32_t)back <= count; ++back) {
            share_outputs(outputs, taps, before, (const float *)0, 2 * bank->reach - back, bank, number);
            for (kernel = number % 2; kernel < 84; kernel += 2) {
                for (b = kernel * each; b < (kernel + 1) * each; ++b) {
                    y[b] += outputs[kernel] > biases[b] ? 1.0f : 0.0f;
                }
            }
        }
        for (kernel = 0; kernel < 84; ++kernel) {
            const uint32_t steps = (number + kernel) % 2 == 0 ? count : count > fringe ? count - fringe : 0;
            for (b = kernel * each; steps > 1 && b < (kernel + 1) * each; ++b) {
                y[b] /= (float)steps;
            }
        }
        biases += 84 * each;
        above += 84 * each;
        y += 84 * each;
    }
}
