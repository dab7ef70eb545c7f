// One sequence of a program: all ops of a step in one call, in memory that is used again and again.
#include "given.h"
#include "stepper_object.h"

#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace rekur {
namespace {

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
    float epsilon = 0.0f;
    const int64_t* token = nullptr;
    std::vector<float> scratch;
};

float sigmoid(float x) { return 0.5f * std::tanh(0.5f * x) + 0.5f; }

void affine(const LiveOp& op, const float* weight, const float* bias, const float* x, float* y, int64_t rows) {
    select().step.affine(weight, bias, x, y, rows, op.depth);
}

void embed(LiveOp& op) {
    std::memcpy(op.out, op.weight + *op.token * op.size, static_cast<size_t>(op.size) * sizeof(float));
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

struct Named {
    const char* name;
    void (*run)(LiveOp&);
};

constexpr Named body_ops[] = {{"embed", embed},     {"affine", product}, {"relu", relu},     {"tanh", tanh_all},
                              {"sigmoid", sigmoid_all}, {"layer_norm", layer_norm}, {"add", add}, {"concat", concat},
                              {"conv", conv},       {"recur", recur},    {"softmax", softmax},
                              {"log_softmax", log_softmax}, {"clusters", clusters}, {"padding", padding}};
constexpr Named pool_ops[] = {
    {"last", take_last}, {"mean", take_mean}, {"max", take_max}, {"attention", take_attention}};

template <size_t count>
void (*find(const Named (&ops)[count], const std::string& name))(LiveOp&) {
    for (const Named& one : ops) {
        if (name == one.name) return one.run;
    }
    throw std::invalid_argument("op: got '" + name + "'; expected one that a live sequence knows.");
}

// Sizes were checked when the program was made; arrays are checked again here, as they come.
class Live {
public:
    // sizes: of every register, the first that of the input, 0 where that is a token of a vocabulary; ops: dicts.
    Live(const std::vector<int64_t>& sizes, int64_t vocabulary, const nb::list& body, const nb::list& pool,
         const nb::list& head)
        : vocabulary_(vocabulary), kept_(nb::make_tuple(body, pool, head)) {
        for (const int64_t size : sizes) registers_.emplace_back(static_cast<size_t>(size));
        for (nb::handle one : body) body_.push_back(make(nb::cast<nb::dict>(one), false));
        for (nb::handle one : pool) {
            body_.push_back(make(nb::cast<nb::dict>(one), true));
            LiveOp give = body_.back();
            give.run = give.run == take_attention ? give_attention : give_state;
            head_.push_back(give);
        }
        for (nb::handle one : head) head_.push_back(make(nb::cast<nb::dict>(one), false));
        if (head_.empty()) throw std::invalid_argument("pool: got none; expected one or more.");
    }

    Live(const Live&) = delete;
    Live& operator=(const Live&) = delete;

    // Takes a token number or a float32 row; false, and nothing changed, where it is not as it should be.
    bool step(nb::handle x) {
        if (vocabulary_ > 0) {
            const int64_t token = PyLong_CheckExact(x.ptr()) ? PyLong_AsLongLong(x.ptr()) : -1;
            if (token < 0 || token >= vocabulary_) {
                PyErr_Clear();
                return false;
            }
            token_ = token;
        } else {
            std::vector<float>& row = registers_[0];
            const float* from = row_data(numpy_, x.ptr(), static_cast<int64_t>(row.size()));
            if (!from) return false;
            std::memcpy(row.data(), from, row.size() * sizeof(float));
        }
        for (LiveOp& op : body_) op.run(op);
        return true;
    }

    // Writes the output as if the sequence ended here.
    void read(Array<float> output) {
        for (LiveOp& op : head_) op.run(op);
        const LiveOp& last = head_.back();
        std::memcpy(checked(output, last.size, "output"), last.out, static_cast<size_t>(last.size) * sizeof(float));
    }

private:
    std::vector<float>& at(int64_t number) { return registers_.at(static_cast<size_t>(number)); }

    LiveOp make(const nb::dict& values, bool pool) {
        const Given given(values);
        LiveOp op;
        const auto kind = nb::cast<std::string>(values["op"]);
        op.run = pool ? find(pool_ops, kind) : find(body_ops, kind);
        std::vector<float>& written = at(given.whole("writes"));
        op.out = written.data();
        op.size = static_cast<int64_t>(written.size());
        for (nb::handle one : nb::cast<nb::list>(values["reads"])) {
            op.reads.push_back(at(nb::cast<int64_t>(one)).data());
            op.widths.push_back(static_cast<int64_t>(at(nb::cast<int64_t>(one)).size()));
        }
        if (op.reads.empty()) throw std::invalid_argument(kind + ": got no reads; expected a register or more.");
        op.depth = given.has("depth") ? given.whole("depth") : op.widths[0];
        op.token = &token_;
        op.epsilon = given.has("epsilon") ? nb::cast<float>(values["epsilon"]) : 0.0f;
        const int64_t hidden = given.has("hidden") ? given.whole("hidden") : 0;
        const int64_t rows = hidden ? hidden : op.size;
        const bool vector = kind == "layer_norm";
        op.weight = given.array<const float>("weight", vector ? op.size : (kind == "embed" ? vocabulary_ : rows) *
                                                                              (kind == "embed" ? op.size : op.depth));
        op.bias = given.array<const float>("bias", rows);
        op.more = given.array<const float>("score", hidden);
        op.state = given.array<float>("state", pool ? op.size : op.depth - op.widths[0]);
        op.mass = given.array<float>("mass", 1);
        op.top = given.array<float>("top", 1);
        op.count = given.array<int64_t>("count", 1);
        op.scratch.resize(static_cast<size_t>(hidden ? hidden : kind == "conv" ? op.depth : 0));
        if (given.has("stepper")) op.stepper = nb::cast<Stepper*>(values["stepper"]);
        check(op, kind);
        return op;
    }

    // What an op cannot do without: a null pointer must not be found in the middle of a step.
    void check(const LiveOp& op, const std::string& kind) const {
        const bool matrix = kind == "affine" || kind == "embed" || kind == "layer_norm" || kind == "conv";
        const bool pool = kind == "last" || kind == "mean" || kind == "max" || kind == "attention";
        const bool counted = kind == "mean" || kind == "max", attends = kind == "attention";
        bool whole = op.size > 0 && op.depth >= op.widths[0];
        whole = whole && (!(matrix || attends) || op.weight) && (!pool || op.state) && (!counted || op.count);
        whole = whole && (!attends || (op.more && op.mass && op.top && !op.scratch.empty()));
        whole = whole && (kind != "layer_norm" || op.bias) && (kind != "embed" || vocabulary_ > 0);
        whole = whole && (kind != "conv" || op.depth == op.widths[0] || op.state);
        whole = whole && (kind != "add" || (op.reads.size() == 2 && op.widths[1] == op.size && op.widths[0] == op.size));
        if (kind == "recur") {
            whole = whole && op.stepper && op.stepper->input_size() == op.widths[0] &&
                    op.stepper->output_size() == op.size && op.stepper->ready();
        }
        const bool same = pool || kind == "relu" || kind == "tanh" || kind == "sigmoid" || kind == "layer_norm" ||
                          kind == "softmax" || kind == "log_softmax";
        whole = whole && (!same || op.widths[0] == op.size) && (kind != "padding" || op.widths[0] + 1 == op.size);
        if (kind == "concat" || kind == "clusters") {
            int64_t sum = kind == "clusters" ? 1 - static_cast<int64_t>(op.widths.size()) : 0;
            for (const int64_t width : op.widths) sum += width;
            whole = whole && sum == op.size;
        }
        if (!whole) throw std::invalid_argument(kind + ": expected other arrays, registers or sizes.");
    }

    NumpyTypes numpy_ = NumpyTypes::find();
    int64_t vocabulary_, token_ = 0;
    nb::object kept_;  // the arrays and steppers live as long as this does
    std::vector<std::vector<float>> registers_;
    std::vector<LiveOp> body_, head_;
};

}  // namespace

void bind_live(nb::module_& m) {
    using namespace nb::literals;
    nb::class_<Live>(m, "Live")
        .def(nb::init<const std::vector<int64_t>&, int64_t, const nb::list&, const nb::list&, const nb::list&>(),
             "sizes"_a, "vocabulary"_a, "body"_a, "pool"_a, "head"_a)
        .def("step", &Live::step, "x"_a.none())
        .def("read", &Live::read, "output"_a.noconvert());
}

}  // namespace rekur
