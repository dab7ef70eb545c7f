// One step of one stream of any cell, with its weights as they stand. Plain structs.
//
// What the stepper knows runs there, packed; this is for all other cells: variants, minimal and exponential ones.
#pragma once

#include <cstdint>

namespace rekur {

enum class CellKind : int {
    rnn, rnn_relu, lstm, lstm_peephole, gru, gru_reset_before, mingru, minlstm, rglru, slstm, mlstm
};

struct CellStep {
    CellKind kind{};
    int64_t input = 0, hidden = 0, output = 0, heads = 1;
    float norm = 0.0f;                  // added to the variance of the products; 0 where they are not normalised
    float stay_h = 0.0f, stay_c = 0.0f;  // shares that stay as they were
    const float *weight_ih = nullptr, *bias_ih = nullptr, *weight_hh = nullptr, *bias_hh = nullptr;
    const float *weight_hr = nullptr;                                              // LSTM: of the output
    const float *weight_ci = nullptr, *weight_cf = nullptr, *weight_co = nullptr;  // of the peepholes
    const float *gain_ih = nullptr, *gain_hh = nullptr, *gain_c = nullptr, *bias_c = nullptr;
    const float *log_decay = nullptr, *weight_in = nullptr;  // RG-LRU
    float *h = nullptr, *c = nullptr, *n = nullptr, *m = nullptr;  // the state; c of an mLSTM is its matrix memory
    float* scratch = nullptr;                                      // scratch_size() numbers

    // Rows of the sums of all gates.
    int64_t rows() const {
        switch (kind) {
            case CellKind::rnn:
            case CellKind::rnn_relu: return hidden;
            case CellKind::mingru:
            case CellKind::rglru: return 2 * hidden;
            case CellKind::gru:
            case CellKind::gru_reset_before:
            case CellKind::minlstm: return 3 * hidden;
            case CellKind::mlstm: return 4 * hidden + 2 * heads;
            default: return 4 * hidden;
        }
    }

    bool linear() const {
        return kind == CellKind::mingru || kind == CellKind::minlstm || kind == CellKind::rglru;
    }

    // sums of inputs and of states, and what is computed of them
    int64_t scratch_size() const { return 2 * rows() + 4 * hidden + input; }
};

}  // namespace rekur
