// Sums of outer products, of which the gradients of weights are made.
#pragma once

#include <utility>

#include "simd.h"

namespace rekur {
namespace REKUR_ISA {

// a tile of sums, one row of vectors and one number fit in registers
constexpr int outer_vectors = REKUR_REGISTERS == 16 ? 3 : 4, outer_rows = REKUR_REGISTERS == 16 ? 4 : 6;

// sum (M, V) += Σ_n left[n] (M) ⊗ right[n] (V); rows of sum are `width` apart, those of left `stride`, and those of
// right, a panel, stand side by side.
template <class S, int M, int V>
__attribute__((noinline)) void outer(S* sum, int64_t width, const S* left, int64_t stride, const S* right,
                                     int64_t count) {
    Vec<S> tile[M][V];
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) tile[m][v] = load(sum + m * width + v * lanes<S>);
    }
    for (int64_t n = 0; n < count; ++n) {
        Vec<S> b[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) b[v] = load(right + v * lanes<S>);
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) {
            const Vec<S> a = all(left[m]);
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) tile[m][v] += a * b[v];
        }
        left += stride;
        right += V * lanes<S>;
    }
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) store(sum + m * width + v * lanes<S>, tile[m][v]);
    }
}

template <class S>
using Outer = void (*)(S*, int64_t, const S*, int64_t, const S*, int64_t);

template <class S, int V, int... M>
constexpr Outer<S> pick_outer(int height, std::integer_sequence<int, M...>) {
    constexpr Outer<S> table[] = {outer<S, M + 1, V>...};
    return table[height - 1];
}

template <class S>
inline Outer<S> outer_of(int height, int vectors) {
    constexpr auto heights = std::make_integer_sequence<int, outer_rows>();
    switch (vectors) {
        case 1: return pick_outer<S, 1>(height, heights);
        case 2: return pick_outer<S, 2>(height, heights);
        case 3: return pick_outer<S, 3>(height, heights);
        default: return pick_outer<S, outer_vectors>(height, heights);
    }
}

}  // namespace REKUR_ISA
}  // namespace rekur
