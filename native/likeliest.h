// The largest log-softmaxes of rows of a product, without the product being written: what a search needs of a step.
//
// Axes: N rows, K numbers of a row, V columns, P parts, G groups of columns, C columns that are found, A apart.
#pragma once

#include <cstdint>

#include "share.h"

namespace rekur {

struct Likeliest {
    int64_t rows, depth, columns, count, apart_count;  // N, K, V, C, A
    const float* in;       // (N, K)
    const float* weight;   // packed as plain columns
    const float* bias;     // of whole vectors, minus infinity beyond the last column
    const int64_t* apart;  // columns that are never found, and whose scores are asked for
    // what the parts find; a part has some groups of columns, and the sums of a group are the same in every part
    float* sums;         // (G, N, 2): the greatest number of each group, about, and Σ e^(x - that)
    float* part_scores;  // (P, N, C), the largest first
    int64_t* part_found;
    // the results
    float* scores;        // (N, C), minus infinity where a row has fewer
    int64_t* found;       // (N, C)
    float* apart_scores;  // (N, A)
};

struct LikeliestKernels {
    int64_t (*groups)(int64_t columns);
    void (*run)(const Likeliest&, const Share&);
    void (*join)(const Likeliest&, int parts);
};

}  // namespace rekur
