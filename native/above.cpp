// Numbers of outputs of fixed convolutions above biases, as Python sees them.
#include "above.h"

#include <algorithm>

#include "given.h"
#include "team.h"

namespace rekur {
namespace {

// Fewer comparisons than this are done before a second thread has come.
constexpr int64_t worth_a_thread = 2'000'000;

Above above_of(const Given& given) {
    Above a{};
    a.rows = given.whole("rows");
    a.channels = given.whole("channels");
    a.dilations = given.numbers("dilations");
    const int64_t numbers = given.whole("numbers");
    if (a.rows < 0 || a.channels < 1 || a.dilations < 1 || (numbers != 1 && numbers != 3)) {
        throw std::invalid_argument("count_above: expected rows, channels and dilations of 1 or more, and 1 or 3 numbers.");
    }
    a.all = numbers == 3;
    a.dilation = given.array<const int64_t>("dilations", a.dilations, true);
    a.counts = given.array<const int64_t>("counts", a.dilations, true);
    for (int64_t j = 0; j < a.dilations; ++j) {
        if (a.dilation[j] < 1 || a.counts[j] < 0) {
            throw std::invalid_argument("dilations and counts: expected whole numbers from 1 and from 0.");
        }
        a.pairs += above_kernels * a.counts[j];
    }
    a.flags = given.array<const uint8_t>("flags", a.dilations * above_kernels * a.channels, true);
    a.biases = given.array<const float>("biases", a.pairs, true);
    const int64_t steps = given.whole("steps");
    a.steps = given.array<const float>("values", steps * a.channels, true);
    a.starts = given.array<const int64_t>("starts", a.rows, true);
    a.sizes = given.array<const int64_t>("sizes", a.rows, true);
    a.first = given.array<const int64_t>("first", a.rows, true);
    a.begin = given.array<const int64_t>("begin", a.rows, true);
    a.end = given.array<const int64_t>("end", a.rows, true);
    a.lengths = given.array<const int64_t>("lengths", a.rows, true);
    a.before = given.array<const int64_t>("before", a.rows * a.states() * a.pairs);
    a.totals = given.array<int64_t>("totals", a.rows * a.states() * a.pairs);
    a.shares = given.array<float>("shares", a.rows * a.numbers() * a.pairs);
    for (int64_t row = 0; row < a.rows; ++row) {
        if (a.starts[row] < 0 || a.sizes[row] < 0 || a.starts[row] > steps - a.sizes[row]) {
            throw std::invalid_argument("starts and sizes: expected steps of the values.");
        }
        const bool counts = a.begin[row] < a.end[row];
        if (counts && (a.begin[row] < a.first[row] || a.end[row] - a.first[row] > a.sizes[row])) {
            throw std::invalid_argument("begin and end: expected times of steps that are given.");
        }
    }
    return a;
}

void count_above(nb::dict values, int threads) {
    Above a = above_of(Given(values));
    std::atomic<int64_t> next{0};
    a.next = &next;
    int64_t work = 0;
    for (int64_t row = 0; row < a.rows; ++row) work += std::max<int64_t>(a.end[row] - a.begin[row], 0) * a.pairs;
    const auto run = select().count_above;
    nb::gil_scoped_release release;
    run_together(work < worth_a_thread || threads < 1 ? 1 : threads, [&](int, int) { run(a); });
}

}  // namespace

void bind_above(nb::module_& m) {
    using namespace nb::literals;
    m.def("count_above", &count_above, "values"_a, "threads"_a);
}

}  // namespace rekur
