// Log-softmax, cross entropy and attention of rows, as Python sees them.
#include "rows.h"

#include "given.h"
#include "team.h"

namespace rekur {
namespace {

// Fewer numbers than this are done before a second thread has come.
constexpr int64_t worth_a_thread = 50'000;

void log_softmax(nb::handle scores, int64_t skip, int threads) {
    View found;
    if (!view_of(scores, true, found) || found.axes != 2) {
        throw std::invalid_argument("scores: expected an array of two axes that can be written.");
    }
    LogSoftmax a{found.sizes[0], found.sizes[1], skip, nullptr};
    if (skip < 0 || skip >= a.columns) throw std::invalid_argument("skip: expected fewer than all columns.");
    a.scores = numbers_of<float>(found, "scores", a.rows * a.columns);
    const RowKernels& kernels = select().rows;
    nb::gil_scoped_release release;
    run_together(a.rows * a.columns < worth_a_thread ? 1 : threads,
                 [&](int part, int all) { kernels.log_softmax(a, Share{part, all, nullptr}); });
}

// Without weights, totals and nats are written; with them, the gradient.
void cross_entropy(nb::dict values, int threads) {
    const Given given(values);
    CrossEntropy a{};
    a.rows = given.whole("rows");
    a.columns = given.whole("columns");
    a.skip = given.whole("skip");
    if (a.rows < 0 || a.skip < 0 || a.skip >= a.columns) {
        throw std::invalid_argument("cross_entropy: expected rows, and more columns than are skipped.");
    }
    a.scores = given.array<const float>("scores", a.rows * a.columns, true);
    a.targets = given.array<const int64_t>("targets", a.rows, true);
    a.totals = given.array<float>("totals", a.rows, true);
    a.weights = given.array<const float>("weights", a.rows);
    if (a.weights) {
        a.gradient = given.array<float>("gradient", a.rows * a.columns, true);
    } else {
        a.nats = given.array<float>("nats", a.rows, true);
    }
    for (int64_t row = 0; row < a.rows; ++row) {
        if (a.targets[row] < a.skip - 1 || a.targets[row] >= a.columns) {
            throw std::invalid_argument("targets: got " + std::to_string(a.targets[row]) + "; expected " +
                                        std::to_string(a.skip - 1) + " to " + std::to_string(a.columns - 1) + ".");
        }
    }
    const RowKernels& kernels = select().rows;
    const auto run = a.weights ? kernels.cross_entropy_gradient : kernels.cross_entropy;
    nb::gil_scoped_release release;
    run_together(a.rows * a.columns < worth_a_thread ? 1 : threads,
                 [&](int part, int all) { run(a, Share{part, all, nullptr}); });
}

void attend(nb::dict values, int threads) {
    const Given given(values);
    Attention a{};
    a.rows = given.whole("rows");
    a.size = given.whole("size");
    a.values = given.whole("values");
    a.scale = static_cast<float>(given.number("scale"));
    const int64_t steps = given.whole("steps"), sources = given.numbers("lengths");
    if (a.rows < 0 || a.size < 1 || a.values < 1 || steps < 0) {
        throw std::invalid_argument("attend: expected rows, steps, and sizes of 1 or more.");
    }
    a.query = given.array<const float>("query", a.rows * a.size, true);
    a.keys = given.array<const float>("keys", steps * a.size, true);
    a.memory = given.array<const float>("memory", steps * a.values, true);
    a.weight = given.array<const float>("weight", a.size);
    a.starts = given.array<const int64_t>("starts", sources, true);
    a.lengths = given.array<const int64_t>("lengths", sources, true);
    a.sources = given.array<const int64_t>("sources", a.rows, true);
    a.context = given.array<float>("context", a.rows * a.values, true);
    for (int64_t i = 0; i < sources; ++i) {
        if (a.starts[i] < 0 || a.lengths[i] < 0 || a.starts[i] > steps - a.lengths[i]) {
            throw std::invalid_argument("starts and lengths: expected steps of the memory.");
        }
    }
    for (int64_t row = 0; row < a.rows; ++row) {
        if (a.sources[row] < 0 || a.sources[row] >= sources) {
            throw std::invalid_argument("sources: expected numbers below " + std::to_string(sources) + ".");
        }
    }
    const RowKernels& kernels = select().rows;
    nb::gil_scoped_release release;
    run_together(a.rows * (a.size + a.values) < worth_a_thread ? 1 : threads,
                 [&](int part, int all) { kernels.attend(a, Share{part, all, nullptr}); });
}

}  // namespace

void bind_rows(nb::module_& m) {
    using namespace nb::literals;
    m.def("log_softmax", &log_softmax, "scores"_a, "skip"_a, "threads"_a);
    m.def("cross_entropy", &cross_entropy, "values"_a, "threads"_a);
    m.def("attend", &attend, "values"_a, "threads"_a);
}

}  // namespace rekur
