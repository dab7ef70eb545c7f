/* part: gru: sigmoid hyperbolic */
/* y holds the sums of the gates r, z and n, and of the state's part in n; the new state replaces its first numbers */
static void gru(float *y, const float *h, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        const float n = hyperbolic(y[2 * size + i] + sigmoid(y[i]) * y[3 * size + i]);
        y[i] = n + sigmoid(y[size + i]) * (h[i] - n);
    }
}

/* part: gru_reset: sigmoid */
/* replaces the sums of the gates r and z by r h and z */
static void gru_reset(float *y, const float *h, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = sigmoid(y[i]) * h[i];
        y[size + i] = sigmoid(y[size + i]);
    }
}

/* part: gru_reset_new: hyperbolic */
/* y holds r h, z and the sums of n; the new state replaces its first numbers */
static void gru_reset_new(float *y, const float *h, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        const float n = hyperbolic(y[2 * size + i]);
        y[i] = n + y[size + i] * (h[i] - n);
    }
}

/* part: lstm_memory: sigmoid hyperbolic */
/* y holds the sums of the gates write, keep, new and show; the new memory replaces its first numbers */
static void lstm_memory(float *y, const float *c, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] = sigmoid(y[size + i]) * c[i] + sigmoid(y[i]) * hyperbolic(y[2 * size + i]);
    }
}

/* part: lstm_peepholes */
/* adds the peepholes of the gates write and keep */
static void lstm_peepholes(float *y, const float *c, const float *write, const float *keep, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] += write[i] * c[i];
        y[size + i] += keep[i] * c[i];
    }
}

/* part: lstm_peephole_show */
/* adds the peephole of the gate show from the new memory */
static void lstm_peephole_show(float *y, const float *show, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[3 * size + i] += show[i] * y[i];
    }
}

/* part: lstm_output: sigmoid hyperbolic */
/* replaces the sums of the gate show by the output */
static void lstm_output(float *show, const float *memory, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        show[i] = sigmoid(show[i]) * hyperbolic(memory[i]);
    }
}

/* part: mingru: sigmoid */
static void mingru(float *y, const float *h, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        const float write = sigmoid(y[i]);
        y[i] = sigmoid(-y[i]) * h[i] + write * y[size + i];
    }
}

/* part: minlstm: sigmoid log_sigmoid */
static void minlstm(float *y, const float *h, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        const float ratio = log_sigmoid(y[i]) - log_sigmoid(y[size + i]);
        y[i] = sigmoid(ratio) * h[i] + sigmoid(-ratio) * y[2 * size + i];
    }
}

/* part: rglru: sigmoid exponential exponential_less_one root */
/* decay holds 8 log sigmoid of the trained decays */
static void rglru(float *y, const float *v, const float *decay, const float *h, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        const float log_a = sigmoid(y[i]) * decay[i], left = -exponential_less_one(2.0f * log_a);
        y[i] = exponential(log_a) * h[i] + root(left) * (sigmoid(y[size + i]) * v[i]);
    }
}

/* part: slstm: sigmoid hyperbolic exponential log_sigmoid */
/* y holds the sums of the gates i, keep, new and show; h, c, n and m are the state */
static void slstm(const float *y, float *h, float *c, float *n, float *m, int size)
{
    int u;
    for (u = 0; u < size; ++u) {
        const float kept = log_sigmoid(y[size + u]) + m[u], top = kept > y[u] ? kept : y[u];
        const float i = exponential(y[u] - top), f = exponential(kept - top);
        m[u] = top;
        c[u] = f * c[u] + i * hyperbolic(y[2 * size + u]);
        n[u] = f * n[u] + i;
        h[u] = sigmoid(y[3 * size + u]) * (c[u] / n[u]);
    }
}

/* part: mlstm: sigmoid exponential log_sigmoid inner */
/* one head: q, k, v and o have `size` numbers each; memory, n and m are its state */
static void mlstm(float *y, float *memory, float *n, float *m, const float *q, float *k, const float *v, const float *o,
                  float log_i, float keep, float scale, int size)
{
    const float kept = log_sigmoid(keep) + *m;
    float top = kept > log_i ? kept : log_i, i, f, weight, least;
    int a, b;
    top = top > 0.0f ? top : 0.0f;
    i = exponential(log_i - top);
    f = exponential(kept - top);
    *m = top;
    for (a = 0; a < size; ++a) {
        k[a] *= scale * i;
        n[a] = f * n[a] + k[a];
    }
    weight = inner(n, q, size);
    weight = weight < 0.0f ? -weight : weight;
    least = exponential(-top);
    weight = weight > least ? weight : least;
    for (a = 0; a < size; ++a) {
        float *row = memory + a * size;
        for (b = 0; b < size; ++b) {
            row[b] = f * row[b] + v[a] * k[b];
        }
        y[a] = sigmoid(o[a]) * inner(row, q, size) / weight;
    }
}
