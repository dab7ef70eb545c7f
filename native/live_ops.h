// The ops of a live sequence, each on one step; arrays belong to Python, registers to the sequence.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "live_cell.h"
#include "runs.h"
#include "stepper_object.h"

namespace rekur {
namespace {

constexpr int64_t unknown = 1;  // the id of unknown tokens

// Runs of so many tokens: those that are known, sorted, and their vectors, or where that of the unknown stands.
struct RunsOf {
    int64_t order = 0, known = 0;
    const int64_t* keys = nullptr;
    const float* table = nullptr;
};

// An op with everything it touches; arrays belong to Python, registers to the sequence.
struct LiveOp {
    void (*run)(LiveOp&);
    std::vector<const float*> reads;
    std::vector<int64_t> widths;
    float* out = nullptr;
    int64_t size = 0, depth = 0;
    const float *weight = nullptr, *bias = nullptr, *more = nullptr;
    float *state = nullptr, *mass = nullptr, *top = nullptr;
    int64_t* count = nullptr;
    Stepper* stepper = nullptr;
    CellStep cell;
    float epsilon = 0.0f;
    const int64_t* token = nullptr;
    std::vector<float> scratch;
    std::vector<RunsOf> runs;  // of tokens, one for each length
    int64_t *before = nullptr, *memory = nullptr;
    int64_t keep = 0, slots = 0, vocabulary = 0;  // of a vocabulary, ids beyond are read as unknown
    int64_t number = 0;  // slice: the first; mix: candidates of a point; quantiles: those below the median
};

float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

void affine(const LiveOp& op, const float* weight, const float* bias, const float* x, float* y, int64_t rows) {
    select().step.affine(weight, bias, x, y, rows, op.depth);
}

// A row of the table for the id of the op's column; for an id beyond the table that of unknown tokens.
void embed(LiveOp& op) {
    const int64_t row = *op.token < op.vocabulary ? *op.token : unknown;
    std::memcpy(op.out, op.weight + row * op.size, static_cast<size_t>(op.size) * sizeof(float));
}

// The last tokens with this one behind them; the state moves on by it.
struct Window {
    int64_t tokens[longest_run + 1];
    const int64_t* end;

