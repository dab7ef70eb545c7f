// A product of a matrix as it stands with one row: for the small layers before and after the recurrent ones.
#pragma once

#include "simd.h"

namespace rekur {
namespace REKUR_ISA {

// The sum of all lanes, halves first.
REKUR_INLINE float sum_of(Vec<float> value) {
    float each[lanes<float>];
    store(each, value);
    for (int half = lanes<float> / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; ++i) each[i] += each[i + half];
    }
    return each[0];
}

#if defined(__AVX2__)
REKUR_INLINE __m128 quarter(Vec<float> value) {
#if defined(__AVX512F__)
    const __m256 low = _mm512_maskz_extractf32x8_ps(0xff, (__m512)value, 0);
    const __m256 half = _mm256_add_ps(low, _mm512_maskz_extractf32x8_ps(0xff, (__m512)value, 1));
#else
    const __m256 half = (__m256)value;
#endif
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}
#endif

// The sums of all lanes of four vectors, in much less time than four times that of one.
REKUR_INLINE void sums_of(const Vec<float> (&value)[4], float* to) {
#if defined(__AVX2__)
    const __m128 first = _mm_hadd_ps(quarter(value[0]), quarter(value[1]));
    _mm_storeu_ps(to, _mm_hadd_ps(first, _mm_hadd_ps(quarter(value[2]), quarter(value[3]))));
#else
    for (int row = 0; row < 4; ++row) to[row] = sum_of(value[row]);
#endif
}

template <int together>
REKUR_INLINE void affine_rows(const float* weight, const float* bias, const float* x, float* y, int64_t depth) {
    Vec<float> sum[together] = {};
    for (int64_t k = 0; k < depth; k += lanes<float>) {
        const int count = static_cast<int>(depth - k < lanes<float> ? depth - k : lanes<float>);
        const Vec<float> part = load(x + k, count);
        for (int row = 0; row < together; ++row) {
            sum[row] = fused(load(weight + row * depth + k, count), part, sum[row]);
        }
    }
    if constexpr (together == 4) {
        sums_of(sum, y);
    } else {
        for (int row = 0; row < together; ++row) y[row] = sum_of(sum[row]);
    }
    for (int row = 0; bias && row < together; ++row) y[row] += bias[row];
}

static void run_affine(const float* weight, const float* bias, const float* x, float* y, int64_t rows, int64_t depth) {
    int64_t row = 0;
    for (; row + 4 <= rows; row += 4) affine_rows<4>(weight + row * depth, bias ? bias + row : bias, x, y + row, depth);
    for (; row < rows; ++row) affine_rows<1>(weight + row * depth, bias ? bias + row : bias, x, y + row, depth);
}

// y (columns) = x (rows) · weight (rows, columns), in double precision.
static void run_ridge(const double* x, const float* weight, double* __restrict y, int64_t rows, int64_t columns) {
    for (int64_t i = 0; i < columns; ++i) y[i] = 0.0;
    int64_t row = 0;
    for (; row + 4 <= rows; row += 4) {
        const float *a = weight + row * columns, *b = a + columns, *c = b + columns, *d = c + columns;
        const double p = x[row], q = x[row + 1], r = x[row + 2], s = x[row + 3];
        for (int64_t i = 0; i < columns; ++i) y[i] += (p * a[i] + q * b[i]) + (r * c[i] + s * d[i]);
    }
    for (; row < rows; ++row) {
        for (int64_t i = 0; i < columns; ++i) y[i] += x[row] * weight[row * columns + i];
    }
}

}  // namespace REKUR_ISA
}  // namespace rekur
