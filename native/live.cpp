// One sequence of a program: all ops of a step in one call, in memory that is used again and again.
#include "live_ops.h"

#include <nanobind/stl/vector.h>

namespace rekur {
namespace {

// Sizes were checked when the program was made; arrays are checked again here, as they come.
class Live {
public:
    // sizes: of every register, the first that of the input, 0 where that is ids; vocabulary: of a token, else 0;
    // columns: the vocabulary of each id of a step, none for tokens and rows; ops: dicts.
    Live(const std::vector<int64_t>& sizes, int64_t vocabulary, const nb::list& body, const nb::list& pool,
         const nb::list& head, const std::vector<int64_t>& columns)
        : columns_(columns.empty() ? std::vector<int64_t>{vocabulary} : columns),
          ids_(columns_.size()),
          kind_(!columns.empty() ? Input::ids : vocabulary > 0 ? Input::token : Input::row),
          kept_(nb::make_tuple(body, pool, head)) {
        for (const int64_t size : sizes) registers_.emplace_back(static_cast<size_t>(size));
        for (nb::handle one : body) body_.push_back(make(nb::cast<nb::dict>(one), false));
        for (nb::handle one : pool) {
            body_.push_back(make(nb::cast<nb::dict>(one), true));
            LiveOp give = body_.back();
            give.run = give.run == take_attention ? give_attention : give_state;
            head_.push_back(give);
        }
        for (nb::handle one : head) head_.push_back(make(nb::cast<nb::dict>(one), false));
        if (body_.empty()) throw std::invalid_argument("ops: got none; expected one or more.");
    }

    Live(const Live&) = delete;
    Live& operator=(const Live&) = delete;

    // Takes a token number, int64 ids (C,) or a float32 row; false, and nothing changed, where it is not as it should be.
    bool step(nb::handle x) {
        if (kind_ == Input::token) {
            const int64_t token = PyLong_CheckExact(x.ptr()) ? PyLong_AsLongLong(x.ptr()) : -1;
            if (token < 0 || token >= columns_[0]) {
                PyErr_Clear();
                return false;
            }
            ids_[0] = token;
        } else if (kind_ == Input::ids) {
            const NumpyArray* given = plain_array(numpy_, x.ptr(), numpy_.int64, 1);
            if (!given || given->sizes[0] != static_cast<Py_ssize_t>(ids_.size())) return false;
            const auto* ids = reinterpret_cast<const int64_t*>(given->data);
            if (!valid(ids)) return false;
            std::copy(ids, ids + ids_.size(), ids_.begin());
        } else {
            std::vector<float>& row = registers_[0];
            const float* from = row_data(numpy_, x.ptr(), static_cast<int64_t>(row.size()));
            if (!from) return false;
            std::memcpy(row.data(), from, row.size() * sizeof(float));
        }
        for (LiveOp& op : body_) op.run(op);
        return true;
    }

    // Takes int64 token numbers (T,), int64 ids (T, C) or float32 rows (T, D), as step() does one after another.
    bool advance(nb::handle x) {
        const bool tokens = kind_ != Input::row;
        const int axes = kind_ == Input::token ? 1 : 2;
        const NumpyArray* given = plain_array(numpy_, x.ptr(), tokens ? numpy_.int64 : numpy_.float32, axes);
        std::vector<float>& row = registers_[0];
        const size_t width = tokens ? ids_.size() : row.size();
        if (!given || (axes == 2 && given->sizes[1] != static_cast<Py_ssize_t>(width))) return false;
        const auto* ids = reinterpret_cast<const int64_t*>(given->data);
        const auto* rows = reinterpret_cast<const float*>(given->data);
        for (Py_ssize_t t = 0; tokens && t < given->sizes[0]; ++t) {
            if (!valid(ids + static_cast<size_t>(t) * width)) return false;
        }
        for (Py_ssize_t t = 0; t < given->sizes[0]; ++t) {
            const size_t from = static_cast<size_t>(t) * width;
            if (tokens) {
                std::copy(ids + from, ids + from + width, ids_.begin());
            } else {
                std::memcpy(row.data(), rows + from, width * sizeof(float));
            }
            for (LiveOp& op : body_) op.run(op);
        }
        return true;
    }

