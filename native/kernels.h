// What one instruction set offers; isa.cpp fills the table once for each, and select() takes the best that runs here.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "above.h"
#include "layout.h"
#include "likeliest.h"
#include "linear.h"
#include "rows.h"
#include "share.h"
#include "stepper.h"
#include "variant.h"

namespace rekur {

template <class S>
struct Kernels {
    int lanes;          // numbers of a vector
    int forward_units;  // vectors of units in a panel of a simple RNN's forward pass
    int panel;          // vectors in a panel of plain columns
    void (*forward)(Kind, const Recurrence<S>&, const Share&);
    void (*backward)(Kind, const RecurrenceBack<S>&, const Gradients<S>&, const Share&);
    void (*product)(const Product<S>&, const Share&);
    void (*variant)(const Variant<S>&, const Share&);
    void (*variant_back)(const Variant<S>&, const Share&);
    void (*linear)(const Linear<S>&, const Share&);
    void (*linear_back)(const Linear<S>&, const Share&);
};

struct InstructionSet {
    const char* name;
    bool (*runs_here)();
    Kernels<float> single;
    Kernels<double> twice;
    StepKernels step;
    RowKernels rows;
    LikeliestKernels likeliest;
    void (*count_above)(const Above&);

    template <class S>
    const Kernels<S>& of() const;
};

template <>
inline const Kernels<float>& InstructionSet::of<float>() const { return single; }
template <>
inline const Kernels<double>& InstructionSet::of<double>() const { return twice; }

// The sets that this machine can run, the best first.
std::vector<const InstructionSet*> runnable();

// The best set of this machine, or the one that REKUR_ISA names. Throws std::runtime_error where that cannot run.
const InstructionSet& select();

// How weights stand for a product: see pack().
struct Packing {
    int64_t gates, columns, depth;        // columns of each gate
    int64_t column_stride, depth_stride;  // in the weights as given
    int units, lanes;                     // vectors of columns of each gate in a panel
    int64_t gate_stride = 0;              // columns from one gate to the next in them; 0 where it is that of columns

    int64_t size() const { return (columns + lanes - 1) / lanes * lanes * gates * depth; }
};

// Panels of units · lanes columns of each gate: for every k all of the first gate, then all of the second. One of
// several parts packs some of the panels.
template <class S>
void pack(const Packing& p, const S* from, S* to, int64_t part = 0, int64_t parts = 1) {
    const int64_t vectors = (p.columns + p.lanes - 1) / p.lanes, panels = (vectors + p.units - 1) / p.units;
    const int64_t begin = panels * part / parts * p.units, end = panels * (part + 1) / parts * p.units;
    to += begin * p.lanes * p.gates * p.depth;
    for (int64_t first = begin; first < vectors && first < end; first += p.units) {
        const int64_t wide = (vectors - first < p.units ? vectors - first : p.units) * p.lanes, row = p.gates * wide;
        const int64_t left = p.columns - first * p.lanes, real = left < wide ? left : wide;
        // some k at a time, so that what is written stays near while lane after lane is filled in
        for (int64_t k = 0; k < p.depth; k += 16) {
            const int64_t deep = p.depth - k < 16 ? p.depth - k : 16;
            for (int64_t gate = 0; gate < p.gates; ++gate) {
                const int64_t column = gate * (p.gate_stride ? p.gate_stride : p.columns) + first * p.lanes;
                const S* source = from + column * p.column_stride + k * p.depth_stride;
                S* into = to + k * row + gate * wide;
                if (p.column_stride == 1) {
                    for (int64_t i = 0; i < deep; ++i) {
                        std::memcpy(into + i * row, source + i * p.depth_stride, static_cast<size_t>(real) * sizeof(S));
                        for (int64_t lane = real; lane < wide; ++lane) into[i * row + lane] = S(0);
                    }
                    continue;
                }
                for (int64_t lane = 0; lane < wide; ++lane) {
                    const S* column = source + lane * p.column_stride;
                    for (int64_t i = 0; i < deep; ++i) {
                        into[i * row + lane] = lane < real ? column[i * p.depth_stride] : S(0);
                    }
                }
            }
        }
        to += p.depth * row;
    }
}

}  // namespace rekur
