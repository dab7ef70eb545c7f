// Sums over a row in one fixed order, and what layer normalisation makes of them.
#pragma once

#include <cmath>

#include "simd.h"

namespace rekur {
namespace REKUR_ISA {

// Calls f(place, lanes) for every vector of a row; the last one may have fewer lanes.
template <class S, class F>
REKUR_INLINE void each_vector(int64_t size, F&& f) {
    int64_t u = 0;
    for (; u + lanes<S> <= size; u += lanes<S>) f(u, lanes<S>);
    if (u < size) f(u, static_cast<int>(size - u));
}

template <class S>
REKUR_INLINE Vec<S> first_lanes(Vec<S> x, int count) {
    if (count == lanes<S>) return x;
    Vec<S> y{};
    std::memcpy(&y, &x, count * sizeof(S));
    return y;
}

template <class S>
REKUR_INLINE S total(Vec<S> x) {
    S lane[lanes<S>];
    store(lane, x);
    for (int half = lanes<S> / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
    }
    return lane[0];
}

// The sum over a row of what f(place, lanes) gives; four sums side by side, so that none waits for the one before.
template <class S, class F>
REKUR_INLINE S sum_over(int64_t size, F&& f) {
    constexpr int wide = lanes<S>;
    Vec<S> a{}, b{}, c{}, d{};
    int64_t u = 0;
    for (; u + 4 * wide <= size; u += 4 * wide) {
        a += f(u, wide);
        b += f(u + wide, wide);
        c += f(u + 2 * wide, wide);
        d += f(u + 3 * wide, wide);
    }
    for (; u + wide <= size; u += wide) a += f(u, wide);
    if (u < size) b += first_lanes<S>(f(u, static_cast<int>(size - u)), static_cast<int>(size - u));
    return total<S>((a + b) + (c + d));
}

// Mean and 1 / standard deviation of a row.
template <class S>
struct Moments {
    S mean, scale;
    REKUR_INLINE Vec<S> of(Vec<S> x) const { return (x - mean) * scale; }
};

template <class S>
inline Moments<S> moments(const S* row, int64_t size, S epsilon) {
    const S mean = sum_over<S>(size, [&](int64_t u, int n) { return load(row + u, n); }) / size;
    const S squares = sum_over<S>(size, [&](int64_t u, int n) {
        const Vec<S> d = load(row + u, n) - mean;
        return d * d;
    });
    return {mean, S(1) / std::sqrt(squares / size + epsilon)};
}

template <class S>
REKUR_INLINE void add_to(S* sums, Vec<S> value, int count) {
    store(sums, load(sums, count) + value, count);
}

// Turns the gradient of gain · normalised(row) into that of the row, and adds that of the gain to d_gain.
template <class S>
inline void normalise_back(const S* row, const S* gain, const S* d, S* d_gain, S* d_row, int64_t size, S epsilon) {
    const Moments<S> stats = moments(row, size, epsilon);
    const S mean = sum_over<S>(size, [&](int64_t u, int n) { return load(d + u, n) * load(gain + u, n); }) / size;
    const S slope = sum_over<S>(size, [&](int64_t u, int n) {
        const Vec<S> x = stats.of(load(row + u, n)), here = load(d + u, n);
        add_to(d_gain + u, here * x, n);
        return here * load(gain + u, n) * x;
    }) / size;
    each_vector<S>(size, [&](int64_t u, int n) {
        const Vec<S> x = stats.of(load(row + u, n));
        store(d_row + u, stats.scale * (load(d + u, n) * load(gain + u, n) - mean - x * slope), n);
    });
}

}  // namespace REKUR_ISA
}  // namespace rekur
