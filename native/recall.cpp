// The recall of a batch, as Python sees it.
#include "given.h"
#include "runs.h"
#include "team.h"

namespace rekur {
namespace {

RecallBatch batch_of(const Given& given) {
    RecallBatch a{};
    a.orders = given.list("orders");
    a.rows = given.whole("rows");
    a.steps = given.whole("steps");
    a.slots = given.whole("slots");
    for (int64_t order : a.orders) {
        if (order < 2 || order > longest_run) throw std::invalid_argument("orders: expected numbers from 2 to 16.");
        a.keep = order > a.keep ? order : a.keep;
    }
    if (a.orders.empty() || a.rows < 0 || a.steps < 0 || a.slots < 2 || (a.slots & (a.slots - 1)) != 0) {
        throw std::invalid_argument("recall: expected orders, rows and steps, and slots that are a power of 2.");
    }
    const int64_t orders = static_cast<int64_t>(a.orders.size()), places = a.rows * a.steps;
    a.ids = given.array<const int64_t>("ids", places, true);
    a.history = given.array<const int64_t>("history", a.rows * a.keep, true);
    a.old_memory = given.array<const int64_t>("old_memory", a.rows * orders * a.slots, true);
    a.resets = given.array<const uint8_t>("resets", places);
    a.followers = given.array<int64_t>("followers", places * orders, true);
    a.new_history = given.array<int64_t>("new_history", a.rows * a.keep, true);
    a.new_memory = given.array<int64_t>("new_memory", a.rows * orders * a.slots, true);
    return a;
}

void recall(nb::dict values, int threads) {
    const RecallBatch a = batch_of(Given(values));
    const int parts = a.rows * a.steps < 20'000 || threads < 1 ? 1 : threads;
    nb::gil_scoped_release release;
    run_together(parts, [&](int part, int all) {
        for (int64_t row = part; row < a.rows; row += all) RecallRow(a, row).run();
    });
}

}  // namespace

void bind_recall(nb::module_& m) {
    using namespace nb::literals;
    m.def("recall", &recall, "values"_a, "threads"_a);
}

}  // namespace rekur
