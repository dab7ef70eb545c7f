// One step of one stream of any cell: the products row by row, then the gates by whole vectors.
#pragma once

#include <limits>

#include "activations.h"
#include "cell.h"
#include "stepper_affine.h"

namespace rekur {
namespace REKUR_ISA {

// Calls f(i, count) for every vector of size numbers.
template <class F>
REKUR_INLINE void each_vector(int64_t size, F f) {
    for (int64_t i = 0; i < size; i += lanes<float>) {
        f(i, static_cast<int>(size - i < lanes<float> ? size - i : lanes<float>));
    }
}

// log of sigmoid(x), with all digits.
REKUR_INLINE Vec<float> log_sigmoid(Vec<float> x) {
    return (x < 0 ? x : Vec<float>{}) - log1p_unit(exp_negative(-magnitude(x)));
}

// x less its mean, over its spread, times gain, plus bias where there is one.
static void normalise(float* x, int64_t size, float epsilon, const float* gain, const float* bias) {
    double mean = 0.0, spread = 0.0;
    for (int64_t i = 0; i < size; ++i) mean += x[i];
    mean /= static_cast<double>(size);
    for (int64_t i = 0; i < size; ++i) spread += (x[i] - mean) * (x[i] - mean);
    const double scale = 1.0 / std::sqrt(spread / static_cast<double>(size) + epsilon);
    for (int64_t i = 0; i < size; ++i) {
        x[i] = static_cast<float>((x[i] - mean) * scale) * gain[i] + (bias ? bias[i] : 0.0f);
    }
}

// The sums of all gates of inputs or of states, normalised in groups where the cell is.
static void sums(const CellStep& a, const float* weight, const float* gain, const float* bias, const float* x, float* y,
                 int64_t depth) {
    const int64_t rows = a.rows();
    if (!a.norm) return run_affine(weight, bias, x, y, rows, depth);
    run_affine(weight, nullptr, x, y, rows, depth);
    const int64_t first = a.kind == CellKind::gru ? 2 * a.hidden : rows;  // a GRU's n stands by itself
    normalise(y, first, a.norm, gain, bias);
    if (first < rows) normalise(y + first, rows - first, a.norm, gain + first, bias ? bias + first : nullptr);
}

// The state takes its new value, but for the share that stays.
static void renew(float* state, const float* value, float stay, int64_t size) {
    each_vector(size, [&](int64_t i, int count) {
        const Vec<float> now = load(value + i, count);
        store(state + i, stay ? now + stay * (load(state + i, count) - now) : now, count);
    });
}

// Both sums as one, for cells whose gates add them.
static float* joined_sums(const CellStep& a, const float* x) {
    float *y = a.scratch, *z = y + a.rows();
    sums(a, a.weight_ih, a.gain_ih, a.bias_ih, x, y, a.input);
    sums(a, a.weight_hh, a.gain_hh, a.bias_hh, a.h, z, a.output);
    each_vector(a.rows(), [&](int64_t i, int count) { store(y + i, load(y + i, count) + load(z + i, count), count); });
    return y;
}

static void step_rnn(const CellStep& a, const float* x) {
    float* y = joined_sums(a, x);
    each_vector(a.hidden, [&](int64_t i, int count) {
        const Vec<float> sum = load(y + i, count);
        store(y + i, a.kind == CellKind::rnn ? tanh(sum) : relu(sum), count);
    });
    renew(a.h, y, a.stay_h, a.hidden);
}

static void step_lstm(const CellStep& a, const float* x) {
    const int64_t H = a.hidden;
    const bool peeps = a.kind == CellKind::lstm_peephole;
    float *y = joined_sums(a, x), *c = a.scratch + 2 * a.rows(), *seen = c + H, *h = seen + H;
    each_vector(H, [&](int64_t i, int count) {
        Vec<float> write = load(y + i, count), keep = load(y + H + i, count);
        const Vec<float> before = load(a.c + i, count);
        if (peeps) {
            write += load(a.weight_ci + i, count) * before;
            keep += load(a.weight_cf + i, count) * before;
        }
        store(c + i, sigmoid(keep) * before + sigmoid(write) * tanh(load(y + 2 * H + i, count)), count);
        store(seen + i, load(c + i, count), count);
    });
    if (a.norm) normalise(seen, H, a.norm, a.gain_c, a.bias_c);
    each_vector(H, [&](int64_t i, int count) {
        Vec<float> show = load(y + 3 * H + i, count);
        if (peeps) show += load(a.weight_co + i, count) * load(c + i, count);
        store(h + i, sigmoid(show) * tanh(load(seen + i, count)), count);
    });
    renew(a.c, c, a.stay_c, H);
    if (a.weight_hr) {
        run_affine(a.weight_hr, nullptr, h, y, a.output, H);
        h = y;
    }
    renew(a.h, h, a.stay_h, a.output);
}

static void step_gru(const CellStep& a, const float* x) {
    const int64_t H = a.hidden;
    const bool before = a.kind == CellKind::gru_reset_before;
    float *y = a.scratch, *z = y + a.rows(), *h = z + a.rows();
    sums(a, a.weight_ih, a.gain_ih, a.bias_ih, x, y, a.input);
    if (before) {
        run_affine(a.weight_hh, a.bias_hh, a.h, z, 2 * H, H);
        each_vector(H, [&](int64_t i, int count) {
            const Vec<float> r = sigmoid(load(y + i, count) + load(z + i, count));
            store(h + i, r * load(a.h + i, count), count);
        });
        run_affine(a.weight_hh + 2 * H * H, a.bias_hh ? a.bias_hh + 2 * H : nullptr, h, z + 2 * H, H, H);
    } else {
        sums(a, a.weight_hh, a.gain_hh, a.bias_hh, a.h, z, H);
    }
    each_vector(H, [&](int64_t i, int count) {
        const Vec<float> inner = load(z + 2 * H + i, count), r = sigmoid(load(y + i, count) + load(z + i, count));
        const Vec<float> n = tanh(load(y + 2 * H + i, count) + (before ? inner : r * inner));
        const Vec<float> u = sigmoid(load(y + H + i, count) + load(z + H + i, count));
        store(h + i, n + u * (load(a.h + i, count) - n), count);
    });
    renew(a.h, h, a.stay_h, H);
}

static void step_linear(const CellStep& a, const float* x) {
    const int64_t H = a.hidden;
    float *y = a.scratch, *h = y + 2 * a.rows(), *v = h + H;
    const bool lru = a.kind == CellKind::rglru;
    if (lru && a.weight_in) {
        run_affine(a.weight_in, nullptr, x, v, H, a.input);
        x = v;
    }
    run_affine(a.weight_ih, a.bias_ih, x, y, a.rows(), lru ? H : a.input);
    each_vector(H, [&](int64_t i, int count) {
        const Vec<float> first = load(y + i, count), second = load(y + H + i, count), before = load(a.h + i, count);
        Vec<float> next;
        if (a.kind == CellKind::mingru) {
            const Both<Vec<float>> z = both_sigmoids(first);
            next = z.shut * before + z.open * second;
        } else if (lru) {
            const Vec<float> log_a = sigmoid(first) * load(a.log_decay + i, count);
            const Vec<float> left = -expm1_negative(2 * log_a), least = all(std::numeric_limits<float>::min());
            const Vec<float> scale = square_root(left < least ? least : left);
            next = exp_negative(log_a) * before + scale * (sigmoid(second) * load(x + i, count));
        } else {
            const Both<Vec<float>> share = both_sigmoids(log_sigmoid(first) - log_sigmoid(second));
            next = share.open * before + share.shut * load(y + 2 * H + i, count);
        }
        store(h + i, next, count);
    });
    renew(a.h, h, a.stay_h, H);
}

static void step_slstm(const CellStep& a, const float* x) {
    const int64_t H = a.hidden, E = H / a.heads;
    float *y = a.scratch, *z = y + a.rows();
    run_affine(a.weight_ih, a.bias_ih, x, y, 4 * H, a.input);
    for (int64_t gate = 0; gate < 4; ++gate) {
        for (int64_t head = 0; head < a.heads; ++head) {
            const int64_t first = gate * H + head * E;
            const float* bias = a.bias_hh ? a.bias_hh + first : nullptr;
            run_affine(a.weight_hh + first * E, bias, a.h + head * E, z + first, E, E);
        }
    }
    each_vector(H, [&](int64_t i, int count) {
        const auto sum = [&](int64_t gate) { return load(y + gate * H + i, count) + load(z + gate * H + i, count); };
        const Vec<float> log_i = sum(0), kept = log_sigmoid(sum(1)) + load(a.m + i, count);
        Vec<float> m = kept > log_i ? kept : log_i;
        m = kept != kept ? kept : m;  // NaN stays
        const Vec<float> put = exp_negative(log_i - m), keep = exp_negative(kept - m);
        const Vec<float> c = keep * load(a.c + i, count) + put * tanh(sum(2)), n = keep * load(a.n + i, count) + put;
        store(a.c + i, c, count);
        store(a.n + i, n, count);
        store(a.m + i, m, count);
        store(y + i, sigmoid(sum(3)) * (c / n), count);
    });
    std::memcpy(a.h, y, static_cast<size_t>(H) * sizeof(float));
}

static void step_mlstm(const CellStep& a, const float* x, float* out) {
    const int64_t H = a.hidden, E = H / a.heads;
    float* y = a.scratch;
    run_affine(a.weight_ih, a.bias_ih, x, y, a.rows(), a.input);
    const float small = 1.0f / std::sqrt(static_cast<float>(E));
    for (int64_t head = 0; head < a.heads; ++head) {
        const float *q = y + head * E, *v = q + 2 * H, *show = q + 3 * H;
        float *k = y + H + head * E, *n = a.n + head * E, *to = out + head * E;
        const float log_i = y[4 * H + head], gate = y[4 * H + a.heads + head];
        const float kept = log_sigmoid(all(gate))[0] + a.m[head];
        float m = kept > log_i || kept != kept ? kept : log_i;
        m = m < 0.0f ? 0.0f : m;
        const float put = exp_negative(all(log_i - m))[0], keep = exp_negative(all(kept - m))[0];
        a.m[head] = m;
        Vec<float> sum{};
        each_vector(E, [&](int64_t i, int count) {
            const Vec<float> key = put * small * load(k + i, count);
            store(k + i, key, count);
            const Vec<float> now = keep * load(n + i, count) + key;
            store(n + i, now, count);
            sum += now * load(q + i, count);
        });
        const float along = sum_of(sum), least = exp_negative(all(-m))[0];
        const float size = along < 0.0f ? -along : along, weight = size > least || size != size ? size : least;
        for (int64_t row = 0; row < E; ++row) {
            float* memory = a.c + (head * E + row) * E;
            Vec<float> found{};
            each_vector(E, [&](int64_t i, int count) {
                const Vec<float> now = keep * load(memory + i, count) + v[row] * load(k + i, count);
                store(memory + i, now, count);
                found += now * load(q + i, count);
            });
            to[row] = sigmoid(all(show[row]))[0] * sum_of(found) / weight;
        }
    }
}

static void run_cell(const CellStep& a, const float* x, float* out) {
    const FlushDenormals none;
    if (a.kind == CellKind::mlstm) return step_mlstm(a, x, out);
    switch (a.kind) {
        case CellKind::rnn:
        case CellKind::rnn_relu: step_rnn(a, x); break;
        case CellKind::lstm:
        case CellKind::lstm_peephole: step_lstm(a, x); break;
        case CellKind::gru:
        case CellKind::gru_reset_before: step_gru(a, x); break;
        case CellKind::slstm: step_slstm(a, x); break;
        default: step_linear(a, x);
    }
    std::memcpy(out, a.h, static_cast<size_t>(a.output) * sizeof(float));
}

}  // namespace REKUR_ISA
}  // namespace rekur
