// What a scan that is linear in its state is given: h = a h' + b, element by element. Plain, for all instruction sets.
//
// a and b come as they are, or a form makes them of what the input gave, so that they are never written anywhere.
#pragma once

#include "layout.h"
#include "share.h"

namespace rekur {

// Gates, value: a, b themselves | z, h~ | f, i, h~ | r, i, v.
enum class Form : int { plain, mingru, minlstm, rglru };

REKUR_INLINE int64_t gates_of(Form form) { return form == Form::minlstm || form == Form::rglru ? 2 : 1; }

// Gate k of a place stands at gates + place * gates_stride + k * H; a stride of 0 has one row for all places.
template <class S>
struct Linear {
    Layout at;
    Form form;
    int64_t hidden;  // H
    int64_t gates_stride, value_stride;
    const S* gates;
    const S* value;
    const S* decay;  // (H), of an RG-LRU: 8 log sigmoid of its parameter
    const S* h0;     // (R, H)
    S* outputs;      // (N, H)
    S* last;         // (R, H), forward, out: the state after each row's last step

    int64_t d_gates_stride, d_value_stride;
    const S* d_outputs;  // (N, H), or null for zeros
    S* d_gates;
    S* d_value;
    S* d_h;      // (R, H), in: the gradient of the last state, out: that of h0
    S* d_decay;  // (parts, H), in: zero, of an RG-LRU
};

}  // namespace rekur
