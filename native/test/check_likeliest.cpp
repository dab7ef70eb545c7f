// The largest log-softmaxes of rows of a product against plain loops: values, order, ties, bits in any parts, NaN.
#include <algorithm>
#include <limits>

#include "check.h"

namespace rekur {
namespace check {
namespace {

constexpr float lowest = -std::numeric_limits<float>::infinity();

struct Results {
    Exact<float> scores, apart_scores;
    Exact<int64_t> found;
};

struct Case {
    int64_t rows, depth, columns, count;
    Exact<float> in, weight, bias;
    std::vector<int64_t> apart;
};

Results run(const InstructionSet& set, const Case& c, int64_t from, int64_t rows, int parts) {
    const int64_t all = (c.columns + set.single.lanes - 1) / set.single.lanes * set.single.lanes;
    const int64_t groups = set.likeliest.groups(c.columns), apart = static_cast<int64_t>(c.apart.size());
    const Packing how{1, c.columns, c.depth, c.depth, 1, set.single.panel, set.single.lanes};
    Exact<float> weight(how.size()), bias(all, lowest), sums(groups * rows * 2), scores(parts * rows * c.count);
    Exact<int64_t> found(parts * rows * c.count);
    pack(how, c.weight.data(), weight.data());
    std::copy(c.bias.data(), c.bias.data() + c.columns, bias.data());
    Results to{Exact<float>(rows * c.count), Exact<float>(rows * apart), Exact<int64_t>(rows * c.count)};
    const Likeliest a{rows,           c.depth,        c.columns,    c.count,
                      apart,          c.in.data() + from * c.depth, weight.data(), bias.data(),
                      c.apart.data(), sums.data(),    scores.data(), found.data(),
                      to.scores.data(), to.found.data(), to.apart_scores.data()};
    in_parts(parts, false, [&](const Share& share) { set.likeliest.run(a, share); });
    set.likeliest.join(a, parts);
    return to;
}

void check_case(const InstructionSet& set, Case c, Report& report) {
    const auto whole = run(set, c, 0, c.rows, 1);
    const auto apart = static_cast<int64_t>(c.apart.size());
    for (int64_t row = 0; row < c.rows; ++row) {
        std::vector<double> x(static_cast<size_t>(c.columns));
        double most = lowest, sum = 0;
        for (int64_t v = 0; v < c.columns; ++v) {
            double score = c.bias[v];
            for (int64_t k = 0; k < c.depth; ++k) score += double(c.in[row * c.depth + k]) * c.weight[v * c.depth + k];
            x[static_cast<size_t>(v)] = score;
            most = std::max(most, score);
        }
        for (double score : x) sum += std::exp(score - most);
        const double off = most + std::log(sum);
        bool is_near = true;
        for (int64_t i = 0; i < apart; ++i) {
            is_near = is_near && near(whole.apart_scores[row * apart + i], x[static_cast<size_t>(c.apart[i])] - off);
            x[static_cast<size_t>(c.apart[i])] = lowest;
        }
        std::vector<double> sorted = x;
        std::sort(sorted.begin(), sorted.end(), std::greater<double>());
        for (int64_t i = 0; i < c.count; ++i) {
            const float score = whole.scores[row * c.count + i];
            const int64_t column = whole.found[row * c.count + i];
            if (i >= c.columns || sorted[static_cast<size_t>(i)] == lowest) {
                is_near = is_near && score == lowest;
                continue;
            }
            is_near = is_near && near(score, sorted[static_cast<size_t>(i)] - off) && column >= 0 &&
                      column < c.columns && near(score, x[static_cast<size_t>(column)] - off);
        }
        report.that(is_near, "values");
    }
    const auto same = [&](const Results& got, int64_t row, int64_t rows) {
        return same_bits(got.scores.data(), whole.scores.data() + row * c.count, rows * c.count) &&
               same_bits(got.found.data(), whole.found.data() + row * c.count, rows * c.count) &&
               same_bits(got.apart_scores.data(), whole.apart_scores.data() + row * apart, rows * apart);
    };
    report.that(same(run(set, c, 0, c.rows, 3), 0, c.rows), "bits in three parts");
    for (int64_t row = 0; row < c.rows; row += 1 + c.rows / 5) {
        report.that(same(run(set, c, row, 1, 1), row, 1), "bits of a row by itself");
    }
    c.in[0] = std::numeric_limits<float>::quiet_NaN();
    report.that(std::isnan(run(set, c, 0, c.rows, 2).scores[0]), "NaN");
}

// Of equal columns the lower comes first.
void check_ties(const InstructionSet& set, Report& report) {
    Case c{2, 1, 2'000, 4, Exact<float>(2, 1), Exact<float>(2'000, 1), Exact<float>(2'000, 0), {1}};
    const auto got = run(set, c, 0, 2, 2);
    for (int64_t i = 0; i < 8; ++i) report.that(got.found[i] == (i % 4 == 0 ? 0 : i % 4 + 1), "ties");
}

}  // namespace

void check_likeliest(const InstructionSet& set, Report& report) {
    uint64_t seed = 0;
    for (int64_t rows : {1, 7, 300}) {
        for (int64_t depth : {1, 19}) {
            for (int64_t columns : {1, 3, 17, 64, 1'100}) {
                for (double scale : {1.0, 90.0}) {
                    Random random(++seed);
                    report.where = "likeliest " + std::to_string(rows) + " × " + std::to_string(depth) + " × " +
                                   std::to_string(columns);
                    Case c{rows,
                           depth,
                           columns,
                           seed % 3 == 0 ? 1 : 5,
                           random.array<float>(rows * depth),
                           random.array<float>(columns * depth, scale),
                           random.array<float>(columns),
                           {}};
                    if (columns > 3) c.apart = {columns - 1, 0, columns / 2};
                    check_case(set, std::move(c), report);
                }
            }
        }
    }
    report.where = "likeliest";
    check_ties(set, report);
}

}  // namespace check
}  // namespace rekur
