// One step of a scan, forward or backward: panels of columns within a step, tiles of rows within a panel.
#pragma once

#include "gemm.h"
#include "layout.h"
#include "share.h"

namespace rekur {
namespace REKUR_ISA {

// Some rows of one step, as a tile sees them.
struct Rows {
    int64_t t, begin, step;
    bool last = false;  // backward: whether it is the last step of these rows
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

// Where a tile's rows of the gates' gradients go.
template <class S>
struct Trail {
    S* first;
    int64_t width;
    S* row(int m) const { return first + m * width; }
};

inline int64_t vectors_of(int64_t numbers, int lanes) { return (numbers + lanes - 1) / lanes; }

// The vectors of one panel: most of them, or what is left in the last panel.
inline int width_of(int64_t vectors, int64_t panel, int most) {
    const int64_t left = vectors - panel * most;
    return left < most ? static_cast<int>(left) : most;
}

// The panels of all heads, each with some units of one head.
template <class S>
struct Panels {
    int64_t depth, vectors, each;  // units of a head, their vectors, panels of a head
    int most;                      // vectors of a panel

    Panels(int64_t hidden, int64_t heads, int units)
        : depth(hidden / heads), vectors(vectors_of(depth, lanes<S>)), each(vectors_of(vectors, units)), most(units) {}

