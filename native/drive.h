// The time driver: steps forward or backward, panels of columns within a step, tiles of rows within a panel.
#pragma once

#include "gemm.h"
#include "layout.h"
#include "share.h"

namespace rekur {
namespace REKUR_ISA {

// Some rows of one step, as a tile sees them.
struct Rows {
    int64_t t, begin, step;
    int64_t row(int m) const { return begin + m * step; }
};

// Some units: the first, the end of their head, and how many lanes of each vector there are.
template <class S>
struct Units {
    int64_t first, end;
    int64_t at(int v) const { return first + v * lanes<S>; }
    int count(int v) const {
        const int64_t left = end - at(v);
        return left >= lanes<S> ? lanes<S> : static_cast<int>(left);
    }
};

inline int64_t vectors_of(int64_t numbers, int lanes) { return (numbers + lanes - 1) / lanes; }

// The vectors of one panel: most of them, or what is left in the last panel.
inline int width_of(int64_t vectors, int64_t panel, int most) {
    const int64_t left = vectors - panel * most;
    return left < most ? static_cast<int>(left) : most;
}

// Forward: Cell::start fills the tile of one panel, the product is added, Cell::finish makes outputs of it.
template <class Cell, class S>
void run_forward(const Recurrence<S>& a, const Share& share) {
    FlushDenormals flush;
    const int64_t depth = a.hidden / a.heads;  // a product stays within its head
    const int64_t vectors = vectors_of(depth, lanes<S>), panels = vectors_of(vectors, Cell::units);
    const Share::Range range = share.panels(a.heads * panels);
    for (int64_t t = 0; t < a.at.steps; ++t) {
        const Share::Rows mine = share.rows(a.at, a.at.active[t]);
        const S* before = a.seen0;
        int64_t stride = a.hidden;
        if (t > 0 && a.mask) {
            before = a.seen + ((t - 1) & 1) * a.at.rows * a.hidden;
        } else if (t > 0) {
            before = a.outputs + a.at.first[t - 1] * a.hidden;
            stride = a.at.stride * a.hidden;
        }
        for (int64_t panel = range.begin; panel < range.end; ++panel) {
            const int64_t head = panel / panels, inner = panel % panels, vector = inner * Cell::units;
            const Units<S> place{head * depth + vector * lanes<S>, (head + 1) * depth};
            const S* weight = a.weight + (head * vectors + vector) * lanes<S> * Cell::product_gates * depth;
            const S* left = before + head * depth;
            const int wide = width_of(vectors, inner, Cell::units) * Cell::product_gates;
            in_blocks(mine.count, tile_rows(wide), [&](int64_t first, int height) {
                const Rows rows{t, mine.row(first), mine.step};
                Tile<S> tile;
                tile.height = height;
                tile.vectors = wide;
                Cell::start(a, rows, place, tile);
                multiply_of<S>(height, wide)(tile.sum, left + rows.begin * stride, rows.step * stride, weight, depth);
                Cell::finish(a, rows, place, tile);
            });
        }
        share.meet();
    }
}

constexpr int back_vectors = REKUR_REGISTERS == 16 ? 3 : 4;

// Backward: the product of the next step's gradients comes to each output, Cell::finish makes this step's of it.
template <class Cell, class S>
void run_backward(const RecurrenceBack<S>& a, const Share& share) {
    FlushDenormals flush;
    const int64_t size = a.hidden / a.heads, depth = Cell::product_gates * size, width = Cell::gates * a.hidden;
    const int64_t vectors = vectors_of(size, lanes<S>), panels = vectors_of(vectors, back_vectors);
    const Share::Range range = share.panels(a.heads * panels);
    for (int64_t t = a.at.steps - 1; t >= -1; --t) {
        const Share::Rows mine = share.rows(a.at, t < 0 ? a.at.rows : a.at.active[t]);
        const int64_t going_on = t + 1 < a.at.steps ? share.rows(a.at, a.at.active[t + 1]).count : 0;
        const S* after = t + 1 < a.at.steps ? a.d_gates + a.at.first[t + 1] * width : nullptr;
        const int64_t stride = a.at.stride * width;
        for (int64_t panel = range.begin; panel < range.end; ++panel) {
            const int64_t head = panel / panels, inner = panel % panels, vector = inner * back_vectors;
            const Units<S> place{head * size + vector * lanes<S>, (head + 1) * size};
            const S* weight = a.weight + (head * vectors + vector) * lanes<S> * depth;
            const int wide = width_of(vectors, inner, back_vectors);
            const auto part = [&](int64_t from, int64_t count, bool product) {
                in_blocks(count, tile_rows(wide), [&](int64_t first, int height) {
                    const Rows rows{t, mine.row(from + first), mine.step};
                    Tile<S> tile{};
                    tile.height = height;
                    tile.vectors = wide;
                    const S* left = product ? after + rows.begin * stride : nullptr;
                    for (int gate = 0; product && a.heads > 1 && gate < Cell::product_gates; ++gate) {
                        multiply_of<S>(height, wide)(tile.sum, left + gate * a.hidden + head * size, rows.step * stride,
                                                     weight + gate * size * wide * lanes<S>, size);
                    }
                    if (product && a.heads == 1) {
                        const auto multiply = multiply_of<S>(height, wide);
                        // of the gates' gradients the last one may stand apart
                        const int64_t beside = Cell::gap ? depth - a.hidden : depth;
                        multiply(tile.sum, left, rows.step * stride, weight, beside);
                        if (Cell::gap) {
                            multiply(tile.sum, left + beside + Cell::gap * a.hidden, rows.step * stride,
                                     weight + beside * wide * lanes<S>, a.hidden);
                        }
                    }
                    Cell::finish(a, rows, place, tile);
                });
            };
            part(0, going_on, true);
            part(going_on, mine.count - going_on, false);
        }
        share.meet();
    }
}

// The gradient of an output but for what comes from the next step by other ways than the product.
template <class S>
REKUR_INLINE Vec<S> arriving(const RecurrenceBack<S>& a, int64_t t, int64_t row, int64_t unit, int count, Vec<S> sum) {
    if (a.mask) sum *= load(a.mask + row * a.hidden + unit, count);
    return t < 0 ? sum : sum + load(a.d_outputs + a.at.place(t, row) * a.hidden + unit, count);
}

// The output before step t.
template <class A>
REKUR_INLINE auto previous_output(const A& a, int64_t t, int64_t row) {
    return (t > 0 ? a.outputs + a.at.place(t - 1, row) * a.hidden : a.h0 + row * a.hidden);
}

// Where the cells before step t stand, of which a row has so many numbers.
template <class A>
REKUR_INLINE auto previous_cells(const A& a, int64_t t, int64_t row, int64_t width) {
    return (t > 0 ? a.cells + a.at.place(t - 1, row) * width : a.c0 + row * width);
}

// A tile of four gates of the same units begins with what the input product gave.
struct FourGates {
    static constexpr int units = 1, product_gates = 4;

