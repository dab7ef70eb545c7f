// Products of a step with weights of 32, 16 or 8 bits. Each sum runs in the order of k, for one row as for many.
#pragma once

#include "gemm.h"
#include "stepper.h"

namespace rekur {
namespace REKUR_ISA {

using Float = Vec<float>;
using Whole = Simd<float>::Int;

REKUR_INLINE Whole load_whole(const void* from) {
    typedef int32_t Loose __attribute__((vector_size(REKUR_BYTES), aligned(4), may_alias));
    return (Whole)*static_cast<const Loose*>(from);
}

// Two weights in 32 bits: the upper one is read with the lower one's bits behind its own, as pack_pairs() expects.
REKUR_INLINE Float lower(Whole pair) { return (Float)(pair << 16); }
REKUR_INLINE Float upper(Whole pair) { return (Float)pair; }

// A value that the compiler must not read from memory a second time.
REKUR_INLINE Whole once(Whole value) {
#if defined(__AVX2__)
    asm("" : "+v"(value));
#endif
    return value;
}

// Panels that one row goes through side by side: enough sums at once to hide the latency of each.
constexpr int panels_at_once(int vectors) {
    const int fit = (REKUR_REGISTERS == 16 ? 12 : 16) / vectors;
    return fit < 4 ? fit : 4;
}

// sum (P, V) += left (depth) · P panels, stride bytes apart.
template <int P, int V>
__attribute__((noinline)) void one_float32(Float* sum, const float* left, const char* panel, int64_t stride,
                                           int64_t depth) {
    Float total[P][V];
    const float* at[P];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
        at[p] = reinterpret_cast<const float*>(panel + p * stride);
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) total[p][v] = sum[p * V + v];
    }
#pragma GCC unroll 2
    for (int64_t k = 0; k < depth; ++k) {
        const Float a = all(left[k]);
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) {
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) total[p][v] += a * load(at[p] + (k * V + v) * lanes<float>);
        }
    }
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) sum[p * V + v] = total[p][v];
    }
}

template <int P, int V>
__attribute__((noinline)) void one_bfloat16(Float* sum, const float* left, const char* panel, int64_t stride,
                                            int64_t depth) {
    Float total[P][V];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) total[p][v] = sum[p * V + v];
    }
    int64_t k = 0;
    for (; k + 1 < depth; k += 2) {
        const Float a = all(left[k]), b = all(left[k + 1]);
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) {
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) {
                const Whole pair = once(load_whole(panel + p * stride + v * REKUR_BYTES));
                total[p][v] += a * lower(pair);
                total[p][v] += b * upper(pair);
            }
        }
        panel += V * REKUR_BYTES;
    }
    if (k < depth) {
        const Float a = all(left[k]);
#pragma GCC unroll 16
        for (int v = 0; v < P * V; ++v) {
            total[v / V][v % V] += a * lower(load_whole(panel + v / V * stride + v % V * REKUR_BYTES));
        }
    }
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) sum[p * V + v] = total[p][v];
    }
}

// The panel of pairs as one of 32 bits each, for many rows.
inline void widen(const char* panel, int vectors, int64_t depth, float* to) {
    for (int64_t k = 0; k < depth; k += 2) {
        for (int v = 0; v < vectors; ++v) {
            const Whole pair = load_whole(panel + (k / 2 * vectors + v) * REKUR_BYTES);
            store(to + (k * vectors + v) * lanes<float>, lower(pair));
            if (k + 1 < depth) store(to + ((k + 1) * vectors + v) * lanes<float>, upper(pair));
        }
    }
}

// The left side in whole numbers of 14 bits, the upper and the lower seven apart: Σ (128 high + low - 8192) · scale.
struct Bytes {
    uint8_t *high, *low;
    float* scale;
    int64_t stride;  // of rows
};

constexpr int largest = 8191, zero = 8192;

