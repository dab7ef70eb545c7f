// LSTM with exponential gates: m = max(log f + m', log i), c = f c' + i z, n = f n' + i, h = o c / n, where f and i are
// divided by e^m. Gates stand i, f, z, o; what is kept of the memory stands c, n, s, with s = sigmoid(-) of f's sum.
//
// Of i and f the larger is 1. It is kept as -1, since only backward reads it: so that sign says which way m came. Where
// both are the same each has half of m's gradient, as PyTorch's maximum has it.
#pragma once

#include "activations.h"
#include "drive.h"

namespace rekur {
namespace REKUR_ISA {

struct SlstmForward : FourGates {
    template <class S>
    static void finish(const Recurrence<S>& a, Rows rows, Units<S> place, const Tile<S>& tile) {
        const int64_t H = a.hidden, u = place.at(0);
        const int count = place.count(0);
        for (int m = 0; m < tile.height; ++m) {
            const int64_t row = rows.row(m), at = a.at.place(rows.t, row);
            S* own = a.cells + a.batch(row) * 3 * H + u;
            const S* past = a.keep ? previous_cells(a, rows.t, row, 3 * H) + u : own;
            S* running = a.memory + a.batch(row) * 3 * H + u;
            const Vec<S> log_i = tile.row(m)[0], sum = tile.row(m)[1];
            const Both<Vec<S>> f_gate = both_sigmoids(sum);
            const Vec<S> log_f = (sum < 0 ? sum : Vec<S>{}) - log1p_unit(f_gate.small);
            const Vec<S> kept = log_f + load(running, count);
            Vec<S> largest = kept > log_i ? kept : log_i;
            largest = kept != kept ? kept : largest;  // NaN stays
            const Vec<S> i = exp_negative(log_i - largest), f = exp_negative(kept - largest);
            const Vec<S> z = tanh(tile.row(m)[2]), o = sigmoid(tile.row(m)[3]);
            const Vec<S> c = fused(f, load(past, count), i * z), n = fused(f, load(past + H, count), i);
            store(running, largest, count);
            S* to = a.keep ? a.cells + at * 3 * H + u : own;
            store(to, c, count);
            store(to + H, n, count);
            put_output(a, rows.t, row, u, count, o * (c / n));
            if (!a.keep) continue;
            store(to + 2 * H, f_gate.shut, count);
            S* gates = a.gates + at * 4 * H + u;
            store(gates, log_i >= kept ? -i : i, count);
            store(gates + H, kept >= log_i ? -f : f, count);
            store(gates + 2 * H, z, count);
            store(gates + 3 * H, o, count);
        }
    }
};

struct SlstmBackward {
    static constexpr int gates = 4, product_gates = 4, gap = 0, cells = 3;
    static constexpr bool needs_output = false, needs_previous = false;

    template <class S>
    static void finish(const RecurrenceBack<S>& a, Rows rows, Units<S> place, const Tile<S>& tile, Trail<S> trail) {
        const int64_t H = a.hidden;
        each_gradient(a, rows, place, tile, trail, [&](int64_t row, int64_t u, int count, Vec<S> d_h, S* to) {
            const int64_t at = a.at.place(rows.t, row);
            const S* from = a.gates + at * 4 * H + u;
            const S* now = a.cells + at * 3 * H + u;
            const S* past = previous_cells(a, rows.t, row, 3 * H) + u;
            S* around = a.d_c + a.batch(row) * 3 * H + u;
            const Vec<S> signed_i = load(from, count), signed_f = load(from + H, count);
            const Vec<S> i = magnitude(signed_i), f = magnitude(signed_f);
            const Vec<S> z = load(from + 2 * H, count), o = load(from + 3 * H, count);
            const Vec<S> n = load(now + H, count);
            const Vec<S> mean = load(now, count) / n, d_mean = d_h * o / n;
            const Vec<S> d_c = load(around, count) + d_mean, d_n = load(around + H, count) - d_mean * mean;
            const Vec<S> d_m = load(around + 2 * H, count);
            const Vec<S> to_f = (d_c * load(past, count) + d_n * load(past + H, count)) * f;
            const Vec<S> to_i = (d_c * z + d_n) * i;
            // what reaches m goes to whichever it was, and with it what f and i lose by being divided
            const Vec<S> if_f = d_m - to_i, if_i = d_m - to_f;
            Vec<S> d_kept = signed_f < 0 ? if_f : to_f, d_log = signed_i < 0 ? if_i : to_i;
            const auto both = (signed_f < 0) & (signed_i < 0);
            d_kept = both ? (to_f + if_f) * S(0.5) : d_kept;
            d_log = both ? (to_i + if_i) * S(0.5) : d_log;
            store(around, d_c * f, count);
            store(around + H, d_n * f, count);
            store(around + 2 * H, d_kept, count);
            store(to, d_log, count);
            store(to + H, d_kept * load(now + 2 * H, count), count);
            store(to + 2 * H, d_c * i * (1 - z * z), count);
            store(to + 3 * H, d_h * mean * o * (1 - o), count);
        });
    }
};

}  // namespace REKUR_ISA
}  // namespace rekur
