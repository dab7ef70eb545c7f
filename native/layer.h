// A layer over all steps. Forward, some steps at a time: what the inputs give, then step after step. Backward, some
// steps at a time: step after step, then the large products, while what they are made of is still near.
#pragma once

#include <cstring>

#include "drive.h"
#include "outer.h"

namespace rekur {
namespace REKUR_ISA {

template <class Cell, class S>
void run_forward(const Recurrence<S>& a, const Share& share) {
    FlushDenormals flush;
    const Share::Rows mine = share.rows(a.at, a.at.rows);
    for (int64_t i = 0; i < mine.count; ++i) {  // the product of the first step sees h0
        const int64_t row = mine.row(i);
        const S* h0 = a.h0 + a.batch(row) * a.hidden;
        const S* mask = a.mask ? a.mask + a.batch(row) * a.hidden : nullptr;
        S* seen = a.seen + (a.at.rows + row) * a.hidden;
        const int64_t from = share.by_units() ? a.hidden * share.part / share.parts : 0;
        const int64_t to = share.by_units() ? a.hidden * (share.part + 1) / share.parts : a.hidden;
        for (int64_t u = from; u < to; ++u) seen[u] = mask ? h0[u] * mask[u] : h0[u];
    }
    share.meet();
    for (int64_t begin = 0; begin < a.at.steps; begin += a.chunk) {
        const int64_t end = begin + a.chunk < a.at.steps ? begin + a.chunk : a.at.steps;
        if (a.x) project<Cell>(a, share, begin, end);
        for (int64_t t = begin; t < end; ++t) step_forward<Cell>(a, share, t);
    }
}

// The samples of some steps of this part: all rows of the last step first, then those of the step before.
template <class S>
struct Samples {
    const S* d;           // (count, width) the gates' gradients
    int64_t width, count;
    int64_t *row, *step;  // (count) which they are
    S *left, *right;      // room for some of them, as the products of the weights' gradients take them
};

// Calls block(first row, rows, of the state's product, first number of it, its numbers) for all that is not zero.
template <class Cell, class F>
void each_block(int64_t hidden, int64_t heads, int64_t input, F&& block) {
    block(0, Cell::product_gates * hidden, false, 0, input);
    if (heads == 1 && Cell::gap == 0) return block(0, Cell::gates * hidden, true, 0, hidden);
    if (heads == 1) {
        block(0, (Cell::product_gates - Cell::gap) * hidden, true, 0, hidden);
        return block(Cell::product_gates * hidden, Cell::gap * hidden, true, 0, hidden);
    }
    const int64_t size = hidden / heads;
    for (int64_t gate = 0; gate < Cell::gates; ++gate) {
        for (int64_t head = 0; head < heads; ++head) block(gate * hidden + head * size, size, true, head * size, size);
    }
}

// The gradients of the inputs.
template <class Cell, class S>
void give_inputs(const RecurrenceBack<S>& a, const Gradients<S>& g, const Share& share, const Samples<S>& samples) {
    const Panels<S> panels(g.input, 1, back_vectors);
    const Share::Range range = share.panels(panels.each);
    const int64_t depth = Cell::product_gates * a.hidden;
    constexpr int64_t deep = 512;  // at a time: a panel's rows stay in a near cache
    for (int64_t panel = range.begin; panel < range.end; ++panel) {
        const Units<S> place = panels.units(panel);
        const int wide = panels.wide(panel);
        for (int64_t k = 0; k < depth; k += deep) {
            const S* weight = g.weight_x + panels.packed(panel, depth) + k * wide * lanes<S>;
            in_blocks(samples.count, tile_rows(wide), [&](int64_t first, int height) {
                Tile<S> tile{};
                tile.height = height;
                tile.vectors = wide;
                const auto to = [&](int m) {
                    return g.d_x + g.d_x_at.place(samples.step[first + m], samples.row[first + m]);
                };
                for (int m = 0; k == 0 && m < height; ++m) fetch(to(m) + place.first, wide * lanes<S>);
                for (int m = 0; k > 0 && m < height; ++m) {
                    for (int v = 0; v < wide; ++v) tile.row(m)[v] = load(to(m) + place.at(v), place.count(v));
                }
                multiply_of<S>(height, wide)(tile.sum, samples.d + first * samples.width + k, samples.width, weight,
                                             depth - k < deep ? depth - k : deep);
                for (int m = 0; m < height; ++m) {
                    for (int v = 0; v < wide; ++v) store(to(m) + place.at(v), tile.row(m)[v], place.count(v));
                }
            });
        }
    }
}

// Adds each column's sum over some samples.
template <class S>
void add_totals(const S* from, int64_t width, int64_t count, Share::Range mine, S* total) {
    for (int64_t at = mine.begin; at < mine.end; at += 4 * lanes<S>) {
        Vec<S> sum[4];
        int counts[4];
        for (int v = 0; v < 4; ++v) {
            const int64_t left = mine.end - at - v * lanes<S>;
            counts[v] = left <= 0 ? 0 : left < lanes<S> ? static_cast<int>(left) : lanes<S>;
            sum[v] = load(total + at + v * lanes<S>, counts[v]);
        }
        for (int64_t n = 0; n < count; ++n) {
            const S* row = from + n * width + at;
            for (int v = 0; v < 4; ++v) sum[v] += load(row + v * lanes<S>, counts[v]);
        }
        for (int v = 0; v < 4; ++v) store(total + at + v * lanes<S>, sum[v], counts[v]);
    }
}

// Some columns of some samples' gradients, tile by tile: for every sample the rows of one tile of sums.
template <class S>
void pack_columns(const S* from, int64_t width, int64_t count, int64_t columns, S* to) {
    in_blocks(columns, outer_rows, [&](int64_t first, int height) {
        const S* column = from + first;
        S* tile = to + first * count;
        for (int64_t n = 0; n < count; ++n, column += width, tile += height) {
            if (height == outer_rows) {
                std::memcpy(tile, column, outer_rows * sizeof(S));
            } else {
                for (int m = 0; m < height; ++m) tile[m] = column[m];
            }
        }
    });
}

// Puts one row's numbers where panels of so many samples have them, under a mask where there is one.
template <class S>
void pack_row(const S* from, const S* mask, int64_t numbers, int64_t sample, int64_t count, S* to) {
    const Panels<S> panels(numbers, 1, outer_vectors);
    for (int64_t panel = 0; panel < panels.each; ++panel) {
        const Units<S> place = panels.units(panel);
        const int wide = panels.wide(panel);
        S* into = to + panels.packed(panel, count) + sample * wide * lanes<S>;
        for (int v = 0; v < wide; ++v) {
            const Vec<S> value = load(from + place.at(v), place.count(v));
            store(into + v * lanes<S>, mask ? value * load(mask + place.at(v), place.count(v)) : value);
        }
    }
}

// What the weights were multiplied with at some samples: inputs, then states, head after head.
template <class S>
void pack_right(const RecurrenceBack<S>& a, const Gradients<S>& g, const Share& share, const Sums& shape,
                const Samples<S>& samples, int64_t first, int64_t count) {
    const int64_t head = a.hidden / a.heads;
    constexpr int64_t ahead = 2;  // samples
    const Share::Range mine = share.panels(count);
    for (int64_t n = mine.begin; n < mine.end; ++n) {
        const int64_t row = samples.row[first + n], t = samples.step[first + n];
        if (n + ahead < mine.end) {
            const int64_t later = first + n + ahead;
            fetch(g.x + g.x_at.place(samples.step[later], samples.row[later]), g.input);
            fetch(previous_output(a, samples.step[later], samples.row[later]), a.hidden);
        }
        pack_row<S>(g.x + g.x_at.place(t, row), nullptr, g.input, n, count, samples.right);
        const S* seen = previous_output(a, t, row);
        const S* mask = a.mask ? a.mask + a.batch(row) * a.hidden : nullptr;
        for (int64_t k = 0; k < a.heads; ++k) {
            pack_row(seen + k * head, mask ? mask + k * head : nullptr, head, n, count,
                     samples.right + (shape.input + k * shape.units) * count);
        }
    }
}

// Adds to the gradients of this part's rows of the weights.
template <class Cell, class S>
void add_weights(const RecurrenceBack<S>& a, const Gradients<S>& g, const Share& share, const Samples<S>& samples,
                 S* sums) {
    const Sums shape(Cell::gates * a.hidden, g.input, a.hidden / a.heads, lanes<S>);
    const int64_t most = Gradients<S>::samples_at_once;
    for (int64_t some = 0; some < samples.count; some += most) {
        const int64_t count = samples.count - some < most ? samples.count - some : most;
        const S* left = samples.d + some * samples.width;
        pack_right(a, g, share, shape, samples, some, count);
        share.meet();
        const auto add = [&](int64_t row, int64_t rows, bool state, int64_t from, int64_t n) {
            const Share::Range mine = share.panels(rows);  // each block in equal parts: a GRU's blocks differ in work
            const int64_t begin = row + mine.begin, own = mine.end - mine.begin;
            const int64_t head = a.hidden / a.heads, place = state ? shape.input + from / head * shape.units : 0;
            const Panels<S> panels(n, 1, outer_vectors);
            if (samples.left) pack_columns(left + begin, samples.width, count, own, samples.left);
            for (int64_t panel = 0; panel < panels.each; ++panel) {
                S* column = sums + begin * shape.width + (state ? shape.input : 0) + panels.vector(panel) * lanes<S>;
                const S* right = samples.right + place * count + panels.packed(panel, count);
                in_blocks(own, outer_rows, [&](int64_t first, int height) {
                    const S* here = samples.left ? samples.left + first * count : left + begin + first;
                    outer_of<S>(height, panels.wide(panel))(column + first * shape.width, shape.width, here,
                                                            samples.left ? height : samples.width, right, count);
                });
            }
        };
        each_block<Cell>(a.hidden, a.heads, g.input, add);
        add_totals(left, samples.width, count, share.panels(shape.rows), sums + shape.totals());
        share.meet();  // before others are put in their place
    }
}

template <class Cell, class S>
void run_backward(const RecurrenceBack<S>& a, const Gradients<S>& g, const Share& share) {
    FlushDenormals flush;
    const Sums shape(Cell::gates * a.hidden, g.input, a.hidden / a.heads, lanes<S>);
    const Share::Rows most = share.rows(a.at, a.at.rows);
    const int64_t width = g.width, own = share.by_units() ? 0 : share.part;
    S* room = g.d + own * (a.chunk + 1) * g.rows * width;
    Samples<S> samples{};
    samples.width = width;
    const int64_t places = a.chunk * g.rows;
    samples.row = g.places + share.part * 2 * places;
    samples.step = samples.row + places;
    if (g.left) samples.left = g.left + share.part * g.width * Gradients<S>::samples_at_once;
    if (g.right) samples.right = g.right + own * shape.right(a.heads) * Gradients<S>::samples_at_once;
    const Share::Range rows = share.panels(shape.rows);
    S* sums = g.sums ? g.sums + own * shape.size() : nullptr;
    if (sums) {
        std::memset(sums + rows.begin * shape.width, 0,
                    static_cast<size_t>((rows.end - rows.begin) * shape.width) * sizeof(S));
        std::memset(sums + shape.totals() + rows.begin, 0,
                    static_cast<size_t>(rows.end - rows.begin) * sizeof(S));
    }
    const S* after = room;
    int64_t going_on = 0;
    for (int64_t begin, end = a.at.steps; end > 0; end = begin) {
        int64_t samples_here = 0;  // as many as fit: where rows have ended, of more steps
        for (begin = end; begin > 0; --begin) {
            samples_here += share.rows(a.at, a.at.active[begin - 1]).count;
            if (samples_here > places) break;
        }
        S* now = room + g.rows * width;
        samples.d = now;
        samples.count = 0;
        for (int64_t t = end - 1; t >= begin; --t) {
            step_backward<Cell>(a, share, t, going_on, after, now, width);
            const Share::Rows mine = share.rows(a.at, a.at.active[t]);
            going_on = mine.count;
            for (int64_t i = 0; i < going_on; ++i, ++samples.count) {
                samples.row[samples.count] = mine.row(i);
                samples.step[samples.count] = t;
            }
            after = now;
            now += going_on * width;
        }
        if (g.d_x) give_inputs<Cell>(a, g, share, samples);
        if (sums) add_weights<Cell>(a, g, share, samples, sums);
        // the first step of these is the next one of those that follow
        if (!share.by_units() || share.part == 0) {
            std::memcpy(room, after, static_cast<size_t>(going_on * width) * sizeof(S));
        }
        after = room;
        share.meet();
    }
    step_backward<Cell>(a, share, -1, most.count, after, room, width);
}

}  // namespace REKUR_ISA
}  // namespace rekur
