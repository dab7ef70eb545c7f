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

template <int together>
REKUR_INLINE void affine_rows(const float* weight, const float* bias, const float* x, float* y, int64_t depth) {
    Vec<float> sum[together] = {};
    for (int64_t k = 0; k < depth; k += lanes<float>) {
        const int count = static_cast<int>(depth - k < lanes<float> ? depth - k : lanes<float>);
        const Vec<float> part = load(x + k, count);
        for (int row = 0; row < together; ++row) sum[row] = fused(load(weight + row * depth + k, count), part, sum[row]);
    }
    for (int row = 0; row < together; ++row) y[row] = sum_of(sum[row]) + (bias ? bias[row] : 0.0f);
}

static void run_affine(const float* weight, const float* bias, const float* x, float* y, int64_t rows, int64_t depth) {
    int64_t row = 0;
    for (; row + 4 <= rows; row += 4) affine_rows<4>(weight + row * depth, bias ? bias + row : bias, x, y + row, depth);
    for (; row < rows; ++row) affine_rows<1>(weight + row * depth, bias ? bias + row : bias, x, y + row, depth);
}

}  // namespace REKUR_ISA
}  // namespace rekur
