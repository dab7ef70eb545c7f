// Compiled once for every instruction set, each in a namespace of its own (REKUR_ISA).
#if defined(_WIN32)
#define NOMINMAX
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#endif

#include "kernels.h"

#include "cell_step.h"
#include "elman.h"
#include "gru.h"
#include "layer.h"
#include "likeliest_run.h"
#include "lstm.h"
#include "product.h"
#include "rows_run.h"
#include "slstm.h"
#include "stepper_affine.h"
#include "stepper_run.h"
#include "variant_backward.h"

namespace rekur {
namespace REKUR_ISA {

template <class S>
void forward(Kind kind, const Recurrence<S>& a, const Share& share) {
    switch (kind) {
        case Kind::tanh_rnn: return run_forward<ElmanForward<true>>(a, share);
        case Kind::relu_rnn: return run_forward<ElmanForward<false>>(a, share);
        case Kind::lstm: return run_forward<LstmForward>(a, share);
        case Kind::gru: return run_forward<GruForward>(a, share);
        case Kind::slstm: return run_forward<SlstmForward>(a, share);
    }
}

template <class S>
void backward(Kind kind, const RecurrenceBack<S>& a, const Gradients<S>& g, const Share& share) {
    switch (kind) {
        case Kind::tanh_rnn: return run_backward<ElmanBackward<true>>(a, g, share);
        case Kind::relu_rnn: return run_backward<ElmanBackward<false>>(a, g, share);
        case Kind::lstm: return run_backward<LstmBackward>(a, g, share);
        case Kind::gru: return run_backward<GruBackward>(a, g, share);
        case Kind::slstm: return run_backward<SlstmBackward>(a, g, share);
    }
}

// in linear_scan.cpp
template <class S>
void run_linear(const Linear<S>&, const Share&);
template <class S>
void run_linear_back(const Linear<S>&, const Share&);

// in above_count.cpp
void run_above(const Above&);

template <class S>
constexpr Kernels<S> table() {
    static_assert(product_vectors == back_vectors, "both are packed as plain columns");
    static_assert(product_vectors == plain_vectors, "both are packed as plain columns");
    return {lanes<S>,    ElmanForward<true>::units, product_vectors, forward<S>,
            backward<S>, run_product<S>,            run_variant<S>,  run_variant_back<S>,
            run_linear<S>, run_linear_back<S>};
}

static bool runs_here() {
#if defined(_WIN32) && defined(__AVX512F__)
    return IsProcessorFeaturePresent(PF_AVX512F_INSTRUCTIONS_AVAILABLE);
#elif defined(_WIN32) && defined(__AVX2__)
    return IsProcessorFeaturePresent(PF_AVX2_INSTRUCTIONS_AVAILABLE);
#elif defined(__AVX512F__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#elif defined(__AVX2__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return true;
#endif
}

extern const InstructionSet instruction_set;
const InstructionSet instruction_set = {REKUR_ISA_NAME, runs_here, table<float>(), table<double>(),
                                         {lanes<float>, ElmanForward<true>::units, run_step, run_affine, run_ridge,
                                          run_cell},
                                         {run_log_softmax, run_cross_entropy, run_cross_entropy_gradient, run_attend},
                                         {groups_of, run_likeliest, join_likeliest}, run_above};

}  // namespace REKUR_ISA
}  // namespace rekur