    // Writes the output as if the sequence ended here; without a pool that of the last step.
    void read(nb::handle output) {
        const LiveOp& last = head_.empty() ? body_.back() : head_.back();
        float* to = const_cast<float*>(row_data(numpy_, output.ptr(), last.size));
        if (!to) throw std::invalid_argument("output: expected a float32 array of the output's size.");
        for (LiveOp& op : head_) op.run(op);
        std::memcpy(to, last.out, static_cast<size_t>(last.size) * sizeof(float));
    }

private:
    enum class Input { token, ids, row };

    bool valid(const int64_t* ids) const {
        for (size_t column = 0; column < columns_.size(); ++column) {
            if (ids[column] < 0 || ids[column] >= columns_[column]) return false;
        }
        return true;
    }

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
        const int64_t column = given.has("column") ? given.whole("column") : 0;
        op.token = &ids_.at(static_cast<size_t>(column));
        op.vocabulary = columns_.at(static_cast<size_t>(column));
        if (kind == "embed" && given.has("vocabulary")) op.vocabulary = given.whole("vocabulary");
        if (op.vocabulary <= unknown && given.has("vocabulary")) throw std::invalid_argument("vocabulary: expected 2 ids.");
        for (const char* name : {"first", "candidates", "below"}) {
            if (given.has(name)) op.number = given.whole(name);
        }
        op.epsilon = given.has("epsilon") ? nb::cast<float>(values["epsilon"]) : 0.0f;
        const int64_t hidden = given.has("hidden") ? given.whole("hidden") : 0;
        const int64_t rows = hidden ? hidden : op.size;
        const bool vector = kind == "layer_norm";
        if (kind == "ngrams" || kind == "recall") take_runs(op, given, kind == "ngrams");
        const bool table = kind == "embed" || kind == "recall";
        const int64_t width = kind == "recall" ? op.size / static_cast<int64_t>(op.runs.size()) : op.size;
        op.weight = given.array<const float>("weight", vector ? op.size : table ? op.vocabulary * width : rows * op.depth);
        op.bias = given.array<const float>("bias", rows);
        op.more = given.array<const float>("score", hidden);
        op.state = given.array<float>("state", pool ? op.size : op.depth - op.widths[0]);
        op.mass = given.array<float>("mass", 1);
        op.top = given.array<float>("top", 1);
        op.count = given.array<int64_t>("count", 1);
        op.scratch.resize(static_cast<size_t>(hidden ? hidden : kind == "conv" ? op.depth : 0));
        if (given.has("stepper")) op.stepper = nb::cast<Stepper*>(values["stepper"]);
        if (kind == "cell") op.cell = cell_of(given, op.widths[0], op.size, op.scratch);
        check(op, kind);
        return op;
    }

    // The lengths of the runs of tokens that an op looks at, with what is known of them.
    void take_runs(LiveOp& op, const Given& given, bool vectors) {
        if (!given.has("orders")) throw std::invalid_argument("orders: got none; expected one or more.");
        for (const int64_t order : given.list("orders")) {
            if (order < 2 || order > 16) throw std::invalid_argument("orders: expected numbers from 2 to 16.");
            RunsOf runs;
            runs.order = order;
            if (vectors) {
                const std::string keys = "runs_" + std::to_string(order);
                runs.known = given.numbers(keys.c_str());
                runs.keys = given.array<const int64_t>(keys.c_str(), runs.known, true);
                runs.table = given.array<const float>(("table_" + std::to_string(order)).c_str(),
                                                      (runs.known + 1) * op.size, true);
            }
            op.keep = std::max(op.keep, vectors ? order - 1 : order);
            op.runs.push_back(runs);
        }
        if (op.runs.empty()) throw std::invalid_argument("orders: got none; expected one or more.");
        op.before = given.array<int64_t>("before", op.keep, true);
        if (vectors) return;
        op.slots = given.whole("slots");
        if (op.slots < 2 || (op.slots & (op.slots - 1))) throw std::invalid_argument("slots: expected a power of 2.");
        op.memory = given.array<int64_t>("memory", static_cast<int64_t>(op.runs.size()) * op.slots, true);
    }

