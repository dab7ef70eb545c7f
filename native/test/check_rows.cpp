// Log-softmax, cross entropy and attention of rows against plain loops, in one part and in several.
#include "check.h"

namespace rekur {
namespace check {
namespace {

void check_log_softmax(const RowKernels& kernels, int64_t rows, int64_t columns, int64_t skip,
                       Report& report) {
    Random random(static_cast<uint64_t>(rows * 100 + columns));
    const auto scores = random.array<float>(rows * columns, 9);
    Exact<float> to = scores, again = scores;
    kernels.log_softmax({rows, columns, skip, to.data()}, Share{});
    in_parts(3, false, [&](const Share& share) {
        kernels.log_softmax({rows, columns, skip, again.data()}, share);
    });
    report.that(same_bits(to.data(), again.data(), rows * columns), "parts");
    for (int64_t row = 0; row < rows; ++row) {
        const float *x = scores.data() + row * columns, *y = to.data() + row * columns;
        double sum = 0;
        for (int64_t i = skip; i < columns; ++i) sum += std::exp(static_cast<double>(x[i]));
        bool is_near = true;
        for (int64_t i = 0; i < skip; ++i) is_near = is_near && std::isinf(y[i]) && y[i] < 0;
        for (int64_t i = skip; i < columns; ++i) is_near = is_near && near(y[i], x[i] - std::log(sum));
        report.that(is_near, "log-softmax");
    }
}

void check_cross_entropy(const RowKernels& kernels, int64_t columns, int64_t skip, Report& report) {
    constexpr int64_t rows = 5;
    Random random(static_cast<uint64_t>(columns * 10 + skip));
    const auto scores = random.array<float>(rows * columns, 9), weights = random.array<float>(rows, 2);
    const int64_t targets[] = {skip, columns - 1, skip - 1, columns / 2, columns - 1};
    Exact<float> totals(rows), nats(rows), gradient(rows * columns), again(rows * columns);
    CrossEntropy a{rows, columns, skip, scores.data(), targets, totals.data(), nats.data(), weights.data(), gradient.data()};
    kernels.cross_entropy(a, Share{});
    kernels.cross_entropy_gradient(a, Share{});
    a.gradient = again.data();
    in_parts(3, false, [&](const Share& share) { kernels.cross_entropy_gradient(a, share); });
    report.that(same_bits(gradient.data(), again.data(), rows * columns), "parts");
    for (int64_t row = 0; row < rows; ++row) {
        const float *x = scores.data() + row * columns, *g = gradient.data() + row * columns;
        const bool has_target = targets[row] >= skip;
        double sum = 0;
        for (int64_t i = skip; i < columns; ++i) sum += std::exp(static_cast<double>(x[i]));
        const double wanted = has_target ? std::log(sum) - x[targets[row]] : 0;
        bool is_near = near(nats.data()[row], wanted);
        for (int64_t i = 0; i < columns; ++i) {
            const double share = i < skip || !has_target ? 0 : std::exp(static_cast<double>(x[i])) / sum - (i == targets[row]);
            is_near = is_near && near(g[i], weights.data()[row] * share);
        }
        report.that(is_near, "cross entropy");
    }
}

void check_attention(const RowKernels& kernels, int64_t size, int64_t values, bool additive, Report& report) {
    const int64_t lengths[] = {3, 0, 1, 37}, starts[] = {0, 3, 3, 4}, sources[] = {3, 0, 0, 1, 2, 3};
    constexpr int64_t rows = 6, steps = 41;
    Random random(static_cast<uint64_t>(size * 100 + values));
    const auto query = random.array<float>(rows * size), keys = random.array<float>(steps * size),
               memory = random.array<float>(steps * values), weight = random.array<float>(additive ? size : 0);
    Exact<float> context(rows * values, 5), again(rows * values);
    Attention a{rows,          size,   values,  0.7f,    query.data(),   keys.data(), memory.data(),
                weight.or_null(), starts, lengths, sources, context.data()};
    kernels.attend(a, Share{});
    a.context = again.data();
    in_parts(4, false, [&](const Share& share) { kernels.attend(a, share); });
    report.that(same_bits(context.data(), again.data(), rows * values), "parts");
    for (int64_t row = 0; row < rows; ++row) {
        const int64_t start = starts[sources[row]], count = lengths[sources[row]];
        std::vector<double> mixed(static_cast<size_t>(values), 0.0);
        double sum = 0;
        for (int64_t s = start; s < start + count; ++s) {
            double score = 0;
            for (int64_t i = 0; i < size; ++i) {
                const double q = query[row * size + i], k = keys[s * size + i];
                score += additive ? weight[i] * std::tanh(q + k) : q * k;
            }
            const double power = std::exp(0.7 * score);
            sum += power;
            for (int64_t i = 0; i < values; ++i) mixed[static_cast<size_t>(i)] += power * memory[s * values + i];
        }
        bool is_near = true;
        for (int64_t i = 0; i < values; ++i) {
            const double truth = count == 0 ? 0.0 : mixed[static_cast<size_t>(i)] / sum;
            is_near = is_near && near(context[row * values + i], truth);
        }
        report.that(is_near, "context");
    }
}

}  // namespace

void check_rows(const InstructionSet& set, Report& report) {
    for (int64_t columns : {2, 15, 16, 17, 129}) {
        for (int64_t skip : {0, 1}) {
            report.where = "log-softmax V" + std::to_string(columns);
            check_log_softmax(set.rows, 4, columns, skip, report);
            report.where = "cross entropy V" + std::to_string(columns);
            check_cross_entropy(set.rows, columns, skip, report);
        }
    }
    for (int64_t size : {1, 16, 37}) {
        for (int64_t values : {1, 15, 128, 150}) {
            report.where = "attention H" + std::to_string(size) + " M" + std::to_string(values);
            for (bool additive : {false, true}) check_attention(set.rows, size, values, additive, report);
        }
    }
}

}  // namespace check
}  // namespace rekur
