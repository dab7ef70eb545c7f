/* part: share_bank */
/* convolutions of nine taps, a dilation apart, over some channels, and biases of their outputs */
typedef struct {
    const int32_t *dilations, *biases_each;
    const uint8_t *channels;
    const float *biases;
    int count, reach, size, pairs;
} share_bank;

/* part: share_tallies */
/* of each bias: outputs above it, the sum of their places, the run that goes on, and the longest; the last three may be
   missing */
typedef struct {
    uint32_t *above;
    uint64_t *places;
    uint32_t *run, *longest;
} share_tallies;

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

/* part: follow_shares: share_tallies */
/* adds an output that has a place among those of its kernel to the tallies of biases */
static void follow_shares(const share_tallies *of, const float *biases, int first, int count, float output,
                          uint32_t place)
{
    int b;
    for (b = first; b < first + count; ++b) {
        const uint32_t is_above = (uint32_t)(output > biases[b]);
        of->above[b] += is_above;
        if (of->places) {
            of->places[b] += is_above * (uint64_t)place;
            of->run[b] = is_above * (of->run[b] + 1);
            if (of->longest[b] < of->run[b]) {
                of->longest[b] = of->run[b];
            }
        }
    }
}

/* part: take_shares: share_outputs follow_shares shift */
/* adds a step to a window, and the outputs whose last tap it is to the tallies; half of the kernels have none in which
   a tap is before the first step */
static void take_shares(float *before, uint32_t *above, uint64_t *places, uint32_t *run, uint32_t *longest,
                        uint32_t *count, const float *x, float *outputs, float *taps, const share_bank *bank)
{
    share_tallies tallies;
    int number, kernel, first = 0;
    tallies.above = above;
    tallies.places = places;
    tallies.run = run;
    tallies.longest = longest;
    for (number = 0; number < bank->count; ++number) {
        const uint32_t side = 4 * (uint32_t)bank->dilations[number];
        const int each = bank->biases_each[number];
        if (*count >= side) {
            share_outputs(outputs, taps, before, x, 2 * bank->reach - (int)side, bank, number);
        }
        for (kernel = 0; kernel < 84; ++kernel) {
            const uint32_t late = (number + kernel) % 2 == 0 ? side : 2 * side;
            if (*count >= late) {
                follow_shares(&tallies, bank->biases, first, each, outputs[kernel], *count - late);
            }
            first += each;
        }
    }
    *count += *count < UINT32_MAX;
    shift(before, x, 2 * bank->reach, bank->size);
}

/* part: read_shares: share_outputs */
/* the numbers of each bias, with zeros behind the last step: the share of the outputs above it; then the share weighted
   by time, and the longest run, if their tallies are there; now has room for the runs of a dilation */
static void read_shares(float *y, const float *before, const uint32_t *above, const uint64_t *places, const uint32_t *run,
                        const uint32_t *longest, uint32_t count, float *outputs, float *taps, float *now,
                        const share_bank *bank)
{
    const float *biases = bank->biases;
    float *late = places ? y + bank->pairs : y, *runs = places ? late + bank->pairs : y;
    int number, kernel, b, first = 0;
    for (number = 0; number < bank->count; ++number) {
        const uint32_t side = 4 * (uint32_t)bank->dilations[number];
        const int each = bank->biases_each[number];
        uint32_t back;
        for (b = first; b < first + 84 * each; ++b) {
            y[b] = (float)above[b];
            if (places) {
                late[b] = (float)(2 * places[b] + above[b]);
                runs[b] = (float)longest[b];
                now[b - first] = (float)run[b];
            }
        }
        for (back = side < count ? side : count; back > 0; --back) {
            share_outputs(outputs, taps, before, (const float *)0, 2 * bank->reach - (int)back, bank, number);
            for (kernel = number % 2; kernel < 84; kernel += 2) {
                for (b = first + kernel * each; b < first + (kernel + 1) * each; ++b) {
                    const float is_above = outputs[kernel] > biases[b] ? 1.0f : 0.0f;
                    y[b] += is_above;
                    if (places) {
                        late[b] += is_above * (2.0f * (float)(count - back) + 1.0f);
                        now[b - first] = is_above * (now[b - first] + 1.0f);
                        runs[b] = runs[b] < now[b - first] ? now[b - first] : runs[b];
                    }
                }
            }
        }
        for (kernel = 0; kernel < 84; ++kernel) {
            const uint32_t fringe = (number + kernel) % 2 == 0 ? 0 : 2 * side;
            const float steps = count > fringe + 1 ? (float)(count - fringe) : 1.0f;
            for (b = first + kernel * each; b < first + (kernel + 1) * each; ++b) {
                y[b] /= steps;
                if (places) {
                    late[b] /= steps * steps;
                    runs[b] /= steps;
                }
            }
        }
        first += 84 * each;
    }
}
