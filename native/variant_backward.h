// The backward pass of the variants: for a block of rows what comes from the next step, then each row through the step.
#pragma once

#include "variant_forward.h"

namespace rekur {
namespace REKUR_ISA {

// Where one thread adds up the gradients of what all rows share.
template <class S>
struct Shared {
    S *gain_x, *gain_h, *bias_x, *bias_m, *gain_c, *bias_c, *peepholes;
    Shared(const Variant<S>& a, int part) {
        gain_x = a.sums + part * a.sums_size();
        gain_h = gain_x + a.width();
        bias_x = gain_h + a.width();
        bias_m = bias_x + a.width();
        gain_c = bias_m + a.hidden;
        bias_c = gain_c + a.hidden;
        peepholes = bias_c + a.hidden;
    }
};

// Takes the gradients of the pre-activations from the input (d_x) and from the state (d_h) through normalisation.
template <class S>
inline void through_norm(const Variant<S>& a, int64_t at, const S* d_x, const S* d_h, const Shared<S>& sums) {
    if (!a.normalised()) return;
    const int64_t W = a.width(), together = a.first_group(), from = at * W;
    const auto group = [&](int64_t start, int64_t size) {
        normalise_back(a.raw + from + start, a.gain_x + start, d_x + start, sums.gain_x + start,
                       a.d_raw + from + start, size, a.epsilon);
        normalise_back(a.product + from + start, a.gain_h + start, d_h + start, sums.gain_h + start,
                       a.d_product + from + start, size, a.epsilon);
    };
    each_vector<S>(W, [&](int64_t u, int n) { add_to(sums.bias_x + u, load(d_x + u, n), n); });
    group(0, together);
    if (together < W) group(together, W - together);
}

template <class S>
inline void elman_back(const Variant<S>& a, int64_t at, const S* d_h, const Buffers<S>& b, const Shared<S>& sums) {
    const int64_t H = a.hidden;
    const bool is_tanh = a.equations == Equations::tanh_rnn;
    S* d = a.normalised() ? b.spare : a.d_raw + at * H;
    each_vector<S>(H, [&](int64_t u, int n) {
        const Vec<S> h = load(a.kept + at * H + u, n), here = load(d_h + u, n);
        store(d + u, is_tanh ? here * (1 - h * h) : (h > 0 ? here : h * 0), n);
    });
    through_norm(a, at, d, d, sums);
}

// Writes the memory c, and the gradient of it that comes from the output, d = o · tanh' through any normalisation.
template <class S>
inline void memory_back(const Variant<S>& a, int64_t at, const S* old, const S* d_h, S* c, S* d_c, S* d_show,
                        const Shared<S>& sums) {
    const int64_t H = a.hidden;
    const S* gates = a.kept + at * 4 * H;
    each_vector<S>(H, [&](int64_t u, int n) {
        store(c + u, load(gates + H + u, n) * load(old + u, n) + load(gates + u, n) * load(gates + 2 * H + u, n), n);
    });
    Moments<S> stats{};
    if (a.gain_c) stats = moments(c, H, a.epsilon);
    S* d_read = a.gain_c ? d_c + H : d_c;
    each_vector<S>(H, [&](int64_t u, int n) {
        Vec<S> read = load(c + u, n);
        if (a.gain_c) read = stats.of(read) * load(a.gain_c + u, n) + load(a.bias_c + u, n);
        const Vec<S> squashed = tanh(read), o = load(gates + 3 * H + u, n), here = load(d_h + u, n);
        const Vec<S> d = here * o * (1 - squashed * squashed);
        store(d_show + u, here * squashed * o * (1 - o), n);
        store(d_read + u, d, n);
        if (a.gain_c) add_to(sums.bias_c + u, d, n);
    });
    if (a.gain_c) normalise_back(c, a.gain_c, d_read, sums.gain_c, d_c, H, a.epsilon);
}

template <class S>
inline void lstm_back(const Variant<S>& a, int64_t t, int64_t row, const S* d_h, const Buffers<S>& b,
                      const Shared<S>& sums) {
    const int64_t H = a.hidden, at = a.at.place(t, row);
    S* d = a.normalised() ? b.spare : a.d_raw + at * 4 * H;
    S *c = b.second, *from_output = b.second + H;
    const S *before = cells_before(a, t, row), *gates = a.kept + at * 4 * H, *p = a.peepholes;
    memory_back(a, at, before, d_h, c, from_output, d + 3 * H, sums);
    each_vector<S>(H, [&](int64_t u, int n) {
        const Vec<S> i = load(gates + u, n), f = load(gates + H + u, n), g = load(gates + 2 * H + u, n);
        const Vec<S> old = load(before + u, n), d_o = load(d + 3 * H + u, n);
        S* carried = a.d_c + row * H + u;
        Vec<S> d_c = load(carried, n), around{};
        if (a.stay_c || a.rate_c != 0) {
            const Vec<S> stay = a.stay_c ? load(a.stay_c + at * H + u, n) : all(a.rate_c);
            around = stay * d_c;
            d_c *= 1 - stay;
        }
        d_c += load(from_output + u, n);
        if (p) d_c += load(p + 2 * H + u, n) * d_o;
        const Vec<S> d_i = d_c * g * i * (1 - i), d_f = d_c * old * f * (1 - f);
        store(d + u, d_i, n);
        store(d + H + u, d_f, n);
        store(d + 2 * H + u, d_c * i * (1 - g * g), n);
        d_c = around + d_c * f;
        if (p) {
            d_c += load(p + u, n) * d_i + load(p + H + u, n) * d_f;
            add_to(sums.peepholes + u, d_i * old, n);
            add_to(sums.peepholes + H + u, d_f * old, n);
            add_to(sums.peepholes + 2 * H + u, d_o * load(c + u, n), n);
        }
        store(carried, d_c, n);
    });
    through_norm(a, at, d, d, sums);
}

template <class S>
inline void gru_back(const Variant<S>& a, int64_t t, int64_t row, const S* d_h, const Buffers<S>& b,
                     const Shared<S>& sums) {
    const int64_t H = a.hidden, at = a.at.place(t, row);
    S* d_x = a.normalised() ? b.spare : a.d_raw + at * 3 * H;
    S* d_s = a.normalised() ? b.second : a.d_product + at * 3 * H;
    const S *before = output_before(a, t, row), *gates = a.kept + at * 4 * H;
    each_vector<S>(H, [&](int64_t u, int n) {
        const Vec<S> r = load(gates + u, n), z = load(gates + H + u, n);
        const Vec<S> candidate = load(gates + 2 * H + u, n), m = load(gates + 3 * H + u, n);
        const Vec<S> here = load(d_h + u, n), d_n = here * (1 - z) * (1 - candidate * candidate);
        const Vec<S> d_r = d_n * m * r * (1 - r), d_z = here * (load(before + u, n) - candidate) * z * (1 - z);
        add_to(a.d_h + row * H + u, here * z, n);
        store(d_x + u, d_r, n);
        store(d_x + H + u, d_z, n);
        store(d_x + 2 * H + u, d_n, n);
        store(d_s + u, d_r, n);
        store(d_s + H + u, d_z, n);
        store(d_s + 2 * H + u, d_n * r, n);
        if (a.bias_m) add_to(sums.bias_m + u, d_n * r, n);
    });
    through_norm(a, at, d_x, d_s, sums);
}

// Reset before the product, first part: the gradients of z and n.
template <class S>
inline void candidate_back(const Variant<S>& a, int64_t t, int64_t row, const S* d_h) {
    const int64_t H = a.hidden, at = a.at.place(t, row);
    const S *before = output_before(a, t, row), *gates = a.kept + at * 3 * H;
    S* d = a.d_raw + at * 3 * H;
    each_vector<S>(H, [&](int64_t u, int n) {
        const Vec<S> z = load(gates + H + u, n), candidate = load(gates + 2 * H + u, n), here = load(d_h + u, n);
        add_to(a.d_h + row * H + u, here * z, n);
        store(d + H + u, here * (load(before + u, n) - candidate) * z * (1 - z), n);
        store(d + 2 * H + u, here * (1 - z) * (1 - candidate * candidate), n);
    });
}

// Second part, with the gradient of what the second product saw: that of r, and what goes on to the output before.
template <class S>
inline void reset_back(const Variant<S>& a, int64_t t, int64_t row, const S* d_reset) {
    const int64_t H = a.hidden, at = a.at.place(t, row);
    const S* before = output_before(a, t, row);
    each_vector<S>(H, [&](int64_t u, int n) {
        const Vec<S> r = load(a.kept + at * 3 * H + u, n), d = load(d_reset + u, n);
        const Vec<S> mask = a.mask ? load(a.mask + row * H + u, n) : all(S(1));
        store(a.d_raw + at * 3 * H + u, d * load(before + u, n) * mask * r * (1 - r), n);
        add_to(a.d_h + row * H + u, d * r * mask, n);
    });
}

// Makes the whole gradient of an output of the product's part of it. Past zoneout it is that of the new value; what
// goes around stays in a.d_h. Before the first step it is that of h0.
template <class S>
inline void arrive(const Variant<S>& a, int64_t t, int64_t row, S* d) {
    const int64_t O = a.outputs;
    const int64_t at = t < 0 ? 0 : a.at.place(t, row) * O;
    S* carried = a.d_h + row * O;
    each_vector<S>(O, [&](int64_t u, int n) {
        Vec<S> here = load(d + u, n);
        if (a.mask) here *= load(a.mask + row * O + u, n);
        here += load(carried + u, n);
        if (t < 0) return store(carried + u, here, n);
        here += load(a.d_y + at + u, n);
        Vec<S> around{};
        if (a.stay_h || a.rate_h != 0) {
            const Vec<S> stay = a.stay_h ? load(a.stay_h + at + u, n) : all(a.rate_h);
            around = stay * here;
            here *= 1 - stay;
        }
        store(carried + u, around, n);
        store(d + u, here, n);
        if (a.projection) store(a.d_y + at + u, here, n);
    });
}

template <class S>
void backward_block(const Variant<S>& a, Rows rows, int64_t count, int64_t going_on, const Buffers<S>& b,
                    const Shared<S>& sums) {
    const int64_t H = a.hidden, O = a.outputs, W = a.width(), t = rows.t, depth = a.product_gates() * H;
    if (going_on > 0) {
        const S* after = a.d_product + (a.at.first[t + 1] + rows.begin * a.at.stride) * W;
        multiply_rows(after, rows.step * a.at.stride * W, going_on, depth, a.weight, O, b.left, O);
    }
    if (going_on < count) std::memset(b.left + going_on * O, 0, (count - going_on) * O * sizeof(S));
    const auto each_row = [&](auto&& f) {
        for (int64_t m = 0; m < count; ++m) f(rows.begin + m * rows.step, m);
    };
    each_row([&](int64_t row, int64_t m) { arrive(a, t, row, b.left + m * O); });
    if (t < 0) return;
    const S* d_h = b.left;
    if (a.projection) {
        multiply_rows(b.left, O, count, O, a.projection, H, b.right, H);
        d_h = b.right;
    }
    switch (a.equations) {
        case Equations::tanh_rnn:
        case Equations::relu_rnn:
            each_row([&](int64_t row, int64_t m) { elman_back(a, a.at.place(t, row), d_h + m * H, b, sums); });
            break;
        case Equations::lstm:
            each_row([&](int64_t row, int64_t m) { lstm_back(a, t, row, d_h + m * H, b, sums); });
            break;
        case Equations::gru:
            each_row([&](int64_t row, int64_t m) { gru_back(a, t, row, d_h + m * H, b, sums); });
            break;
        case Equations::gru_reset_before: {
            each_row([&](int64_t row, int64_t m) { candidate_back(a, t, row, d_h + m * H); });
            const S* d_n = a.d_raw + (a.at.first[t] + rows.begin * a.at.stride) * W + 2 * H;
            multiply_rows(d_n, rows.step * a.at.stride * W, count, H, a.candidate, H, b.right, H);
            each_row([&](int64_t row, int64_t m) { reset_back(a, t, row, b.right + m * H); });
            break;
        }
    }
}

template <class S>
void run_variant_back(const Variant<S>& a, const Share& share) {
    FlushDenormals flush;
    const Buffers<S> buffers(a, share.part);
    const Shared<S> sums(a, share.part);
    for (int64_t t = a.at.steps - 1; t >= -1; --t) {
        const Share::Rows mine = share.rows(a.at, t < 0 ? a.at.rows : a.at.active[t]);
        const int64_t later = t + 1 < a.at.steps ? share.rows(a.at, a.at.active[t + 1]).count : 0;
        for (int64_t done = 0; done < mine.count; done += a.block) {
            const int64_t count = mine.count - done < a.block ? mine.count - done : a.block;
            const int64_t going_on = later < done ? 0 : later - done < count ? later - done : count;
            backward_block(a, Rows{t, mine.row(done), mine.step}, count, going_on, buffers, sums);
        }
    }
}

}  // namespace REKUR_ISA
}  // namespace rekur
