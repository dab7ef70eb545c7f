// What rows.h describes, for one instruction set. A row has the same bits whatever stands beside it.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "activations.h"
#include "norm.h"
#include "rows.h"

namespace rekur {
namespace REKUR_ISA {

constexpr float nothing = -std::numeric_limits<float>::infinity();

REKUR_INLINE float greatest(Vec<float> x, int count) {
    float most = x[0];
    for (int lane = 1; lane < count; ++lane) most = x[lane] > most ? x[lane] : most;
    return most;
}

// The greatest of the numbers that value(i, count) gives for each vector.
template <class F>
REKUR_INLINE float greatest_over(int64_t size, F value) {
    float most = nothing;
    Vec<float> top = all(nothing);
    each_vector<float>(size, [&](int64_t i, int count) {
        const Vec<float> v = value(i, count);
        if (count == lanes<float>) {
            top = v > top ? v : top;
        } else {
            most = greatest(v, count);
        }
    });
    const float whole = greatest(top, lanes<float>);
    return whole > most ? whole : most;
}

// log Σ e^x, where the greatest x is known.
REKUR_INLINE float log_total(const float* x, int64_t size, float most) {
    const float sum = sum_over<float>(
        size, [&](int64_t i, int count) { return exp_negative(load<float>(x + i, count) - most); });
    return most + std::log(sum);
}

inline void log_softmax_row(const LogSoftmax& a, float* row) {
    const int64_t size = a.columns - a.skip;
    float* x = row + a.skip;
    for (int64_t i = 0; i < a.skip; ++i) row[i] = nothing;
    const float most = greatest_over(size, [&](int64_t i, int count) { return load<float>(x + i, count); });
    const float off = log_total(x, size, most);
    each_vector<float>(size, [&](int64_t i, int count) { store(x + i, load<float>(x + i, count) - off, count); });
}

inline void run_log_softmax(const LogSoftmax& a, const Share& share) {
    const int64_t begin = a.rows * share.part / share.parts, end = a.rows * (share.part + 1) / share.parts;
    for (int64_t row = begin; row < end; ++row) log_softmax_row(a, a.scores + row * a.columns);
}

inline void run_cross_entropy(const CrossEntropy& a, const Share& share) {
    const int64_t begin = a.rows * share.part / share.parts, end = a.rows * (share.part + 1) / share.parts;
    const int64_t size = a.columns - a.skip;
    for (int64_t row = begin; row < end; ++row) {
        const float *scores = a.scores + row * a.columns, *x = scores + a.skip;
        const float most = greatest_over(size, [&](int64_t i, int count) { return load<float>(x + i, count); });
        a.totals[row] = log_total(x, size, most);
        a.nats[row] = a.targets[row] < a.skip ? 0 : a.totals[row] - scores[a.targets[row]];
    }
}

// w · (e^(score - total) - [the target's]) of each score.
inline void run_cross_entropy_gradient(const CrossEntropy& a, const Share& share) {
    const int64_t begin = a.rows * share.part / share.parts, end = a.rows * (share.part + 1) / share.parts;
    const int64_t size = a.columns - a.skip;
    for (int64_t row = begin; row < end; ++row) {
        const float* x = a.scores + row * a.columns + a.skip;
        float *to = a.gradient + row * a.columns, *y = to + a.skip;
        const bool has_target = a.targets[row] >= a.skip;
        const float weight = has_target ? a.weights[row] : 0, total = a.totals[row];
        for (int64_t i = 0; i < a.skip; ++i) to[i] = 0;
        each_vector<float>(size, [&](int64_t i, int count) {
            store(y + i, weight * exp_negative(load<float>(x + i, count) - total), count);
        });
        if (has_target) to[a.targets[row]] -= weight;
    }
}

inline float score_of(const Attention& a, const float* query, const float* key) {
    if (!a.weight) {
        return a.scale * sum_over<float>(a.size, [&](int64_t i, int count) {
            return load<float>(query + i, count) * load<float>(key + i, count);
        });
    }
    return a.scale * sum_over<float>(a.size, [&](int64_t i, int count) {
        const Vec<float> hidden = tanh(load<float>(query + i, count) + load<float>(key + i, count));
        return load<float>(a.weight + i, count) * hidden;
    });
}

// Scores become weights: e^(score - the largest), each as its share of their sum.
inline void weigh(float* scores, int64_t steps) {
    float most = scores[0];
    for (int64_t s = 1; s < steps; ++s) most = scores[s] > most ? scores[s] : most;
    each_vector<float>(steps, [&](int64_t i, int count) {
        store(scores + i, exp_negative(load<float>(scores + i, count) - most), count);
    });
    const float share = 1 / sum_over<float>(steps, [&](int64_t i, int count) { return load<float>(scores + i, count); });
    for (int64_t s = 0; s < steps; ++s) scores[s] *= share;
}

// The weighted sum of values, eight vectors of numbers at a time, and then one.
inline void mix_values(const Attention& a, const float* weights, const float* values, int64_t steps, float* to) {
    constexpr int wide = lanes<float>, vectors = 8;
    int64_t i = 0;
    for (; i + vectors * wide <= a.values; i += vectors * wide) {
        Vec<float> sums[vectors]{};
        for (int64_t s = 0; s < steps; ++s) {
            const float* from = values + s * a.values + i;
            for (int k = 0; k < vectors; ++k) sums[k] = fused(all(weights[s]), load<float>(from + k * wide), sums[k]);
        }
        for (int k = 0; k < vectors; ++k) store(to + i + k * wide, sums[k]);
    }
    each_vector<float>(a.values - i, [&](int64_t at, int count) {
        Vec<float> sum{};
        for (int64_t s = 0; s < steps; ++s) {
            sum = fused(all(weights[s]), load<float>(values + s * a.values + i + at, count), sum);
        }
        store(to + i + at, sum, count);
    });
}

inline void run_attend(const Attention& a, const Share& share) {
    const int64_t begin = a.rows * share.part / share.parts, end = a.rows * (share.part + 1) / share.parts;
    std::vector<float> weights;
    for (int64_t row = begin; row < end; ++row) {
        const int64_t source = a.sources[row], start = a.starts[source], steps = a.lengths[source];
        if (steps > static_cast<int64_t>(weights.size())) weights.resize(static_cast<size_t>(steps));
        for (int64_t s = 0; s < steps; ++s) {
            weights[s] = score_of(a, a.query + row * a.size, a.keys + (start + s) * a.size);
        }
        if (steps > 0) weigh(weights.data(), steps);
        mix_values(a, weights.data(), a.memory + start * a.values, steps, a.context + row * a.values);
    }
}

}  // namespace REKUR_ISA
}  // namespace rekur
