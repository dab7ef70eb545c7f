// The gated recurrent unit: n = tanh(x_n + r m), m = U h' + b, h = n + z (h' - n). Pieces stand r, z, n, m.
#pragma once

#include "activations.h"
#include "drive.h"

namespace rekur {
namespace REKUR_ISA {

struct GruForward {
    static constexpr int units = 1, product_gates = 3;

    template <class S>
    static void start(const Recurrence<S>& a, Rows rows, Units<S> place, Tile<S>& tile) {
        const int64_t H = a.hidden, u = place.at(0);
        const int n = place.count(0);
        const Vec<S> bias = a.bias ? load(a.bias + u, n) : Vec<S>{};
        for (int m = 0; m < tile.height; ++m) {
            const S* from = a.gates + a.at.place(rows.t, rows.row(m)) * 4 * H + u;
            tile.row(m)[0] = load(from, n);
            tile.row(m)[1] = load(from + H, n);
            tile.row(m)[2] = bias;
        }
    }

    template <class S>
    static void finish(const Recurrence<S>& a, Rows rows, Units<S> place, const Tile<S>& tile) {
        const int64_t H = a.hidden, u = place.at(0);
        const int n = place.count(0);
        for (int m = 0; m < tile.height; ++m) {
            const int64_t row = rows.row(m);
            S* to = a.gates + a.at.place(rows.t, row) * 4 * H + u;
            const Vec<S> r = sigmoid(tile.row(m)[0]), z = sigmoid(tile.row(m)[1]), product = tile.row(m)[2];
            const Vec<S> candidate = tanh(load(to + 2 * H, n) + r * product);
            const Vec<S> before = load(previous_output(a, rows.t, row) + u, n);
            put_output(a, rows.t, row, u, n, candidate + z * (before - candidate));
            if (!a.keep) continue;
            store(to, r, n);
            store(to + H, z, n);
            store(to + 2 * H, candidate, n);
            store(to + 3 * H, product, n);
        }
    }
};

struct GruBackward {
    static constexpr int gates = 4, product_gates = 3, gap = 1, cells = 0;  // n stands before m, and has no product
    static constexpr bool needs_output = false, needs_previous = true;

    template <class S>
    static void finish(const RecurrenceBack<S>& a, Rows rows, Units<S> place, const Tile<S>& tile, Trail<S> trail) {
        const int64_t H = a.hidden;
        each_gradient<true>(a, rows, place, tile, trail, [&](int64_t row, int64_t u, int n, Vec<S> d_h, S* to) {
            const int64_t at = a.at.place(rows.t, row);
            const S* from = a.gates + at * 4 * H + u;
            const Vec<S> r = load(from, n), z = load(from + H, n);
            const Vec<S> candidate = load(from + 2 * H, n), product = load(from + 3 * H, n);
            const Vec<S> before = load(previous_output(a, rows.t, row) + u, n);
            const Vec<S> d_n = d_h * (1 - z) * (1 - candidate * candidate);
            store(a.d_h + a.batch(row) * H + u, d_h * z, n);
            store(to, d_n * product * r * (1 - r), n);
            store(to + H, d_h * (before - candidate) * z * (1 - z), n);
            store(to + 2 * H, d_n, n);
            store(to + 3 * H, d_n * r, n);
        });
    }
};

}  // namespace REKUR_ISA
}  // namespace rekur
