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
    Share::Rows rows;
    const S* d;            // (count, width) the gates' gradients
    int64_t width, count;
    const S **x, **seen;   // (count) the inputs, and what the recurrent product saw
    S** d_x;               // (count) where the gradients of the inputs go
    S *x_copy, *seen_copy;  // room for them where they cannot be read as they stand, or null
};

// Calls block(first row, rows, of the state's product, first number of it, its numbers) for all that is not zero.
template <class Cell, class F>
void each_block(int64_t hidden, int64_t heads, int64_t input, F&& block) {
    block(0, Cell::input_gates * hidden, false, 0, input);
    if (heads == 1 && Cell::gap == 0) return block(0, Cell::gates * hidden, true, 0, hidden);
    if (heads == 1) {
        block(0, (Cell::input_gates - Cell::gap) * hidden, true, 0, hidden);
        return block(Cell::input_gates * hidden, Cell::gap * hidden, true, 0, hidden);
    }
    const int64_t size = hidden / heads;
    for (int64_t gate = 0; gate < Cell::gates; ++gate) {
        for (int64_t head = 0; head < heads; ++head) block(gate * hidden + head * size, size, true, head * size, size);
    }
}

template <class S>
void find_samples(const RecurrenceBack<S>& a, const Gradients<S>& g, const Share& share, int64_t begin, int64_t end,
                  Samples<S>& to) {
    int64_t n = 0;
    for (int64_t t = end - 1; t >= begin; --t) {
        const Share::Rows mine = share.rows(a.at, a.at.active[t]);
        for (int64_t i = 0; i < mine.count; ++i, ++n) {
            const int64_t row = mine.row(i);
            to.x[n] = g.x + g.x_at.place(t, row);
            if (g.d_x) to.d_x[n] = g.d_x + g.d_x_at.place(t, row);
            to.seen[n] = previous_output(a, t, row);
            if (to.x_copy) {  // rows are so far apart that a vector may be read beyond the last number
                S* copy = to.x_copy + n * padded(g.input, lanes<S>);
                std::memcpy(copy, to.x[n], static_cast<size_t>(g.input) * sizeof(S));
                to.x[n] = copy;
            }
            if (!to.seen_copy) continue;
            S* copy = to.seen_copy + n * (a.hidden + lanes<S>);
            const S* mask = a.mask ? a.mask + a.batch(row) * a.hidden : nullptr;
            for (int64_t u = 0; u < a.hidden; ++u) copy[u] = mask ? to.seen[n][u] * mask[u] : to.seen[n][u];
            to.seen[n] = copy;
        }
    }
}

// The gradients of the inputs.
template <class Cell, class S>
void give_inputs(const RecurrenceBack<S>& a, const Gradients<S>& g, const Share& share, const Samples<S>& samples) {
    const Panels<S> panels(g.input, 1, back_vectors);
    const Share::Range range = share.panels(panels.each);
    const int64_t depth = Cell::input_gates * a.hidden;
    for (int64_t panel = range.begin; panel < range.end; ++panel) {
        const Units<S> place = panels.units(panel);
        const S* weight = g.weight_x + panels.packed(panel, depth);
        const int wide = panels.wide(panel);
        in_blocks(samples.count, tile_rows(wide), [&](int64_t first, int height) {
            Tile<S> tile{};
            tile.height = height;
            tile.vectors = wide;
            multiply_of<S>(height, wide)(tile.sum, samples.d + first * samples.width, samples.width, weight, depth);
            for (int m = 0; m < height; ++m) {
                for (int v = 0; v < wide; ++v) {
                    store(samples.d_x[first + m] + place.at(v), tile.row(m)[v], place.count(v));
                }
            }
        });
    }
}