    explicit Window(LiveOp& op) : end(tokens + op.keep + 1) {
        std::memcpy(tokens, op.before, static_cast<size_t>(op.keep) * sizeof(int64_t));
        tokens[op.keep] = *op.token;
        std::memcpy(op.before, tokens + 1, static_cast<size_t>(op.keep) * sizeof(int64_t));
    }
};

void ngrams(LiveOp& op) {
    const Window window(op);
    std::fill(op.out, op.out + op.size, 0.0f);
    for (const RunsOf& runs : op.runs) {
        const auto key = static_cast<int64_t>(run_key(window.end, runs.order));
        const int64_t* found = std::lower_bound(runs.keys, runs.keys + runs.known, key);
        const bool known = found != runs.keys + runs.known && *found == key;
        const float* vector = runs.table + (known ? found - runs.keys + 1 : 0) * op.size;
        for (int64_t i = 0; i < op.size; ++i) op.out[i] += vector[i];
    }
}

void recall(LiveOp& op) {
    const Window window(op);
    const int64_t width = op.size / static_cast<int64_t>(op.runs.size());
    for (size_t place = 0; place < op.runs.size(); ++place) {
        RunMemory memory{op.memory + static_cast<int64_t>(place) * op.slots, static_cast<uint64_t>(op.slots - 1)};
        memory.write(run_key(window.end - 1, op.runs[place].order), *op.token);
        const int64_t token = memory.read(run_key(window.end, op.runs[place].order));
        const bool known = token < op.vocabulary;
        std::memcpy(op.out + static_cast<int64_t>(place) * width, op.weight + (known ? token : 0) * width,
                    static_cast<size_t>(width) * sizeof(float));
    }
}

void product(LiveOp& op) { affine(op, op.weight, op.bias, op.reads[0], op.out, op.size); }

void relu(LiveOp& op) {
    for (int64_t i = 0; i < op.size; ++i) op.out[i] = op.reads[0][i] < 0.0f ? 0.0f : op.reads[0][i];
}

void tanh_all(LiveOp& op) {
    for (int64_t i = 0; i < op.size; ++i) op.out[i] = std::tanh(op.reads[0][i]);
}

void sigmoid_all(LiveOp& op) {
    for (int64_t i = 0; i < op.size; ++i) op.out[i] = sigmoid(op.reads[0][i]);
}

void asinh_all(LiveOp& op) {
    for (int64_t i = 0; i < op.size; ++i) op.out[i] = std::asinh(op.reads[0][i]);
}

void layer_norm(LiveOp& op) {
    const float* x = op.reads[0];
    double mean = 0.0, spread = 0.0;
    for (int64_t i = 0; i < op.size; ++i) mean += x[i];
    mean /= static_cast<double>(op.size);
    for (int64_t i = 0; i < op.size; ++i) spread += (x[i] - mean) * (x[i] - mean);
    const double scale = 1.0 / std::sqrt(spread / static_cast<double>(op.size) + op.epsilon);
    for (int64_t i = 0; i < op.size; ++i) {
        op.out[i] = static_cast<float>((x[i] - mean) * scale) * op.weight[i] + op.bias[i];
    }
}

void add(LiveOp& op) {
    for (int64_t i = 0; i < op.size; ++i) op.out[i] = op.reads[0][i] + op.reads[1][i];
}

void concat(LiveOp& op) {
    float* to = op.out;
    for (size_t part = 0; part < op.reads.size(); ++part) {
        std::memcpy(to, op.reads[part], static_cast<size_t>(op.widths[part]) * sizeof(float));
        to += op.widths[part];
    }
}

// The window is the state (window - 1, width) with this step behind it.
void conv(LiveOp& op) {
    const auto before = static_cast<size_t>(op.depth - op.widths[0]), width = static_cast<size_t>(op.widths[0]);
    float* window = op.scratch.data();
    if (before) std::memcpy(window, op.state, before * sizeof(float));
    std::memcpy(window + before, op.reads[0], width * sizeof(float));
    affine(op, op.weight, op.bias, window, op.out, op.size);
    if (before) std::memcpy(op.state, window + width, before * sizeof(float));
}

void recur(LiveOp& op) { op.stepper->step_first(op.reads[0], op.out); }

void cell(LiveOp& op) { select().step.cell(op.cell, op.reads[0], op.out); }

void take_last(LiveOp& op) {
    std::memcpy(op.state, op.reads[0], static_cast<size_t>(op.size) * sizeof(float));
}

void take_mean(LiveOp& op) {
    const auto count = static_cast<float>(++*op.count);
    for (int64_t i = 0; i < op.size; ++i) op.state[i] += (op.reads[0][i] - op.state[i]) / count;
}

void take_max(LiveOp& op) {
    const bool begun = (*op.count)++ > 0;
    for (int64_t i = 0; i < op.size; ++i) {
        const float x = op.reads[0][i];
        // as NumPy's maximum, NaN wins
        op.state[i] = begun && !(x > op.state[i] || std::isnan(x)) ? op.state[i] : x;
    }
}

void take_attention(LiveOp& op) {
    const auto hidden = static_cast<int64_t>(op.scratch.size());
    affine(op, op.weight, op.bias, op.reads[0], op.scratch.data(), hidden);
    float score = 0.0f;
    for (int64_t i = 0; i < hidden; ++i) score += op.more[i] * std::tanh(op.scratch[static_cast<size_t>(i)]);
    const bool begun = *op.mass > 0.0f;
    const float top = begun ? std::max(*op.top, score) : score;
    const float old = begun ? std::exp(*op.top - top) : 0.0f, share = std::exp(score - top);
    for (int64_t i = 0; i < op.size; ++i) op.state[i] = op.state[i] * old + share * op.reads[0][i];
    *op.mass = *op.mass * old + share;
    *op.top = top;
}

void give_state(LiveOp& op) { std::memcpy(op.out, op.state, static_cast<size_t>(op.size) * sizeof(float)); }

void give_attention(LiveOp& op) {
    const float whole = *op.mass > 0.0f ? *op.mass : 1.0f;
    for (int64_t i = 0; i < op.size; ++i) op.out[i] = op.state[i] / whole;
}

float log_of_sum(const LiveOp& op, float* to) {
    const float* x = op.reads[0];
    const float top = *std::max_element(x, x + op.size);
    float sum = 0.0f;
    for (int64_t i = 0; i < op.size; ++i) sum += to[i] = std::exp(x[i] - top);
    return sum;
}

void softmax(LiveOp& op) {
    const float sum = log_of_sum(op, op.out);
    for (int64_t i = 0; i < op.size; ++i) op.out[i] /= sum;
}

void log_softmax(LiveOp& op) {
    const float* x = op.reads[0];
    const float top = *std::max_element(x, x + op.size), least = std::log(log_of_sum(op, op.out));
    for (int64_t i = 0; i < op.size; ++i) op.out[i] = x[i] - top - least;
}

void clusters(LiveOp& op) {
    const auto inside = op.reads.size() - 1;
    const int64_t frequent = op.widths[0] - static_cast<int64_t>(inside);
    std::memcpy(op.out, op.reads[0], static_cast<size_t>(frequent) * sizeof(float));
    float* to = op.out + frequent;
    for (size_t part = 0; part < inside; ++part) {
        const float own = op.reads[0][frequent + static_cast<int64_t>(part)];
        for (int64_t i = 0; i < op.widths[part + 1]; ++i) *to++ = op.reads[part + 1][i] + own;
    }
}

void padding(LiveOp& op) {
    op.out[0] = -std::numeric_limits<float>::infinity();
    std::memcpy(op.out + 1, op.reads[0], static_cast<size_t>(op.size - 1) * sizeof(float));
}

void average(LiveOp& op) {
    for (int64_t i = 0; i < op.size; ++i) {
        float sum = op.reads[0][i];
        for (size_t part = 1; part < op.reads.size(); ++part) sum += op.reads[part][i];
        op.out[i] = sum / static_cast<float>(op.reads.size());
    }
}

void slice(LiveOp& op) { std::memcpy(op.out, op.reads[0] + op.number, static_cast<size_t>(op.size) * sizeof(float)); }

// Of each point the mean of its candidates, by the softmax of a gate and of prior weights, which are repeated.
void mix(LiveOp& op) {
    const int64_t count = op.number;
    for (int64_t point = 0; point < op.size; ++point) {
        const float* gate = op.reads[0] + point * count;
        const float* prior = op.reads[1] + point * count % op.widths[1];
        const float* from = op.reads[2] + point * count;
        float top = gate[0] + prior[0], sum = 0.0f, mixed = 0.0f;
        for (int64_t k = 1; k < count; ++k) top = std::max(top, gate[k] + prior[k]);
        for (int64_t k = 0; k < count; ++k) {
            const float share = std::exp(gate[k] + prior[k] - top);
            sum += share;
            mixed += share * from[k];
        }
        op.out[point] = mixed / sum;
    }
}

// Of each point its median, and on both sides sums of softplus increments times its error.
void quantiles(LiveOp& op) {
    const int64_t points = op.widths[0], steps = op.widths[2] / points;
    for (int64_t point = 0; point < points; ++point) {
        const float median = op.reads[0][point], error = op.reads[1][point];
        const float* x = op.reads[2] + point * steps;
        float* to = op.out + point * (steps + 1);
        const auto step = [&](int64_t i) {
            return (std::max(x[i], 0.0f) + std::log1p(std::exp(-std::fabs(x[i])))) * error;
        };
        to[op.number] = median;
        float sum = 0.0f;
        for (int64_t i = op.number - 1; i >= 0; --i) to[i] = median - (sum += step(i));
        sum = 0.0f;
        for (int64_t i = op.number; i < steps; ++i) to[i + 1] = median + (sum += step(i));
    }
}

struct Named {
    const char* name;
    void (*run)(LiveOp&);
};

constexpr Named body_ops[] = {{"embed", embed},     {"ngrams", ngrams},       {"recall", recall},           {"affine", product},
                              {"relu", relu},       {"tanh", tanh_all},       {"sigmoid", sigmoid_all},     {"add", add},
                              {"concat", concat},   {"layer_norm", layer_norm}, {"conv", conv},             {"recur", recur},
                              {"cell", cell},       {"softmax", softmax},     {"log_softmax", log_softmax}, {"clusters", clusters},
                              {"padding", padding}, {"asinh", asinh_all},     {"average", average},         {"slice", slice},
                              {"mix", mix},         {"quantiles", quantiles}};
constexpr Named pool_ops[] = {
    {"last", take_last}, {"mean", take_mean}, {"max", take_max}, {"attention", take_attention}};

template <size_t count>
void (*find(const Named (&ops)[count], const std::string& name))(LiveOp&) {
    for (const Named& one : ops) {
        if (name == one.name) return one.run;
    }
    throw std::invalid_argument("op: got '" + name + "'; expected one that a live sequence knows.");
}

}  // namespace
}  // namespace rekur