    template <class S>
    static void start(const Recurrence<S>& a, Rows rows, Units<S> place, Tile<S>& tile) {
        const int64_t H = a.hidden, u = place.at(0);
        const int n = place.count(0);
        for (int m = 0; m < tile.height; ++m) {
            const S* from = a.gates + a.at.place(rows.t, rows.row(m)) * 4 * H + u;
            for (int v = 0; v < 4; ++v) tile.row(m)[v] = load(from + v * H, n);
        }
    }
};

// Calls gates_back(row, unit, count, gradient of the output) for all of a tile; before the first step there are no
// gates, and the gradient is that of h0. With `around`, d_h holds what goes around the gates of the next step.
template <bool around = false, class S, class F>
REKUR_INLINE void each_gradient(const RecurrenceBack<S>& a, Rows rows, Units<S> place, const Tile<S>& tile,
                                F&& gates_back) {
    for (int m = 0; m < tile.height; ++m) {
        const int64_t row = rows.row(m);
        for (int v = 0; v < tile.vectors; ++v) {
            const int64_t unit = place.at(v);
            const int count = place.count(v);
            S* first = a.d_h + row * a.hidden + unit;
            Vec<S> d_h = arriving(a, rows.t, row, unit, count, tile.row(m)[v]);
            if (around) d_h += load(first, count);
            if (rows.t < 0) {
                store(first, d_h, count);
            } else {
                gates_back(row, unit, count, d_h);
            }
        }
    }
}

template <class S>
REKUR_INLINE void put_output(const Recurrence<S>& a, int64_t t, int64_t row, int64_t unit, int count, Vec<S> h) {
    store(a.outputs + a.at.place(t, row) * a.hidden + unit, h, count);
    if (!a.mask) return;
    const int64_t place = row * a.hidden + unit;
    store(a.seen + (t & 1) * a.at.rows * a.hidden + place, h * load(a.mask + place, count), count);
}

}  // namespace REKUR_ISA
}  // namespace rekur
