// What one instruction set offers; isa.cpp fills the table once for each, and select() takes the best that runs here.
#pragma once

#include <cstdint>
#include <vector>

#include "layout.h"
#include "linear.h"
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
    void (*backward)(Kind, const RecurrenceBack<S>&, const Share&);
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

    int64_t size() const { return (columns + lanes - 1) / lanes * lanes * gates * depth; }
};

// Panels of units · lanes columns of each gate: for every k all of the first gate, then all of the second.
template <class S>
void pack(const Packing& p, const S* from, S* to) {
    const int64_t vectors = (p.columns + p.lanes - 1) / p.lanes;
    for (int64_t first = 0; first < vectors; first += p.units) {
        const int64_t wide = (vectors - first < p.units ? vectors - first : p.units) * p.lanes;
        for (int64_t k = 0; k < p.depth; ++k) {
            for (int64_t gate = 0; gate < p.gates; ++gate) {
                for (int64_t lane = 0; lane < wide; ++lane) {
                    const int64_t column = first * p.lanes + lane;
                    const int64_t place = (gate * p.columns + column) * p.column_stride + k * p.depth_stride;
                    *to++ = column < p.columns ? from[place] : S(0);
                }
            }
        }
    }
}

}  // namespace rekur