    // What an op cannot do without: a null pointer must not be found in the middle of a step.
    void check(const LiveOp& op, const std::string& kind) const {
        const bool table = kind == "embed" || kind == "recall", tokens = table || kind == "ngrams";
        const bool matrix = kind == "affine" || table || kind == "layer_norm" || kind == "conv";
        const bool pool = kind == "last" || kind == "mean" || kind == "max" || kind == "attention";
        const bool counted = kind == "mean" || kind == "max", attends = kind == "attention";
        bool whole = op.size > 0 && op.depth >= op.widths[0];
        whole = whole && (!(matrix || attends) || op.weight) && (!pool || op.state) && (!counted || op.count);
        whole = whole && (!attends || (op.more && op.mass && op.top && !op.scratch.empty()));
        whole = whole && (kind != "layer_norm" || op.bias) && (!tokens || op.vocabulary > 0);
        whole = whole && (kind != "recall" || op.size % static_cast<int64_t>(op.runs.size()) == 0);
        whole = whole && (kind != "conv" || op.depth == op.widths[0] || op.state);
        whole = whole && (kind != "add" || (op.reads.size() == 2 && op.widths[1] == op.size && op.widths[0] == op.size));
        if (kind == "recur") {
            whole = whole && op.stepper && op.stepper->input_size() == op.widths[0] &&
                    op.stepper->output_size() == op.size && op.stepper->ready();
        }
        const auto width = [&](size_t part) { return part < op.widths.size() ? op.widths[part] : 0; };
        whole = whole && (kind != "slice" || (op.number >= 0 && op.number + op.size <= op.widths[0]));
        if (kind == "mix") {
            const int64_t all = op.number * op.size;
            whole = whole && op.number > 0 && width(0) == all && width(2) == all && width(1) > 0 && all % width(1) == 0 &&
                    width(1) % op.number == 0;
        }
        if (kind == "quantiles") {
            const int64_t points = op.widths[0], steps = points > 0 ? width(2) / points : 0;
            whole = whole && points > 0 && width(1) == points && width(2) == steps * points && op.number >= 0 &&
                    op.number <= steps && op.size == points * (steps + 1);
        }
        whole = whole && (kind != "average" || std::all_of(op.widths.begin(), op.widths.end(),
                                                           [&](int64_t each) { return each == op.size; }));
        const bool same = pool || kind == "asinh" || kind == "relu" || kind == "tanh" || kind == "sigmoid" || kind == "layer_norm" ||
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
    std::vector<int64_t> columns_, ids_;  // of a step: the vocabulary of each id, and the ids
    Input kind_;
    nb::object kept_;  // the arrays and steppers live as long as this does
    std::vector<std::vector<float>> registers_;
    std::vector<LiveOp> body_, head_;
};

}  // namespace

void bind_live(nb::module_& m) {
    using namespace nb::literals;
    nb::class_<Live> live(m, "Live");
    live.attr("INPUTS") = nb::make_tuple("tokens", "ids", "rows");
    live.def(nb::init<const std::vector<int64_t>&, int64_t, const nb::list&, const nb::list&, const nb::list&,
                      const std::vector<int64_t>&>(),
             "sizes"_a, "vocabulary"_a, "body"_a, "pool"_a, "head"_a, "columns"_a = std::vector<int64_t>())
        .def("step", &Live::step, "x"_a.none())
        .def("advance", &Live::advance, "x"_a.none())
        .def("read", &Live::read, "output"_a);
}

}  // namespace rekur
