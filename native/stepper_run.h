// The step itself: rows in blocks, layers, panels; the gates' sums, then the cell's pointwise part.
#pragma once

#include <algorithm>
#include <type_traits>

#include "activations.h"
#include "drive.h"
#include "stepper_product.h"

namespace rekur {
namespace REKUR_ISA {

// What a layer reads for the rows of a block.
struct StepSide {
    const float* data;
    int64_t stride;
    Bytes bytes;  // int8
};

// Some rows within one layer.
struct StepBlock {
    const StepWork& work;
    const StepLayer& layer;
    StepSide x, h;
    const int64_t* slots;
    float* after;  // (rows, padded hidden) of outputs; null for a single row
    int64_t rows;
    bool gru, simple;
    int product_gates, gates, units;
    int64_t vectors, panels;

    float* state(int64_t row) const { return work.arena + slots[row] * work.width + layer.state; }
    int width(int64_t panel) const { return width_of(vectors, panel, units) * product_gates; }
    const float* bias(int64_t panel) const { return layer.bias + panel * units * gates * lanes<float>; }
};

// Sums of at most this many panels of one row, or rows of one panel.
constexpr int most_sums = REKUR_REGISTERS;

struct StepSums {
    Float sum[most_sums];    // (places, vectors)
    Float aside[most_sums];  // (places): what the input gives to the candidate of a GRU
};

REKUR_INLINE void begin_sums(const StepBlock& b, int64_t panel, int vectors, Float* sum) {
    for (int v = 0; v < vectors; ++v) sum[v] = load(b.bias(panel) + v * lanes<float>);
}

// Between the two products: the third sum has been n's of the input, and is to be m's of the state.
REKUR_INLINE void swap_candidate(const StepBlock& b, int64_t panel, Float* sum, Float* aside) {
    *aside = sum[2];
    sum[2] = load(b.bias(panel) + 3 * lanes<float>);
}

// A number rounded as it stands. Without this the last product of tanh() would become one with the sums that use it,
// and a step would differ from a scan, which keeps the candidate, in the last bit.
REKUR_INLINE Float settled(Float value) {
#if defined(__AVX512F__)
    asm("" : "+v"(value));
#elif defined(__x86_64__)
    asm("" : "+x"(value));
#elif defined(__aarch64__)
    asm("" : "+w"(value));
#else
    asm("" : "+m"(value));
#endif
    return value;
}

// The new state of one panel's units of one row, in whole vectors: what lies beyond the last unit is nobody's.
REKUR_INLINE void finish_sums(const StepBlock& b, int64_t row, int64_t panel, int vectors, const Float* sum,
                              const Float* aside) {
    const int64_t unit = panel * b.units * lanes<float>, padding = padded(b.layer.hidden, state_pad);
    float* const state = b.state(row) + unit;
    float* const after = b.after ? b.after + row * padding + unit : nullptr;
    const auto put = [&](int64_t at, Float h) {
        store(state + at, h);
        if (after) store(after + at, h);
    };
    if (vectors == 3 && b.gru) {
        const Float r = sigmoid(sum[0]), z = sigmoid(sum[1]), product = sum[2];
        const Float candidate = settled(tanh(*aside + r * product));
        const Float before = load(b.h.data + row * b.h.stride + unit);
        put(0, candidate + z * (before - candidate));
    } else if (vectors == 4 && !b.simple) {
        const Float i = sigmoid(sum[0]), f = sigmoid(sum[1]);
        const Float g = tanh(sum[2]), o = sigmoid(sum[3]);
        const Float before = load(state + padding);
        const Float c = f * before + i * g;
        store(state + padding, c);
        put(0, o * tanh(c));
    } else {
        for (int v = 0; v < vectors; ++v) {
            const Float h = b.layer.kind == Kind::tanh_rnn ? tanh(sum[v]) : relu(sum[v]);
            put(v * lanes<float>, h);
        }
    }
}

// One row, P panels side by side: sum (P, V) += left · panels.
template <int P, int V>
void add_side_by_side(Precision precision, const StepSide& left, const StepWeights& w, int64_t panel, Float* sum) {
    const char* weights = w.packed + panel * w.panel;
    switch (precision) {
        case Precision::float32: return one_float32<P, V>(sum, left.data, weights, w.panel, w.depth);
        case Precision::bfloat16: return one_bfloat16<P, V>(sum, left.data, weights, w.panel, w.depth);
        case Precision::int8:
            if (runs_dot()) return some_int8<FastDot, 1, P, V>(sum, left.bytes, w, panel);
            return some_int8<PlainDot, 1, P, V>(sum, left.bytes, w, panel);
    }
}

template <int P, int V>
void panels_of_one_row(const StepBlock& b, int64_t panel) {
    StepSums s;
    const Precision precision = b.work.precision;
    for (int p = 0; p < P; ++p) begin_sums(b, panel + p, V, s.sum + p * V);
    add_side_by_side<P, V>(precision, b.x, b.layer.input, panel, s.sum);
    if (V == 3 && b.gru) {
        for (int p = 0; p < P; ++p) swap_candidate(b, panel + p, s.sum + p * V, s.aside + p);
    }
    add_side_by_side<P, V>(precision, b.h, b.layer.recurrent, panel, s.sum);
    for (int p = 0; p < P; ++p) finish_sums(b, 0, panel + p, V, s.sum + p * V, s.aside + p);
}

// count panels of V vectors, as many at once as fit.
template <int V>
void panels_in_groups(const StepBlock& b, int64_t first, int64_t count, bool backwards) {
    constexpr int most = panels_at_once(V);
    in_blocks(count, most, [&](int64_t done, int some) {
        const int64_t panel = first + (backwards ? count - done - some : done);
        if (some == 1) return panels_of_one_row<1, V>(b, panel);
        if constexpr (most >= 2) if (some == 2) return panels_of_one_row<2, V>(b, panel);
        if constexpr (most >= 3) if (some == 3) return panels_of_one_row<3, V>(b, panel);
        if constexpr (most >= 4) if (some == 4) return panels_of_one_row<4, V>(b, panel);
    });
}

REKUR_INLINE void panels_of_width(const StepBlock& b, int width, int64_t first, int64_t count) {
    const bool back = b.work.backwards;
    switch (width) {
        case 1: return panels_in_groups<1>(b, first, count, back);
        case 2: return panels_in_groups<2>(b, first, count, back);
        case 3: return panels_in_groups<3>(b, first, count, back);
        default: return panels_in_groups<4>(b, first, count, back);
    }
}

// The last panel of a simple RNN may be narrower.
inline void one_row(const StepBlock& b) {
    const int full = b.units * b.product_gates, last = b.width(b.panels - 1);
    const int64_t whole = last == full ? b.panels : b.panels - 1;
    if (whole < b.panels && b.work.backwards) panels_of_width(b, last, whole, 1);
    panels_of_width(b, full, 0, whole);
    if (whole < b.panels && !b.work.backwards) panels_of_width(b, last, whole, 1);
}

constexpr int rows_of_bytes = 3;  // at once: as many sums as registers hold

template <class Dot>
void add_bytes(const Bytes& all_rows, const StepWeights& w, int64_t panel, int64_t first, int height, int vectors,
               Float* sum) {
    const auto add = [&](auto rows, int row) {
        constexpr int M = decltype(rows)::value;
        const int64_t at = first + row;
        const Bytes left{all_rows.high + at * all_rows.stride, all_rows.low + at * all_rows.stride,
                         all_rows.scale + at, all_rows.stride};
        Float* to = sum + row * vectors;
        switch (vectors) {
            case 1: return some_int8<Dot, M, 1, 1>(to, left, w, panel);
            case 2: return some_int8<Dot, M, 1, 2>(to, left, w, panel);
            case 3: return some_int8<Dot, M, 1, 3>(to, left, w, panel);
            default: return some_int8<Dot, M, 1, 4>(to, left, w, panel);
        }
    };
    int row = 0;
    for (; row + rows_of_bytes <= height; row += rows_of_bytes) add(std::integral_constant<int, rows_of_bytes>(), row);
    for (; row < height; ++row) add(std::integral_constant<int, 1>(), row);
}

// sum (height, vectors) += rows of one side · one panel, which is given as 32 bits where it is not int8.
inline void add_rows(const StepBlock& b, const StepSide& left, const StepWeights& w, const float* ready, int64_t panel,
                     int64_t first, int height, int vectors, Float* sum) {
    if (b.work.precision != Precision::int8) {
        const float* from = left.data + first * left.stride;
        return multiply_of<float>(height, vectors)(sum, from, left.stride, ready, w.depth);
    }
    if (runs_dot()) return add_bytes<FastDot>(left.bytes, w, panel, first, height, vectors, sum);
    add_bytes<PlainDot>(left.bytes, w, panel, first, height, vectors, sum);
}

inline void many_rows(const StepBlock& b, float* space) {
    for (int64_t panel = 0; panel < b.panels; ++panel) {
        const int vectors = b.width(panel);
        const auto ready = [&](const StepWeights& w, float* to) -> const float* {
            const char* from = w.packed + panel * w.panel;
            if (b.work.precision != Precision::bfloat16) return reinterpret_cast<const float*>(from);
            widen(from, vectors, w.depth, to);
            return to;
        };
        const float* input = ready(b.layer.input, space);
        const float* recurrent = ready(b.layer.recurrent, space + b.layer.input.depth * vectors * lanes<float>);
        in_blocks(b.rows, tile_rows(vectors), [&](int64_t first, int height) {
            StepSums s;
            for (int m = 0; m < height; ++m) begin_sums(b, panel, vectors, s.sum + m * vectors);
            add_rows(b, b.x, b.layer.input, input, panel, first, height, vectors, s.sum);
            if (b.gru) {
                for (int m = 0; m < height; ++m) swap_candidate(b, panel, s.sum + m * vectors, s.aside + m);
            }
            add_rows(b, b.h, b.layer.recurrent, recurrent, panel, first, height, vectors, s.sum);
            for (int m = 0; m < height; ++m) {
                finish_sums(b, first + m, panel, vectors, s.sum + m * vectors, s.aside + m);
            }
        });
    }
}

inline void quantise_rows(const StepSide& side, int64_t rows, int64_t depth) {
    for (int64_t row = 0; row < rows; ++row) {
        const int64_t at = row * side.bytes.stride;
        quantise(side.data + row * side.stride, depth, side.bytes.high + at, side.bytes.low + at,
                 side.bytes.scale + row);
    }
}

struct StepPlaces {
    float *before, *after[2], *panel;
    Bytes x, h;
};

inline StepPlaces places_in(const StepWork& work, int64_t most) {
    int64_t hidden = 0, depth = 0, columns = 0;
    for (int64_t i = 0; i < work.count; ++i) {
        const StepLayer& layer = work.layers[i];
        hidden = std::max(hidden, layer.hidden);
        depth = std::max({depth, layer.hidden, layer.input.depth});
        columns = std::max(columns, layer.input.columns);
    }
    const StepScratch at(hidden, depth, columns, most);
    const auto floats = [&](int64_t place) { return reinterpret_cast<float*>(work.scratch + place); };
    const int64_t stride = padded(depth, byte_pad), block = most * stride;
    auto* bytes = reinterpret_cast<uint8_t*>(work.scratch + at.bytes);
    StepPlaces places;
    places.before = floats(at.before);
    places.after[0] = floats(at.after);
    places.after[1] = floats(at.after) + padded(hidden, state_pad) * most;
    places.panel = floats(at.panel);
    places.x = {bytes, bytes + block, floats(at.scales), stride};
    places.h = {bytes + 2 * block, bytes + 3 * block, floats(at.scales) + most, stride};
    return places;
}

// One layer for some rows; returns what the next layer reads.
inline StepSide run_layer(const StepWork& work, const StepLayer& layer, const StepPlaces& places, StepSide x,
                          const int64_t* slots, int64_t rows, float* after) {
    const int64_t padding = padded(layer.hidden, state_pad);
    const bool gru = layer.kind == Kind::gru, simple = !gru && layer.kind != Kind::lstm;
    const int units = simple ? (REKUR_REGISTERS == 16 ? 3 : 4) : 1;
    const int64_t vectors = vectors_of(layer.hidden, lanes<float>);
    x.bytes = places.x;
    const StepSide h{places.before, padding, places.h};
    const StepBlock block{work, layer, x, h, slots, rows > 1 ? after : nullptr, rows, gru, simple,
                          gru ? 3 : simple ? 1 : 4, simple ? 1 : 4, units, vectors, vectors_of(vectors, units)};
    for (int64_t row = 0; row < rows; ++row) {
        std::memcpy(places.before + row * padding, block.state(row), static_cast<size_t>(padding) * sizeof(float));
    }
    if (work.precision == Precision::int8) {
        quantise_rows(x, rows, layer.input.depth);
        quantise_rows(h, rows, layer.hidden);
    }
    if (rows == 1) {
        one_row(block);
        return {block.state(0), 0, {}};
    }
    many_rows(block, places.panel);
    return {after, padding, {}};
}

inline void run_step(const StepWork& work) {
    FlushDenormals flush;
    const int64_t most = std::min(work.rows, step_rows);
    const StepPlaces places = places_in(work, most);
    const int64_t input = work.layers[0].input.depth, output = work.layers[work.count - 1].hidden;
    for (int64_t first = 0; first < work.rows; first += most) {
        const int64_t rows = std::min(most, work.rows - first);
        StepSide x{work.x + first * input, input, {}};
        for (int64_t i = 0; i < work.count; ++i) {
            x = run_layer(work, work.layers[i], places, x, work.slots + first, rows, places.after[i & 1]);
        }
        for (int64_t row = 0; row < rows; ++row) {
            std::memcpy(work.out + (first + row) * output, x.data + row * x.stride,
                        static_cast<size_t>(output) * sizeof(float));
        }
    }
}

}  // namespace REKUR_ISA
}  // namespace rekur
