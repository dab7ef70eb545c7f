// What a scan of a variant is given: a cell's equations, and what is done around them. Plain, for all instruction sets.
//
// Around the equations there may be layer normalisation of both products and of an LSTM's memory before it is read, a
// mask on what the recurrent product sees (recurrent dropout), zoneout, peepholes and a projection of the output.
// Axes: R rows, N real steps of all rows, H hidden, O outputs (H, or fewer where projected), G gates.
#pragma once

#include "layout.h"

namespace rekur {

enum class Equations : int { tanh_rnn, relu_rnn, lstm, gru, gru_reset_before };

// Gates stand as in PyTorch: i f g o; r z n. A GRU keeps r z n m, of which m is what r multiplies.
template <class S>
struct Variant {
    Layout at;
    Equations equations;
    int64_t hidden, outputs, gates;  // H, O, G
    int64_t block;                   // rows at a time
    bool keep;                       // whether backward will follow

    const S* weight;      // recurrent, packed; with reset before the product that of the two gates
    const S* candidate;   // reset before the product: the recurrent weight of n, packed; or null
    const S* projection;  // packed, or null
    const S* bias_m;      // (H), inside the reset product of a GRU, or null
    const S* peepholes;   // (3, H) of i, f, o, or null

    S epsilon;
    const S* gain_x;  // (G·H), of the normalised input product; null without normalisation
    const S* gain_h;  // (G·H)
    const S* bias_x;  // (G·H), behind the normalised products, or null
    const S* gain_c;  // (H), of an LSTM's memory, or null
    const S* bias_c;  // (H)

    const S* stay_h;  // (N, O), the share of each unit that stays as it was; or null, where it is rate_h
    const S* stay_c;  // (N, H)
    S rate_h, rate_c;

    const S* h0;    // (R, O)
    const S* mask;  // (R, O), or null
    const S* c0;    // (R, H), LSTM
    S* seen;        // (R, O) where there is a mask: in: h0 under it
    const S* raw;   // (N, G·H), the input product, with its bias where nothing is normalised
    S* product;     // (N, G·H), if kept and normalised: the recurrent product
    S* kept;        // (N, pieces·H), if kept: the gates; may be raw where nothing is normalised and the width is its
    S* hiddens;     // (N, H), if kept and projected: what was projected
    S* y;           // (N, O)
    S* cells;       // LSTM: (N, H) if kept; else (R, H), in: c0, out: the last ones

    S* d_y;        // (N, O), the last outputs' gradient added in; where projected out: that of the projection
    S* d_raw;      // (N, G·H)
    S* d_product;  // (N, G·H), may be d_raw where both are the same
    S* d_h;        // (R, O), in: zero, out: the gradient of h0
    S* d_c;        // (R, H), in: the gradient of the last cells, out: that of c0
    S* sums;       // (parts, sums()), in: zero, out: gradients of what all rows share

    S* scratch;  // (parts, scratch_size())

    REKUR_INLINE bool normalised() const { return gain_x != nullptr; }
    REKUR_INLINE int64_t width() const { return gates * hidden; }
    REKUR_INLINE int64_t pieces() const { return equations == Equations::gru ? 4 : gates; }
    // gates of the first recurrent product
    REKUR_INLINE int64_t product_gates() const { return equations == Equations::gru_reset_before ? 2 : gates; }
    // columns that are normalised together first; the others are by themselves
    REKUR_INLINE int64_t first_group() const { return equations == Equations::gru ? 2 * hidden : width(); }

    // Where the gradients stand in sums: gain_x, gain_h, bias_x (G·H each), bias_m, gain_c, bias_c (H), peepholes (3H).
    REKUR_INLINE int64_t sums_size() const { return 3 * width() + 6 * hidden; }
    REKUR_INLINE int64_t row_scratch() const { return width() + 2 * (hidden > outputs ? hidden : outputs); }
    REKUR_INLINE int64_t scratch_size() const { return block * row_scratch() + 2 * (width() + hidden); }
};

}  // namespace rekur
