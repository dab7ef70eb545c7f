// The forward pass of the variants: for a block of rows the whole recurrent product, then row by row what comes of it.
//
// Normalisation needs the whole row of a product, reset before the product and projection a second product: so the sums
// go through a buffer that stays in the nearest caches. A thread owns its rows for all time, as in drive.h.
#pragma once

#include "activations.h"
#include "drive.h"
#include "norm.h"
#include "variant.h"

namespace rekur {
namespace REKUR_ISA {

constexpr int plain_vectors = REKUR_REGISTERS == 16 ? 3 : 4;  // of a panel of plain columns

// The buffers of one thread.
template <class S>
struct Buffers {
    S *sums, *left, *right, *spare, *second;
    Buffers(const Variant<S>& a, int part) {
        const int64_t side = a.hidden > a.outputs ? a.hidden : a.outputs;
        sums = a.scratch + part * a.scratch_size();  // (block, G·H)
        left = sums + a.block * a.width();           // (block, H or O)
        right = left + a.block * side;               // (block, H or O)
        spare = right + a.block * side;              // one row, G·H and H
        second = spare + a.width() + a.hidden;       // one row, G·H and H
    }
};

// out (count, columns) = left (count, depth) · weightᵀ, the weight packed as plain columns.
template <class S>
inline void multiply_rows(const S* left, int64_t left_stride, int64_t count, int64_t depth, const S* weight,
                          int64_t columns, S* out, int64_t out_stride) {
    const int64_t vectors = vectors_of(columns, lanes<S>);
    for (int64_t panel = 0; panel * plain_vectors < vectors; ++panel) {
        const Units<S> place{panel * plain_vectors * lanes<S>, columns};
        const int wide = width_of(vectors, panel, plain_vectors);
        in_blocks(count, tile_rows(wide), [&](int64_t first, int height) {
            Tile<S> tile{};
            tile.height = height;
            tile.vectors = wide;
            multiply_of<S>(height, wide)(tile.sum, left + first * left_stride, left_stride,
                                         weight + place.first * depth, depth);
            for (int m = 0; m < height; ++m) {
                S* to = out + (first + m) * out_stride;
                for (int v = 0; v < wide; ++v) store(to + place.at(v), tile.row(m)[v], place.count(v));
            }
        });
    }
}

// The output before step t, as it is.
template <class S>
REKUR_INLINE const S* output_before(const Variant<S>& a, int64_t t, int64_t row) {
    return t > 0 ? a.y + a.at.place(t - 1, row) * a.outputs : a.h0 + row * a.outputs;
}

template <class S>
REKUR_INLINE const S* cells_before(const Variant<S>& a, int64_t t, int64_t row) {
    if (!a.keep) return a.cells + row * a.hidden;
    return t > 0 ? a.cells + a.at.place(t - 1, row) * a.hidden : a.c0 + row * a.hidden;
}

// What zoneout leaves of the new value: d · old + (1 - d) · new, with d drawn for each unit or always the same.
template <class S>
REKUR_INLINE Vec<S> zoned(const S* stay, S rate, Vec<S> before, Vec<S> now, int n) {
    if (stay) {
        const Vec<S> d = load(stay, n);
        return d * before + (1 - d) * now;
    }
    return rate == 0 ? now : now + rate * (before - now);
}

// Turns the recurrent product into pre-activations, in place. Of a GRU the sums are r and z only: n's part of the input
// product goes to aside, and its recurrent part is m.
template <class S>
inline void preactivations(const Variant<S>& a, int64_t at, S* sum, S* aside) {
    const int64_t W = a.width(), H = a.hidden, together = a.first_group();
    const S* raw = a.raw + at * W;
    if (!a.normalised()) {
        each_vector<S>(together, [&](int64_t u, int n) { store(sum + u, load(sum + u, n) + load(raw + u, n), n); });
        for (int64_t start = together; start < W; start += H) {
            each_vector<S>(H, [&](int64_t u, int n) {
                store(aside + u, load(raw + start + u, n), n);
                if (a.bias_m) store(sum + start + u, load(sum + start + u, n) + load(a.bias_m + u, n), n);
            });
        }
        return;
    }
    if (a.keep) std::memcpy(a.product + at * W, sum, W * sizeof(S));
    const auto bias = [&](const S* values, int64_t u, int n) { return values ? load(values + u, n) : Vec<S>{}; };
    const Moments<S> x = moments(raw, together, a.epsilon), h = moments(sum, together, a.epsilon);
    each_vector<S>(together, [&](int64_t u, int n) {
        const Vec<S> from_x = x.of(load(raw + u, n)) * load(a.gain_x + u, n) + bias(a.bias_x, u, n);
        store(sum + u, from_x + h.of(load(sum + u, n)) * load(a.gain_h + u, n), n);
    });
    for (int64_t start = together; start < W; start += H) {
        const Moments<S> x_n = moments(raw + start, H, a.epsilon), h_n = moments(sum + start, H, a.epsilon);
        each_vector<S>(H, [&](int64_t u, int n) {
            const int64_t w = start + u;
            store(aside + u, x_n.of(load(raw + w, n)) * load(a.gain_x + w, n) + bias(a.bias_x, w, n), n);
            store(sum + w, h_n.of(load(sum + w, n)) * load(a.gain_h + w, n) + bias(a.bias_m, u, n), n);
        });
    }
}

// Writes the output of a step, and what the next step's product sees of it.
template <class S>
inline void put_row(const Variant<S>& a, int64_t t, int64_t row, const S* fresh) {
    const int64_t O = a.outputs, at = a.at.place(t, row) * O;
    const S* before = output_before(a, t, row);
    each_vector<S>(O, [&](int64_t u, int n) {
        const S* stay = a.stay_h ? a.stay_h + at + u : nullptr;
        const Vec<S> h = zoned(stay, a.rate_h, load(before + u, n), load(fresh + u, n), n);
        store(a.y + at + u, h, n);
        if (a.mask) store(a.seen + row * O + u, h * load(a.mask + row * O + u, n), n);
    });
}

template <class S>
inline void elman_row(const Variant<S>& a, int64_t t, int64_t row, S* sum, S* fresh, S* spare) {
    const int64_t at = a.at.place(t, row), H = a.hidden;
    preactivations(a, at, sum, spare);
    const bool is_tanh = a.equations == Equations::tanh_rnn;
    each_vector<S>(H, [&](int64_t u, int n) {
        const Vec<S> before = load(sum + u, n), h = is_tanh ? tanh(before) : relu(before);
        store(fresh + u, h, n);
        if (a.keep) store(a.kept + at * H + u, h, n);
    });
}

// Leaves o · tanh of the memory in fresh, before any projection.
template <class S>
inline void lstm_row(const Variant<S>& a, int64_t t, int64_t row, S* sum, S* fresh, S* spare) {
    const int64_t at = a.at.place(t, row), H = a.hidden;
    preactivations(a, at, sum, spare);
    const S *before = cells_before(a, t, row), *p = a.peepholes;
    S* cells = a.keep ? a.cells + at * H : a.cells + row * H;
    S *memory = spare, *show = sum + 3 * H;
    each_vector<S>(H, [&](int64_t u, int n) {
        const Vec<S> old = load(before + u, n), g = tanh(load(sum + 2 * H + u, n));
        Vec<S> i = load(sum + u, n), f = load(sum + H + u, n), o = load(show + u, n);
        if (p) i += load(p + u, n) * old, f += load(p + H + u, n) * old;
        i = sigmoid(i), f = sigmoid(f);
        const Vec<S> c = f * old + i * g;
        if (p) o += load(p + 2 * H + u, n) * c;
        o = sigmoid(o);
        store(memory + u, c, n);
        store(show + u, o, n);
        store(cells + u, zoned(a.stay_c ? a.stay_c + at * H + u : nullptr, a.rate_c, old, c, n), n);
        if (!a.keep) return;
        S* to = a.kept + at * 4 * H + u;
        store(to, i, n);
        store(to + H, f, n);
        store(to + 2 * H, g, n);
        store(to + 3 * H, o, n);
    });
    Moments<S> stats{};
    if (a.gain_c) stats = moments(memory, H, a.epsilon);
    each_vector<S>(H, [&](int64_t u, int n) {
        Vec<S> c = load(memory + u, n);
        if (a.gain_c) c = stats.of(c) * load(a.gain_c + u, n) + load(a.bias_c + u, n);
        const Vec<S> h = load(show + u, n) * tanh(c);
        store(fresh + u, h, n);
        if (a.keep && a.hiddens) store(a.hiddens + at * H + u, h, n);
    });
}

template <class S>
inline void gru_row(const Variant<S>& a, int64_t t, int64_t row, S* sum, S* fresh, S* spare) {
    const int64_t at = a.at.place(t, row), H = a.hidden;
    preactivations(a, at, sum, spare);
    const S* before = output_before(a, t, row);
    each_vector<S>(H, [&](int64_t u, int n) {
        const Vec<S> r = sigmoid(load(sum + u, n)), z = sigmoid(load(sum + H + u, n)), m = load(sum + 2 * H + u, n);
        const Vec<S> candidate = tanh(load(spare + u, n) + r * m);
        store(fresh + u, candidate + z * (load(before + u, n) - candidate), n);
        if (!a.keep) return;
        S* to = a.kept + at * 4 * H + u;
        store(to, r, n);
        store(to + H, z, n);
        store(to + 2 * H, candidate, n);
        store(to + 3 * H, m, n);
    });
}

// Reset before the product, first part: leaves r and z in the sums and what the second product sees in reset.
template <class S>
inline void reset_row(const Variant<S>& a, int64_t t, int64_t row, S* sum, S* reset) {
    const int64_t H = a.hidden;
    const S *raw = a.raw + a.at.place(t, row) * 3 * H, *before = output_before(a, t, row);
    each_vector<S>(H, [&](int64_t u, int n) {
        const Vec<S> r = sigmoid(load(sum + u, n) + load(raw + u, n));
        Vec<S> seen = load(before + u, n);
        if (a.mask) seen *= load(a.mask + row * H + u, n);
        store(sum + u, r, n);
        store(sum + H + u, sigmoid(load(sum + H + u, n) + load(raw + H + u, n)), n);
        store(reset + u, r * seen, n);
    });
}

template <class S>
inline void candidate_row(const Variant<S>& a, int64_t t, int64_t row, const S* sum, S* fresh) {
    const int64_t at = a.at.place(t, row), H = a.hidden;
    const S *raw = a.raw + at * 3 * H, *before = output_before(a, t, row);
    each_vector<S>(H, [&](int64_t u, int n) {
        const Vec<S> r = load(sum + u, n), z = load(sum + H + u, n);
        const Vec<S> candidate = tanh(load(sum + 2 * H + u, n) + load(raw + 2 * H + u, n));
        store(fresh + u, candidate + z * (load(before + u, n) - candidate), n);
        if (!a.keep) return;
        S* to = a.kept + at * 3 * H + u;
        store(to, r, n);
        store(to + H, z, n);
        store(to + 2 * H, candidate, n);
    });
}

template <class S>
void forward_block(const Variant<S>& a, Rows rows, int64_t count, const Buffers<S>& b) {
    const int64_t H = a.hidden, O = a.outputs, W = a.width(), t = rows.t;
    const bool first = t == 0 || a.mask;
    const S* seen = a.mask ? a.seen : t == 0 ? a.h0 : a.y + a.at.first[t - 1] * O;
    const int64_t stride = first ? O : a.at.stride * O;
    multiply_rows(seen + rows.begin * stride, rows.step * stride, count, O, a.weight, a.product_gates() * H, b.sums, W);
    const auto each_row = [&](auto&& f) {
        for (int64_t m = 0; m < count; ++m) f(rows.begin + m * rows.step, b.sums + m * W, b.left + m * H, m);
    };
    switch (a.equations) {
        case Equations::tanh_rnn:
        case Equations::relu_rnn:
            each_row([&](int64_t row, S* sum, S* fresh, int64_t) { elman_row(a, t, row, sum, fresh, b.spare); });
            break;
        case Equations::lstm:
            each_row([&](int64_t row, S* sum, S* fresh, int64_t) { lstm_row(a, t, row, sum, fresh, b.spare); });
            break;
        case Equations::gru:
            each_row([&](int64_t row, S* sum, S* fresh, int64_t) { gru_row(a, t, row, sum, fresh, b.spare); });
            break;
        case Equations::gru_reset_before:
            each_row([&](int64_t row, S* sum, S* reset, int64_t) { reset_row(a, t, row, sum, reset); });
            multiply_rows(b.left, H, count, H, a.candidate, H, b.sums + 2 * H, W);
            each_row([&](int64_t row, S* sum, S* fresh, int64_t) { candidate_row(a, t, row, sum, fresh); });
            break;
    }
    const S* fresh = b.left;
    if (a.projection) {
        multiply_rows(b.left, H, count, H, a.projection, O, b.right, O);
        fresh = b.right;
    }
    each_row([&](int64_t row, S*, S*, int64_t m) { put_row(a, t, row, fresh + m * O); });
}

template <class S>
void run_variant(const Variant<S>& a, const Share& share) {
    FlushDenormals flush;
    const Buffers<S> buffers(a, share.part);
    for (int64_t t = 0; t < a.at.steps; ++t) {
        const Share::Rows mine = share.rows(a.at, a.at.active[t]);
        for (int64_t done = 0; done < mine.count; done += a.block) {
            const int64_t left = mine.count - done;
            forward_block(a, Rows{t, mine.row(done), mine.step}, left < a.block ? left : a.block, buffers);
        }
    }
}

}  // namespace REKUR_ISA
}  // namespace rekur