    int64_t head(int64_t panel) const { return panel / each; }
    int64_t vector(int64_t panel) const { return panel % each * most; }
    int wide(int64_t panel) const { return width_of(vectors, panel % each, most); }
    Units<S> units(int64_t panel) const {
        return {head(panel) * depth + vector(panel) * lanes<S>, (head(panel) + 1) * depth};
    }
    // Where a panel begins in packed weights of so many numbers for each column.
    int64_t packed(int64_t panel, int64_t numbers) const {
        return (head(panel) * vectors + vector(panel)) * lanes<S> * numbers;
    }
};

// Where the gates of a step begin; what the input gives to a simple network stands where its outputs will.
template <class Cell, class S>
REKUR_INLINE S* gates_at(const Recurrence<S>& a, int64_t t, int64_t row) {
    return Cell::product_gates == 1 ? a.outputs + a.out.place(t, row) : a.gates + a.at.place(t, row) * 4 * a.hidden;
}

// What the inputs give to some steps of this part's rows: a tile has some steps of one row.
template <class Cell, class S>
void project(const Recurrence<S>& a, const Share& share, int64_t begin, int64_t end) {
    constexpr int gates = Cell::product_gates;
    const Panels<S> panels(a.hidden, a.heads, Cell::units);
    const Share::Range range = share.panels(a.heads * panels.each);
    const Share::Rows mine = share.rows(a.at, a.at.active[begin]);
    for (int64_t panel = range.begin; panel < range.end; ++panel) {
        const Units<S> place = panels.units(panel);
        const S* weight = a.weight_x + panels.packed(panel, gates * a.input);
        const int units = panels.wide(panel), wide = units * gates;
        Vec<S> bias[Cell::units * gates];
        for (int i = 0; i < wide; ++i) {
            const S* from = a.bias_x ? a.bias_x + i / units * a.hidden + place.at(i % units) : nullptr;
            bias[i] = from ? load(from, place.count(i % units)) : Vec<S>{};
        }
        for (int64_t i = 0; i < mine.count; ++i) {
            const int64_t row = mine.row(i), steps = a.steps_of(row), stop = steps < end ? steps : end;
            in_blocks(stop - begin, tile_rows(wide), [&](int64_t first, int height) {
                const int64_t t = begin + first;
                Tile<S> tile;
                tile.height = height;
                tile.vectors = wide;
                for (int m = 0; m < height; ++m) {
                    for (int v = 0; v < wide; ++v) tile.row(m)[v] = bias[v];
                    S* to = gates_at<Cell>(a, t + m, row) + place.first;
                    for (int gate = 0; gate < gates; ++gate) fetch(to + gate * a.hidden, units * lanes<S>);
                }
                multiply_of<S>(height, wide)(tile.sum, a.x + a.x_at.place(t, row), a.x_at.step, weight, a.input);
                for (int m = 0; m < height; ++m) {
                    S* to = gates_at<Cell>(a, t + m, row);
                    const Vec<S>* sum = tile.row(m);
                    for (int gate = 0; gate < gates; ++gate, to += a.hidden) {
                        for (int v = 0; v < units; ++v) store(to + place.at(v), *sum++, place.count(v));
                    }
                }
            });
        }
    }
}

// One step: Cell::start fills the tile of one panel, the product is added, Cell::finish makes outputs of it.
template <class Cell, class S>
void step_forward(const Recurrence<S>& a, const Share& share, int64_t t) {
    const Panels<S> panels(a.hidden, a.heads, Cell::units);
    const Share::Range range = share.panels(a.heads * panels.each);
    const Share::Rows mine = share.rows(a.at, a.at.active[t]);
    const S* before = a.seen + ((t - 1) & 1) * a.at.rows * a.hidden;
    for (int64_t panel = range.begin; panel < range.end; ++panel) {
        const Units<S> place = panels.units(panel);
        const S* weight = a.weight + panels.packed(panel, Cell::product_gates * panels.depth);
        const S* left = before + panels.head(panel) * panels.depth;
        const int wide = panels.wide(panel) * Cell::product_gates;
        in_blocks(mine.count, tile_rows(wide), [&](int64_t first, int height) {
            const Rows rows{t, mine.row(first), mine.step};
            Tile<S> tile;
            tile.height = height;
            tile.vectors = wide;
            Cell::start(a, rows, place, tile);
            multiply_of<S>(height, wide)(tile.sum, left + rows.begin * a.hidden, rows.step * a.hidden, weight,
                                         panels.depth);
            Cell::finish(a, rows, place, tile);
        });
    }
    share.meet();
}

// Asks for what the step back of some units of a row is made of.
template <class Cell, class S>
REKUR_INLINE void fetch_step(const RecurrenceBack<S>& a, int64_t t, int64_t row, int64_t unit, int vectors) {
    const int64_t numbers = vectors * lanes<S>, at = a.at.place(t, row), H = a.hidden;
    if (a.d_outputs) fetch(a.d_outputs + a.d_out.place(t, row) + unit, numbers);
    if (Cell::needs_output) fetch(a.outputs + a.out.place(t, row) + unit, numbers);
    if (Cell::needs_previous) fetch(a.outputs + a.out.place(t > 0 ? t - 1 : 0, row) + unit, numbers);
    for (int i = 0; Cell::product_gates > 1 && i < 4; ++i) fetch(a.gates + (at * 4 + i) * H + unit, numbers);
    for (int i = 0; i < Cell::cells; ++i) fetch(a.cells + (at * Cell::cells + i) * H + unit, numbers);
}

constexpr int back_vectors = REKUR_REGISTERS == 16 ? 3 : 4;

// One step back, or with t = -1 that to h0: the product of the next step's gradients comes to each output, Cell::finish
// makes this step's of it. Of `after` and `now` rows are `width` numbers apart; the first `going_on` have a next step.
template <class Cell, class S>
void step_backward(const RecurrenceBack<S>& a, const Share& share, int64_t t, int64_t going_on, const S* after, S* now,
                   int64_t width) {
    const Panels<S> panels(a.hidden, a.heads, back_vectors);
    const int64_t size = panels.depth, depth = Cell::product_gates * size;
    const Share::Range range = share.panels(a.heads * panels.each);
    const Share::Rows mine = share.rows(a.at, t < 0 ? a.at.rows : a.at.active[t]);
    for (int64_t panel = range.begin; panel < range.end; ++panel) {
        const Units<S> place = panels.units(panel);
        const S* weight = a.weight + panels.packed(panel, depth);
        const int wide = panels.wide(panel);
        const auto part = [&](int64_t from, int64_t count, bool product) {
            in_blocks(count, tile_rows(wide), [&](int64_t first, int height) {
                const Rows rows{t, mine.row(from + first), mine.step, !product};
                Tile<S> tile{};
                tile.height = height;
                tile.vectors = wide;
                for (int m = 0; m < height && t >= 0; ++m) fetch_step<Cell>(a, t, rows.row(m), place.first, wide);
                const auto multiply = multiply_of<S>(height, wide);
                const S* left = after + (from + first) * width;
                for (int gate = 0; product && a.heads > 1 && gate < Cell::product_gates; ++gate) {
                    multiply(tile.sum, left + gate * a.hidden + panels.head(panel) * size, width,
                             weight + gate * size * wide * lanes<S>, size);
                }
                if (product && a.heads == 1) {
                    // of the gates' gradients the last one may stand apart
                    const int64_t beside = Cell::gap ? depth - a.hidden : depth;
                    multiply(tile.sum, left, width, weight, beside);
                    if (Cell::gap) {
                        multiply(tile.sum, left + beside + Cell::gap * a.hidden, width,
                                 weight + beside * wide * lanes<S>, a.hidden);
                    }
                }
                Cell::finish(a, rows, place, tile, Trail<S>{now + (from + first) * width, width});
            });
        };
        part(0, going_on, true);
        part(going_on, mine.count - going_on, false);
    }
    share.meet();
}

// The output before step t.
template <class A>
REKUR_INLINE auto previous_output(const A& a, int64_t t, int64_t row) {
    return (t > 0 ? a.outputs + a.out.place(t - 1, row) : a.h0 + a.batch(row) * a.hidden);
}

// Where the cells before step t stand, of which a row has so many numbers.
template <class A>
REKUR_INLINE auto previous_cells(const A& a, int64_t t, int64_t row, int64_t width) {
    return (t > 0 ? a.cells + a.at.place(t - 1, row) * width : a.c0 + a.batch(row) * width);
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

// The gradient of an output but for what comes from the next step by other ways than the product.
template <class S>
REKUR_INLINE Vec<S> arriving(const RecurrenceBack<S>& a, Rows rows, int64_t row, int64_t unit, int count, Vec<S> sum) {
    const int64_t at = a.batch(row) * a.hidden + unit;
    if (a.d_mask && !rows.last) {
        const S* h = rows.t < 0 ? a.h0 + at : a.outputs + a.out.place(rows.t, row) + unit;
        store(a.d_mask + at, load(a.d_mask + at, count) + sum * load(h, count), count);
    }
    if (a.mask) sum *= load(a.mask + at, count);
    if (rows.last && a.d_last) sum += load(a.d_last + at, count);
    if (rows.t >= 0 && a.d_outputs) sum += load(a.d_outputs + a.d_out.place(rows.t, row) + unit, count);
    return sum;
}

// Calls gates_back(row, unit, count, gradient of the output, where the gates' gradients go) for all of a tile; before
// the first step there are no gates, and the gradient is that of h0. With `around`, d_h holds what goes around the
// gates of the next step.
template <bool around = false, class S, class F>
REKUR_INLINE void each_gradient(const RecurrenceBack<S>& a, Rows rows, Units<S> place, const Tile<S>& tile,
                                Trail<S> trail, F&& gates_back) {
    for (int m = 0; m < tile.height; ++m) {
        const int64_t row = rows.row(m);
        for (int v = 0; v < tile.vectors; ++v) {
            const int64_t unit = place.at(v);
            const int count = place.count(v);
            S* first = a.d_h + a.batch(row) * a.hidden + unit;
            Vec<S> d_h = arriving(a, rows, row, unit, count, tile.row(m)[v]);
            if (around) d_h += load(first, count);
            if (rows.t < 0) {
                store(first, d_h, count);
            } else {
                gates_back(row, unit, count, d_h, trail.row(m) + unit);
            }
        }
    }
}

template <class S>
REKUR_INLINE void put_output(const Recurrence<S>& a, int64_t t, int64_t row, int64_t unit, int count, Vec<S> h) {
    store(a.outputs + a.out.place(t, row) + unit, h, count);
    if (a.mask) h *= load(a.mask + a.batch(row) * a.hidden + unit, count);
    store(a.seen + ((t & 1) * a.at.rows + row) * a.hidden + unit, h, count);
}

}  // namespace REKUR_ISA
}  // namespace rekur
