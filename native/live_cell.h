// A cell of a live sequence as Python describes it, checked.
#pragma once

#include <vector>

#include "cell.h"
#include "given.h"

namespace rekur {

inline CellKind cell_kind(const std::string& name) {
    constexpr const char* names[] = {"rnn",    "rnn_relu", "lstm",  "lstm_peephole", "gru",  "gru_reset_before",
                                     "mingru", "minlstm",  "rglru", "slstm",         "mlstm"};
    for (int kind = 0; kind < 11; ++kind) {
        if (name == names[kind]) return static_cast<CellKind>(kind);
    }
    throw std::invalid_argument("cell: got '" + name + "'; expected one that a live sequence knows.");
}

// Weights by their roles, states as state_h and so on: all belong to Python; the scratch memory to the caller.
inline CellStep cell_of(const Given& given, int64_t input, int64_t output, std::vector<float>& scratch) {
    CellStep a;
    a.kind = cell_kind(given.word("cell"));
    a.input = input;
    a.output = output;
    a.hidden = given.whole("hidden");
    a.heads = given.whole("heads");
    a.norm = static_cast<float>(given.number("norm"));
    a.stay_h = static_cast<float>(given.number("stay_h"));
    a.stay_c = static_cast<float>(given.number("stay_c"));
    const int64_t H = a.hidden, rows = a.rows();
    const bool matrix = a.kind == CellKind::mlstm;
    const bool memory = a.kind == CellKind::lstm || a.kind == CellKind::lstm_peephole;
    const bool fits = H > 0 && input > 0 && a.heads > 0 && H % a.heads == 0 && output > 0 && output <= H &&
                      (output == H || a.kind == CellKind::lstm);
    if (!fits) throw std::invalid_argument("cell: expected other sizes.");
    const auto weight = [&](const char* role, int64_t size, bool needed) {
        return given.array<const float>(role, size, needed);
    };
    const auto state = [&](const char* role, int64_t size, bool needed) {
        return given.array<float>(role, size, needed);
    };
    const bool normal = a.norm > 0.0f, recurs = !a.linear() && !matrix, peeps = a.kind == CellKind::lstm_peephole;
    const bool lru = a.kind == CellKind::rglru, running = a.kind == CellKind::slstm;
    a.weight_ih = weight("weight_ih", rows * (lru ? H : input), true);
    a.bias_ih = weight("bias_ih", rows, false);
    a.weight_hh = weight("weight_hh", rows * output / a.heads, recurs);
    a.bias_hh = weight("bias_hh", rows, false);
    a.weight_hr = weight("weight_hr", output * H, output != H);
    a.weight_ci = weight("weight_ci", H, peeps);
    a.weight_cf = weight("weight_cf", H, peeps);
    a.weight_co = weight("weight_co", H, peeps);
    a.gain_ih = weight("gain_ih", rows, normal);
    a.gain_hh = weight("gain_hh", rows, normal);
    a.gain_c = weight("gain_c", H, normal && memory);
    a.bias_c = weight("bias_c", H, normal && memory);
    a.log_decay = weight("log_decay", H, lru);
    a.weight_in = weight("weight_in", H * input, lru && input != H);
    a.h = state("state_h", output, !matrix);
    a.c = state(matrix ? "state_C" : "state_c", matrix ? H * H / a.heads : H, matrix || memory || running);
    a.n = state("state_n", H, matrix || running);
    a.m = state("state_m", matrix ? a.heads : H, matrix || running);
    scratch.resize(static_cast<size_t>(a.scratch_size()));
    a.scratch = scratch.data();
    return a;
}

}  // namespace rekur
