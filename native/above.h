// How many outputs of fixed convolutions are above biases: what rekur._shares defines, for many series at once.
#pragma once

#include <atomic>
#include <cstdint>

namespace rekur {

// Kernels of nine taps, of which three have the weight 2 and the others -1: one for each three taps.
constexpr int64_t above_taps = 9, above_side = 4, above_kernels = 84;

// A convolution has a dilation, a kernel and channels, whose sum it reads; biases are ordered so too.
struct Above {
    int64_t rows, channels, dilations, size;  // size: of all biases
    const int64_t *dilation, *counts;         // counts: biases of each kernel at a dilation
    const uint8_t* flags;                     // (dilations · kernels, channels), 1 where a convolution reads a channel
    const float* biases;
    const float* steps;                       // (·, channels), in which each row has some
    const int64_t *starts, *sizes;
    const int64_t *first, *begin, *end;       // times: of a row's first step, and of the outputs that are counted
    const int64_t* lengths;                   // of the series
    const int64_t* before;                    // (rows, size), to which counts are added; or null
    int64_t* totals;                          // (rows, size), out; or null
    float* shares;                            // (rows, size), out: totals by the number of outputs; or null
    std::atomic<int64_t>* next;               // the next dilation of a row that nobody has taken
};

}  // namespace rekur
