// Long short-term memory: c = f c' + i g, h = o tanh c. Gates stand i, f, g, o.
#pragma once

#include "activations.h"
#include "drive.h"

namespace rekur {
namespace REKUR_ISA {

struct LstmForward : FourGates {
    template <class S>
    static void finish(const Recurrence<S>& a, Rows rows, Units<S> place, const Tile<S>& tile) {
        const int64_t H = a.hidden, u = place.at(0);
        const int n = place.count(0);
        for (int m = 0; m < tile.height; ++m) {
            const int64_t row = rows.row(m), at = a.at.place(rows.t, row);
            const Vec<S> i = sigmoid(tile.row(m)[0]), f = sigmoid(tile.row(m)[1]);
            const Vec<S> g = tanh(tile.row(m)[2]), o = sigmoid(tile.row(m)[3]);
            S* own = a.cells + a.batch(row) * H + u;
            const Vec<S> before = load(a.keep ? previous_cells(a, rows.t, row, H) + u : own, n);
            const Vec<S> c = f * before + i * g;
            store(a.keep ? a.cells + at * H + u : own, c, n);
            put_output(a, rows.t, row, u, n, o * tanh(c));
            if (!a.keep) continue;
            S* to = a.gates + at * 4 * H + u;
            store(to, i, n);
            store(to + H, f, n);
            store(to + 2 * H, g, n);
            store(to + 3 * H, o, n);
        }
    }
};

struct LstmBackward {
    static constexpr int gates = 4, product_gates = 4, gap = 0, cells = 1;
    static constexpr bool needs_output = false, needs_previous = false;

    template <class S>
    static void finish(const RecurrenceBack<S>& a, Rows rows, Units<S> place, const Tile<S>& tile, Trail<S> trail) {
        const int64_t H = a.hidden;
        each_gradient(a, rows, place, tile, trail, [&](int64_t row, int64_t u, int n, Vec<S> d_h, S* to) {
            const int64_t at = a.at.place(rows.t, row);
            const S* from = a.gates + at * 4 * H + u;
            const Vec<S> i = load(from, n), f = load(from + H, n);
            const Vec<S> g = load(from + 2 * H, n), o = load(from + 3 * H, n);
            const Vec<S> squashed = tanh(load(a.cells + at * H + u, n));
            const Vec<S> before = load(previous_cells(a, rows.t, row, H) + u, n);
            S* around = a.d_c + a.batch(row) * H + u;
            const Vec<S> d_c = load(around, n) + d_h * o * (1 - squashed * squashed);
            store(around, d_c * f, n);
            store(to, d_c * g * i * (1 - i), n);
            store(to + H, d_c * before * f * (1 - f), n);
            store(to + 2 * H, d_c * i * (1 - g * g), n);
            store(to + 3 * H, d_h * squashed * o * (1 - o), n);
        });
    }
};

}  // namespace REKUR_ISA
}  // namespace rekur
