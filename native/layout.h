// What a scan is given: where each row's steps stand, and the arrays. Plain structs, the same for all instruction sets.
//
// Axes: R rows, T steps of the longest row, N real steps of all rows, H hidden, G gates.
#pragma once

#include <cstdint>

// What every instruction set compiles must be inlined: of two copies of a function the linker keeps any.
#define REKUR_INLINE inline __attribute__((always_inline))

namespace rekur {

// The step t of row r stands at place first[t] + r * stride; rows are in order of falling length.
struct Layout {
    const int64_t* first;   // (T)
    const int64_t* active;  // (T) rows that have the step, falling
    int64_t stride;
    int64_t steps;  // T
    int64_t rows;   // R

    REKUR_INLINE int64_t place(int64_t t, int64_t r) const { return first[t] + r * stride; }
    REKUR_INLINE bool whole() const { return steps == 0 || active[steps - 1] == rows; }
};

enum class Kind : int { tanh_rnn, relu_rnn, lstm, gru, slstm };

// One recurrence over a whole batch. Gates stand as in PyTorch: LSTM i f g o; GRU r z n m, of which m = U h + bias.
// An sLSTM has i f z o and for cells c n s side by side, see slstm.h; a unit's product sees the h of its own head.
template <class S>
struct Recurrence {
    Layout at;
    int64_t hidden;   // H
    const S* weight;  // the recurrent weights, as pack_gates gave them
    const S* bias;    // (H), that of m; or null
    const S* h0;      // (R, H)
    const S* seen0;   // (R, H), h0 as the product sees it: under the mask where there is one
    const S* mask;    // (R, H), multiplies the previous output in the product; or null
    const S* c0;      // (R, H), LSTM
    S* gates;         // (N, G·H) in: what the input gives; out, if kept: the gates. A simple RNN has its outputs here
    S* outputs;       // (N, H)
    S* cells;         // LSTM: (N, H) if kept; else (R, H), in: c0, out: the last ones
    S* seen;          // (2, R, H), where there is a mask
    bool keep;        // whether backward will follow
    int64_t heads = 1;
    S* memory = nullptr;  // (R, H), sLSTM: m, in: before the first step, out: the last ones
};

// Its gradients. What the products are made of stays as the forward pass left it.
template <class S>
struct RecurrenceBack {
    Layout at;
    int64_t hidden;
    const S* weight;     // the recurrent weights, as pack_columns gave them, transposed
    const S* h0;
    const S* c0;
    const S* mask;
    const S* gates;
    const S* outputs;
    const S* cells;
    const S* d_outputs;  // (N, H), the gradient of the last outputs added in
    S* d_gates;          // (N, G·H)
    S* d_h;              // (R, H), in: zero, out: the gradient of h0
    S* d_c;              // (R, H), in: the gradient of the last cells, out: that of c0; sLSTM: (R, 3H), of c n m
    int64_t heads = 1;
};

// out (N, C) = in (N, K) · weightᵀ + bias
template <class S>
struct Product {
    int64_t rows, depth, columns;
    int64_t in_stride, out_stride;
    const S* in;
    const S* weight;  // as pack_columns gave it
    const S* bias;    // (C), or null
    S* out;
};

}  // namespace rekur
