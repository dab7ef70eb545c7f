// Work on rows of float32 that stand beside each other: log-softmax in place, cross entropy and its gradient, and
// attention over ragged memories.
#pragma once

#include <cstdint>

#include "layout.h"
#include "share.h"

namespace rekur {

struct LogSoftmax {
    int64_t rows, columns, skip;  // the first skip columns of a row become -inf, and count for nothing
    float* scores;                // (rows, columns), in and out
};

struct CrossEntropy {
    int64_t rows, columns, skip;  // the first skip columns of a row count for nothing
    const float* scores;          // (rows, columns)
    const int64_t* targets;       // the column of each row; below skip: the row has no target
    float *totals, *nats;         // of each row: the log of the sum of e^score, and that less the target's score
    const float* weights;         // of each row's nats, for the gradient
    float* gradient;              // of the scores, (rows, columns)
};

struct Attention {
    int64_t rows, size, values;     // numbers of a query or key, and of a value
    float scale;
    const float *query, *keys, *memory, *weight;  // weight (size) of the score "additive", else null
    const int64_t *starts, *lengths, *sources;    // the steps of each source, and the source of each row
    float* context;                               // (rows, values)
};

struct RowKernels {
    void (*log_softmax)(const LogSoftmax&, const Share&);
    void (*cross_entropy)(const CrossEntropy&, const Share&);
    void (*cross_entropy_gradient)(const CrossEntropy&, const Share&);
    void (*attend)(const Attention&, const Share&);
};

}  // namespace rekur