__attribute__((noinline)) inline void quantise(const float* x, int64_t depth, uint8_t* high, uint8_t* low,
                                               float* scale) {
    int32_t most = 0;  // of the sizes; as bits, so that NaN is the largest of all
    for (int64_t k = 0; k < depth; ++k) {
        int32_t bits;
        std::memcpy(&bits, x + k, 4);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    float size;
    std::memcpy(&size, &most, 4);
    const bool finite = most < 0x7f800000;
    const float factor = finite && size > 1e-30f ? largest / size : 0.0f;
    *scale = finite ? (factor > 0 ? size / largest : 0.0f) : std::nanf("");
    for (int64_t k = 0; k < depth; ++k) {
        const float shifted = (finite ? x[k] : 0.0f) * factor + 12582912.0f;  // 1.5 · 2^23 rounds to a whole number
        int32_t bits;
        std::memcpy(&bits, &shifted, 4);
        const int32_t number = bits - 0x4b400000 + zero;
        high[k] = static_cast<uint8_t>(number >> 7);
        low[k] = static_cast<uint8_t>(number & 127);
    }
}

// sums + Σ of four products in each lane; seven bits times eight, so that no pair of them overflows 16.
struct PlainDot {
    static REKUR_INLINE Whole add(Whole sums, Whole numbers, Whole weights) {
#if defined(__AVX512BW__)
        const __m512i pairs = _mm512_maddubs_epi16((__m512i)numbers, (__m512i)weights);
        return sums + (Whole)_mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
#elif defined(__AVX2__)
        const __m256i pairs = _mm256_maddubs_epi16((__m256i)numbers, (__m256i)weights);
        return sums + (Whole)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#else
        for (int byte = 0; byte < 4; ++byte) {
            const int up = 24 - 8 * byte;
            sums += ((numbers << up) >> 24) * ((weights << up) >> 24);  // seven bits have no sign
        }
        return sums;
#endif
    }
};

#if defined(__AVX512BW__)
// One instruction, of machines newer than the rest of this set: used only where runs_dot() says so.
struct FastDot {
    static REKUR_INLINE Whole add(Whole sums, Whole numbers, Whole weights) {
        asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(numbers), "v"(weights));
        return sums;
    }
};
inline bool runs_dot() {
    static const bool runs = __builtin_cpu_supports("avx512vnni");
    return runs;
}
#else
using FastDot = PlainDot;
inline bool runs_dot() { return false; }
#endif

// sum (M, P, V) += rows of bytes · P panels. M or P is 1.
template <class Dot, int M, int P, int V>
__attribute__((noinline)) void some_int8(Float* sum, const Bytes& left, const StepWeights& w, int64_t panel) {
    Whole high[M][P][V], low[M][P][V];
    const char* at = w.packed + panel * w.panel;
    const int64_t column = panel * w.columns;
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 16
        for (int v = 0; v < P * V; ++v) {
            high[m][v / V][v % V] = load_whole(w.sums + column + v * lanes<float>);
            low[m][v / V][v % V] = Whole{};
        }
    }
    for (int64_t k = 0; k < w.depth; k += 4) {
        Whole upper_bits[M], lower_bits[M];
#pragma GCC unroll 4
        for (int m = 0; m < M; ++m) {
            int32_t four;
            std::memcpy(&four, left.high + m * left.stride + k, 4);
            upper_bits[m] = four - Whole{};
            std::memcpy(&four, left.low + m * left.stride + k, 4);
            lower_bits[m] = four - Whole{};
        }
#pragma GCC unroll 16
        for (int v = 0; v < P * V; ++v) {
            const Whole weights = load_whole(at + v / V * w.panel + v % V * REKUR_BYTES);
#pragma GCC unroll 4
            for (int m = 0; m < M; ++m) {
                high[m][v / V][v % V] = Dot::add(high[m][v / V][v % V], upper_bits[m], weights);
                low[m][v / V][v % V] = Dot::add(low[m][v / V][v % V], lower_bits[m], weights);
            }
        }
        at += V * REKUR_BYTES;
    }
    for (int m = 0; m < M; ++m) {
        for (int v = 0; v < P * V; ++v) {
            const Float upper_part = __builtin_convertvector(high[m][v / V][v % V], Float);
            const Float numbers = upper_part * 128.0f + __builtin_convertvector(low[m][v / V][v % V], Float);
            sum[m * P * V + v] += numbers * (load(w.scale + column + v * lanes<float>) * left.scale[m]);
        }
    }
}

}  // namespace REKUR_ISA
}  // namespace rekur
