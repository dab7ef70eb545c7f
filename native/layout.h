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

// Where the numbers of step t of row r begin in an array as others laid it out: padded or packed, in either direction.
struct Walk {
    const int64_t* first;  // (T) places of the packed steps; or null, where steps are `step` numbers apart
    const int64_t* row;    // (R) where each row begins; or null, where rows are `unit` numbers apart
    int64_t step, unit;

    REKUR_INLINE int64_t place(int64_t t, int64_t r) const {
        return (first ? first[t] * unit : t * step) + (row ? row[r] : r * unit);
    }
};

enum class Kind : int { tanh_rnn, relu_rnn, lstm, gru, slstm };

// One recurrence over a whole batch. Gates stand as in PyTorch: LSTM i f g o; GRU r z n m, of which m = U h + bias.
// An sLSTM has i f z o and for cells c n m side by side, see slstm.h; a unit's product sees the h of its own head.
//
// Axes: B rows of the batch, of which R have a step, those in order of falling length; Q cells' numbers (H, sLSTM 3H).
template <class S>
struct Recurrence {
    Layout at;  // of gates and cells; where nothing is kept, gates of `chunk` steps are there at a time
    Walk out;   // of outputs
    int64_t hidden, heads, chunk;
    const int64_t* order;    // (R) a row's number in the batch; or null, where they are as they stand
    const int64_t* lengths;  // (R), or null where all have T steps

    const S* x;         // the inputs; or null, where gates (of a simple RNN the outputs) have what they give
    Walk x_at;
    int64_t input;      // I
    const S* weight_x;  // the input weights, packed as the recurrent ones are
    const S* bias_x;    // what is added to the input product, or null

    const S* weight;  // the recurrent weights: panels of all gates of some units
    const S* bias;    // (H), that of m; or null
    const S* h0;      // (B, H)
    const S* mask;    // (B, H), multiplies the previous output in the product; or null
    const S* c0;      // (B, Q), LSTM
    S* gates;         // (N, 4·H), not of a simple RNN
    S* outputs;
    S* cells;     // (N, Q) if kept; else (B, Q), in: c0, out: the last ones
    S* memory;    // sLSTM: m of each row, 3·H apart; in: before the first step, out: the last ones
    S* seen;      // (2, R, H), what the product sees of a step's outputs
    bool keep;    // whether backward will follow

    REKUR_INLINE int64_t batch(int64_t row) const { return order ? order[row] : row; }
    REKUR_INLINE int64_t steps_of(int64_t row) const { return lengths ? lengths[row] : at.steps; }
};

// Its gradients. What the products are made of stays as the forward pass left it.
template <class S>
struct RecurrenceBack {
    Layout at;
    Walk out, d_out;
    int64_t hidden, heads, chunk;
    const int64_t* order;
    const S* weight;  // the recurrent weights, packed as plain columns, transposed
    const S *h0, *c0, *mask, *gates, *outputs, *cells;
    const S* d_outputs;  // or null
    const S* d_last;     // (B, H), the gradient of the last outputs, or null
    S* d_h;              // (B, H), in: zero, out: the gradient of h0
    S* d_c;              // (B, Q), in: the gradient of the last cells, out: that of c0
    S* d_mask;           // (B, H), in: zero; or null

    REKUR_INLINE int64_t batch(int64_t row) const { return order ? order[row] : row; }
};

constexpr int64_t padded(int64_t size, int64_t to) { return (size + to - 1) / to * to; }

// The sums of the weights' gradients: rows are gates, columns inputs and then the units of a head, each of whole
// vectors; behind them the total of each row.
struct Sums {
    int64_t rows, input, units, width;
    REKUR_INLINE Sums(int64_t gates, int64_t inputs, int64_t head, int64_t lanes)
        : rows(gates), input(padded(inputs, lanes)), units(padded(head, lanes)), width(input + units) {}
    // numbers of the inputs and of all heads' units
    REKUR_INLINE int64_t right(int64_t heads) const { return input + heads * units; }
    REKUR_INLINE int64_t totals() const { return rows * width; }
    REKUR_INLINE int64_t size() const { return totals() + padded(rows, 64); }
};

// The large products of the gradients, and the room that a thread works in.
template <class S>
struct Gradients {
    static constexpr int64_t samples_at_once = 192;  // of so many what one panel needs stays in a near cache
    const S* x;
    Walk x_at, d_x_at;
    int64_t input;
    const S* weight_x;    // the input weights, packed as plain columns, transposed; or null where d_x is
    S* d_x;               // or null
    int64_t rows, width;  // most rows of a thread, and how far those of the gates' gradients are apart
    S* d;                 // (parts, (chunk + 1) · rows, width) the gates' gradients; one part where units are split
    int64_t* places;      // (parts, 2, chunk · rows) the row and the step of each sample
    S* left;              // (parts, samples_at_once, width), where rows of d are pages apart; or null
    S* right;             // (parts, samples_at_once, …) what the weights were multiplied with; parts as of d
    S* sums;              // (parts, …) the weights' gradients; one part where units are split; or null
};

// out (N, C) = in (N, K) · weightᵀ + bias
template <class S>
struct Product {
    int64_t rows, depth, columns;
    int64_t in_stride, out_stride;
    const S* in;
    const S* weight;  // packed as plain columns
    const S* bias;    // (C), or null
    S* out;
};

}  // namespace rekur