// Adds to the gradients of this part's rows of the weights.
template <class Cell, class S>
void add_weights(const RecurrenceBack<S>& a, const Gradients<S>& g, Share::Range mine, const Samples<S>& samples,
                 S* sums) {
    const Sums shape(Cell::gates * a.hidden, g.input, a.hidden / a.heads, lanes<S>);
    constexpr int64_t at_once = 128;  // of so many samples one panel stays in the nearest cache
    for (int64_t some = 0; some < samples.count; some += at_once) {
        const int64_t count = samples.count - some < at_once ? samples.count - some : at_once;
        const S* left = samples.d + some * samples.width;
        each_block<Cell>(a.hidden, a.heads, g.input, [&](int64_t row, int64_t rows, bool state, int64_t from, int64_t n) {
            const int64_t begin = row > mine.begin ? row : mine.begin;
            const int64_t end = row + rows < mine.end ? row + rows : mine.end;
            const S* const* right = (state ? samples.seen : samples.x) + some;
            S* column = sums + (state ? shape.input : 0);
            const int64_t vectors = vectors_of(n, lanes<S>);
            for (int64_t v = 0; begin < end && v < vectors; v += outer_vectors) {
                const int wide = vectors - v < outer_vectors ? static_cast<int>(vectors - v) : outer_vectors;
                in_blocks(end - begin, outer_rows, [&](int64_t first, int height) {
                    outer_of<S>(height, wide)(column + (begin + first) * shape.width + v * lanes<S>, shape.width,
                                              left + begin + first, samples.width, right, from + v * lanes<S>, count);
                });
            }
        });
        S* total = sums + shape.totals();
        for (int64_t at = mine.begin; at < mine.end; at += 4 * lanes<S>) {
            Vec<S> sum[4];
            int counts[4];
            for (int v = 0; v < 4; ++v) {
                const int64_t left_over = mine.end - at - v * lanes<S>;
                counts[v] = left_over <= 0 ? 0 : left_over < lanes<S> ? static_cast<int>(left_over) : lanes<S>;
                sum[v] = load(total + at + v * lanes<S>, counts[v]);
            }
            for (int64_t n = 0; n < count; ++n) {
                const S* row = left + n * samples.width + at;
                for (int v = 0; v < 4; ++v) sum[v] += load(row + v * lanes<S>, counts[v]);
            }
            for (int v = 0; v < 4; ++v) store(total + at + v * lanes<S>, sum[v], counts[v]);
        }
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
    samples.x = g.pointers + share.part * 3 * places;
    samples.seen = samples.x + places;
    samples.d_x = const_cast<S**>(samples.seen + places);
    if (g.x_copy) samples.x_copy = g.x_copy + share.part * places * padded(g.input, lanes<S>);
    if (g.seen_copy) samples.seen_copy = g.seen_copy + share.part * (places * (a.hidden + lanes<S>) + lanes<S>);
    Share::Range rows{0, shape.rows};
    if (share.by_units()) rows = {shape.rows * share.part / share.parts, shape.rows * (share.part + 1) / share.parts};
    S* sums = g.sums ? g.sums + own * shape.size() : nullptr;
    if (sums) {
        std::memset(sums + rows.begin * shape.width, 0,
                    static_cast<size_t>((rows.end - rows.begin) * shape.width) * sizeof(S));
        std::memset(sums + shape.totals() + rows.begin, 0,
                    static_cast<size_t>(rows.end - rows.begin) * sizeof(S));
    }
    const S* after = room;
    int64_t going_on = 0;
    for (int64_t end = a.at.steps; end > 0; end -= a.chunk) {
        const int64_t begin = end > a.chunk ? end - a.chunk : 0;
        S* now = room + g.rows * width;
        samples.d = now;
        samples.count = 0;
        for (int64_t t = end - 1; t >= begin; --t) {
            step_backward<Cell>(a, share, t, going_on, after, now, width);
            going_on = share.rows(a.at, a.at.active[t]).count;
            samples.count += going_on;
            after = now;
            now += going_on * width;
        }
        if (g.d_x || sums) find_samples(a, g, share, begin, end, samples);
        if (g.d_x) give_inputs<Cell>(a, g, share, samples);
        if (sums) add_weights<Cell>(a, g, rows, samples, sums);
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
