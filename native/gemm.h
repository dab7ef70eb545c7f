// Products with packed weights. The sum over k runs in one order for every row, whatever other rows there are.
//
// Weights are packed in panels: for all k the columns of one panel, side by side, zero beyond the last column.
#pragma once

#include <utility>

#include "simd.h"

namespace rekur {
namespace REKUR_ISA {

// rows of a tile of V vectors, so that sums, one row of the panel and one number of the left side fit in registers
constexpr int tile_rows(int vectors) {
    return REKUR_REGISTERS == 16 ? (vectors <= 1 ? 8 : vectors == 2 ? 5 : vectors == 3 ? 4 : 3)
                                 : (vectors <= 1 ? 14 : vectors == 2 ? 12 : vectors == 3 ? 8 : 6);
}

// sum (M, V) += left (M, depth) · panel (depth, V); rows of left are stride apart.
template <class S, int M, int V>
__attribute__((noinline)) void multiply(Vec<S>* sum, const S* left, int64_t stride, const S* panel, int64_t depth) {
    Vec<S> tile[M][V];
    const S* row[M];
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
        row[m] = left + m * stride;
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) tile[m][v] = sum[m * V + v];
    }
    for (int64_t k = 0; k < depth; ++k) {
        Vec<S> b[V];
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) b[v] = load(panel + v * lanes<S>);
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m) {
            const Vec<S> a = all(row[m][k]);
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) tile[m][v] += a * b[v];
        }
        panel += V * lanes<S>;
    }
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) sum[m * V + v] = tile[m][v];
    }
}

template <class S>
using Multiply = void (*)(Vec<S>*, const S*, int64_t, const S*, int64_t);

template <class S, int V, int... M>
constexpr Multiply<S> pick_height(int height, std::integer_sequence<int, M...>) {
    constexpr Multiply<S> table[] = {multiply<S, M + 1, V>...};
    return table[height - 1];
}

// The product of a tile of so many rows and vectors.
template <class S>
inline Multiply<S> multiply_of(int height, int vectors) {
    switch (vectors) {
        case 1: return pick_height<S, 1>(height, std::make_integer_sequence<int, tile_rows(1)>());
        case 2: return pick_height<S, 2>(height, std::make_integer_sequence<int, tile_rows(2)>());
        case 3: return pick_height<S, 3>(height, std::make_integer_sequence<int, tile_rows(3)>());
        default: return pick_height<S, 4>(height, std::make_integer_sequence<int, tile_rows(4)>());
    }
}

// The sums of one tile, row by row.
template <class S>
struct Tile {
    static constexpr int most = REKUR_REGISTERS;
    Vec<S> sum[most];
    int height, vectors;

    Vec<S>* row(int m) { return sum + m * vectors; }
    const Vec<S>* row(int m) const { return sum + m * vectors; }
};

// Calls block(first, height) for the smallest number of blocks of at most most rows, of nearly equal height.
template <class F>
inline void in_blocks(int64_t rows, int most, F&& block) {
    const int64_t count = (rows + most - 1) / most;
    int64_t done = 0;
    for (int64_t i = 0; i < count; ++i) {
        const int64_t height = (rows - done + (count - i) - 1) / (count - i);
        block(done, static_cast<int>(height));
        done += height;
    }
}

}  // namespace REKUR_ISA
}  // namespace rekur
