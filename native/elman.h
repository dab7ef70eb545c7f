// The simple recurrent network: h = φ(x + U h').
#pragma once

#include "activations.h"
#include "drive.h"

namespace rekur {
namespace REKUR_ISA {

template <bool is_tanh>
struct ElmanForward {
    static constexpr int units = REKUR_REGISTERS == 16 ? 3 : 4, product_gates = 1;

    template <class S>
    static void start(const Recurrence<S>& a, Rows rows, Units<S> place, Tile<S>& tile) {
        for (int m = 0; m < tile.height; ++m) {
            const S* from = a.outputs + a.out.place(rows.t, rows.row(m));
            for (int v = 0; v < tile.vectors; ++v) tile.row(m)[v] = load(from + place.at(v), place.count(v));
        }
    }

    template <class S>
    static void finish(const Recurrence<S>& a, Rows rows, Units<S> place, const Tile<S>& tile) {
        for (int m = 0; m < tile.height; ++m) {
            for (int v = 0; v < tile.vectors; ++v) {
                const Vec<S> h = is_tanh ? tanh(tile.row(m)[v]) : relu(tile.row(m)[v]);
                put_output(a, rows.t, rows.row(m), place.at(v), place.count(v), h);
            }
        }
    }
};

template <bool is_tanh>
struct ElmanBackward {
    static constexpr int gates = 1, product_gates = 1, gap = 0, cells = 0;
    static constexpr bool needs_output = true, needs_previous = false;

    template <class S>
    static void finish(const RecurrenceBack<S>& a, Rows rows, Units<S> place, const Tile<S>& tile, Trail<S> to) {
        each_gradient(a, rows, place, tile, to, [&](int64_t row, int64_t unit, int count, Vec<S> d_h, S* d) {
            const Vec<S> h = load(a.outputs + a.out.place(rows.t, row) + unit, count);
            store(d, is_tanh ? d_h * (1 - h * h) : (h > 0 ? d_h : h * 0), count);
        });
    }
};

}  // namespace REKUR_ISA
}  // namespace rekur
