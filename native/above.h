// Which outputs of fixed convolutions are above biases: how many, how late, and how many in a row; what rekur._shares
// defines, for many series at once.
#pragma once

#include <atomic>
#include <cstdint>

namespace rekur {

// Kernels of nine taps, of which three have the weight 2 and the others -1: one for each three taps.
constexpr int64_t above_taps = 9, above_side = 4, above_kernels = 84;

// A convolution has a dilation, a kernel and channels, whose sum it reads; biases are ordered so too.
// Of each bias the outputs above it are counted. Where all numbers are wanted, their places among the outputs of the
// kernel are added up too, and the longest run of them is kept beside the one that goes on.
struct Above {
    int64_t rows, channels, dilations, pairs;  // pairs: of all biases with the outputs that they are compared with
    bool all;
    const int64_t *dilation, *counts;         // counts: biases of each kernel at a dilation
    const uint8_t* flags;                     // (dilations · kernels, channels), 1 where a convolution reads a channel
    const float* biases;
    const float* steps;                       // (·, channels), in which each row has some
    const int64_t *starts, *sizes;
    const int64_t *first, *begin, *end;       // times: of a row's first step, and of the outputs that are counted
    const int64_t* lengths;                   // of the series
    const int64_t* before;                    // (rows, states · pairs), of earlier outputs; or null
    int64_t* totals;                          // (rows, states · pairs), out; or null
    float* shares;                            // (rows, numbers · pairs), out; or null
    std::atomic<int64_t>* next;               // the next dilation of a row that nobody has taken

    // count, sum of places, run that goes on, longest run; or the count alone
    int64_t states() const { return all ? 4 : 1; }
    // share, share weighted by time, share of the longest run; or the first alone
    int64_t numbers() const { return all ? 3 : 1; }
};

}  // namespace rekur
