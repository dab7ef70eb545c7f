/* part: fixed_keep: fixed_fit_16 fixed_down */
/* moves a state of 16 bits to its new value, but for the share that stays, which has 15 bits after the point */
static void fixed_keep(int16_t *state, const int32_t *value, int32_t stays, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        const int64_t way = (int64_t)stays * (state[i] - value[i]);
        state[i] = fixed_fit_16(value[i] + (int32_t)fixed_down(way, 15));
    }
}

/* part: fixed_keep_wide: fixed_fit fixed_down */
/* the same for a state of 32 bits */
static void fixed_keep_wide(int32_t *state, const int32_t *value, int32_t stays, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        const int64_t way = (int64_t)stays * ((int64_t)state[i] - value[i]);
        state[i] = fixed_fit(value[i] + fixed_down(way, 15));
    }
}

/* part: fixed_between */
/* b + share (a - b) of numbers with 15 bits after the point */
static int32_t fixed_between(int32_t share, int32_t a, int32_t b)
{
    const int32_t way = share * (a - b) + 16384;
    return b + (way < 0 ? ~(~way >> 15) : way >> 15);
}

/* part: fixed_gru: fixed_sigmoid fixed_tanh fixed_between fixed_down fixed_fit */
/* y holds the sums of the gates r, z and n, and of the state's part in n; the new state replaces its first numbers */
static void fixed_gru(int32_t *y, const int16_t *h, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        const int64_t part = fixed_down((int64_t)fixed_sigmoid(y[i]) * y[3 * size + i], 15);
        const int32_t n = fixed_tanh(fixed_fit(y[2 * size + i] + part));
        y[i] = fixed_between(fixed_sigmoid(y[size + i]), h[i], n);
    }
}

/* part: fixed_gru_reset: fixed_sigmoid fixed_between */
/* replaces the sums of the gates r and z by r h and z */
static void fixed_gru_reset(int32_t *y, const int16_t *h, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = fixed_between(fixed_sigmoid(y[i]), h[i], 0);
        y[size + i] = fixed_sigmoid(y[size + i]);
    }
}

/* part: fixed_gru_reset_new: fixed_tanh fixed_between */
/* y holds r h, z and the sums of n; the new state replaces its first numbers */
static void fixed_gru_reset_new(int32_t *y, const int16_t *h, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = fixed_between(y[size + i], h[i], fixed_tanh(y[2 * size + i]));
    }
}

/* part: fixed_lstm_memory: fixed_sigmoid fixed_tanh fixed_down fixed_fit */
/* y holds the sums of the gates write, keep, new and show: puts the new memory into its first numbers, which have 20
   bits after the point */
static void fixed_lstm_memory(int32_t *y, const int32_t *c, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        const int32_t more = fixed_sigmoid(y[i]) * fixed_tanh(y[2 * size + i]);
        const int64_t kept = (int64_t)fixed_sigmoid(y[size + i]) * c[i];
        y[i] = fixed_fit(fixed_down(kept + (int64_t)more * 32, 15));
    }
}

/* part: fixed_lstm_output: fixed_sigmoid fixed_tanh fixed_down fixed_fit */
/* puts the output, with 15 bits after the point, where the sums of the gate show stand; the memory has as many bits more
   than 16 */
static void fixed_lstm_output(int32_t *show, const int32_t *memory, int more, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        const int32_t read = more > 0 ? fixed_fit(fixed_down(memory[i], more)) : memory[i];
        show[i] = (int32_t)fixed_down((int64_t)fixed_sigmoid(show[i]) * fixed_tanh(read), 15);
    }
}

/* part: fixed_peephole: fixed_down fixed_fit */
/* adds the peephole of a gate, with 16-bit factors */
static void fixed_peephole(int32_t *y, const int32_t *c, const int16_t *factor, int bits, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = fixed_fit(y[i] + fixed_down((int64_t)c[i] * factor[i], bits));
    }
}

/* part: fixed_mingru: fixed_exponential fixed_share fixed_size fixed_convert fixed_down fixed_fit */
/* the state has as many bits more after the point than the sums */
static void fixed_mingru(int32_t *y, const int32_t *h, int more, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        const uint32_t small = fixed_exponential(fixed_size(y[i])), one = (uint32_t)1 << 30;
        const int32_t write = y[i] < 0 ? fixed_share(small, one) : fixed_share(one, small);
        const int64_t way = (int64_t)fixed_convert(y[size + i], more) - h[i];
        y[i] = fixed_fit(h[i] + fixed_down(way * write, 30));
    }
}

/* part: fixed_minlstm: fixed_exponential fixed_share fixed_convert fixed_down fixed_fit */
/* the state has as many bits more after the point than the sums; of the gates keep and write, that of one over both is
   (1 + exp -w) / (2 + exp -k + exp -w) */
static void fixed_minlstm(int32_t *y, const int32_t *h, int more, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        const int32_t low = y[i] < y[size + i] ? y[i] : y[size + i];
        const uint32_t top = low < 0 ? 0u - (uint32_t)low : 0u, one = fixed_exponential(top) >> 1;
        const uint32_t keep = one + (fixed_exponential(top + (uint32_t)y[size + i]) >> 1);
        const uint32_t write = one + (fixed_exponential(top + (uint32_t)y[i]) >> 1);
        const int64_t way = (int64_t)fixed_convert(y[2 * size + i], more) - h[i];
        y[i] = fixed_fit(h[i] + fixed_down(way * fixed_share(write, keep), 30));
    }
}
