// One step of a stack of recurrent layers for some streams, whose states stand in an arena. Plain structs.
//
// A stream is a slot of the arena: the state of all its layers, side by side, each padded to state_pad numbers.
#pragma once

#include <cstdint>

#include "cell.h"
#include "layout.h"

namespace rekur {

enum class Precision : int { float32, bfloat16, int8 };

constexpr int64_t state_pad = 16;  // numbers: no vector is longer
constexpr int64_t step_rows = 256;  // that go through the layers together: weights are read once for all of them
constexpr int64_t byte_pad = 64;

// One product of a layer: weights as pack_step gave them.
struct StepWeights {
    int64_t depth;        // numbers of the left side
    int64_t panel;        // bytes of a panel
    int64_t columns;      // of a panel
    const char* packed;
    const float* scale;   // int8: of each column, in the order of the panels
    const int32_t* sums;  // int8: what takes the zero point of the left side out again, likewise
};

struct StepLayer {
    Kind kind;
    int64_t hidden, state;  // where in a slot h begins; c follows after padded(hidden) numbers
    StepWeights input, recurrent;
    const float* bias;  // in the order of the panels; GRU: r z n m
};

// Rows of one thread. With the same weights and numbers a row's result is the same bits, however many rows there are.
struct StepWork {
    const StepLayer* layers;
    int64_t count;
    Precision precision;
    float* arena;
    int64_t width;         // numbers of a slot
    const int64_t* slots;  // (rows), no slot twice
    int64_t rows;
    const float* x;  // (rows, input)
    float* out;      // (rows, hidden of the last layer)
    char* scratch;   // step_scratch() bytes, on a cache line
    bool backwards;  // panels from the last to the first: what the step before read last is still in a near cache
};

struct StepKernels {
    int lanes;  // numbers of a vector
    int units;  // vectors of units in a panel of a simple RNN
    void (*run)(const StepWork&);
    // y (rows) = weight (rows, depth) · x (depth) + bias (rows), or without a bias where that is null
    void (*affine)(const float* weight, const float* bias, const float* x, float* y, int64_t rows, int64_t depth);
    // y (columns) = x (rows) · weight (rows, columns)
    void (*ridge)(const double* x, const float* weight, double* y, int64_t rows, int64_t columns);
    // one step of one stream of any cell: out (output)
    void (*cell)(const CellStep&, const float* x, float* out);
};

// The scratch memory of one thread.
struct StepScratch {
    int64_t before, after, bytes, scales, panel, size;  // where each begins; the size of all

    // Of the widest layer: numbers of its state and of its left sides, vectors of a panel times lanes.
    StepScratch(int64_t hidden, int64_t depth, int64_t columns, int64_t rows) {
        const int64_t floats = padded(hidden, state_pad) * rows * 4;
        before = 0;
        after = before + floats;
        bytes = after + 2 * floats;  // read by one layer, written by the next
        scales = bytes + 4 * rows * padded(depth, byte_pad);
        panel = scales + padded(2 * rows * 4, byte_pad);
        size = panel + 2 * columns * depth * 4;
    }
};

}  // namespace rekur
