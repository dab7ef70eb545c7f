// Products with many rows: values, bits of a row whatever the others, NaN, strides, parts.
#include <algorithm>

#include "check.h"

namespace rekur {
namespace check {
namespace {

template <class S>
struct Given {
    int64_t rows, depth, columns, in_stride, out_stride;
    Exact<S> in, weight, bias;
};

template <class S>
Exact<S> run(const Kernels<S>& kernels, const Given<S>& g, int64_t from, int64_t rows, int parts) {
    const Packing how{1, g.columns, g.depth, g.depth, 1, kernels.panel, kernels.lanes};
    Exact<S> weight(how.size()), out((rows - 1) * g.out_stride + g.columns, S(7));
    pack(how, g.weight.data(), weight.data());
    const Product<S> a{rows,
                       g.depth,
                       g.columns,
                       g.in_stride,
                       g.out_stride,
                       g.in.data() + from * g.in_stride,
                       weight.data(),
                       g.bias.or_null(),
                       out.data()};
    in_parts(parts, false, [&](const Share& share) { kernels.product(a, share); });
    return out;
}

template <class S>
void check_case(const Kernels<S>& kernels, Given<S> g, Report& report) {
    const auto whole = run(kernels, g, 0, g.rows, 1);
    for (int64_t r = 0; r < g.rows; ++r) {
        for (int64_t c = 0; c < g.columns; ++c) {
            double sum = g.bias.size() ? g.bias[c] : 0;
            for (int64_t k = 0; k < g.depth; ++k) sum += double(g.in[r * g.in_stride + k]) * g.weight[c * g.depth + k];
            report.that(near(whole[r * g.out_stride + c], sum), "values");
        }
        for (int64_t c = g.columns; c < g.out_stride && r + 1 < g.rows; ++c) {
            report.that(whole[r * g.out_stride + c] == S(7), "what stands between the rows");
        }
    }
    report.that(same_bits(whole.data(), run(kernels, g, 0, g.rows, 2).data(), whole.size()), "bits in two parts");
    for (int64_t r = 0; r < g.rows; r += 1 + g.rows / 7) {
        const auto one = run(kernels, g, r, 1, 1);
        report.that(same_bits(whole.data() + r * g.out_stride, one.data(), g.columns), "bits of a row by itself");
    }
    const int64_t row = g.rows / 2;
    g.in[row * g.in_stride] = nan<S>;
    const auto got = run(kernels, g, 0, g.rows, 1);
    for (int64_t r = 0; r < g.rows; ++r) {
        const S *now = got.data() + r * g.out_stride, *before = whole.data() + r * g.out_stride;
        const bool holds = r == row ? std::isnan(now[0]) && std::isnan(now[g.columns - 1])
                                    : same_bits(now, before, g.columns);
        report.that(holds, "NaN in one row");
    }
}

template <class S>
void check_all(const InstructionSet& set, Report& report) {
    uint64_t seed = 0;
    for (int64_t rows : {1, 3, 20, 150}) {
        for (int64_t depth : {1, 7, 33}) {
            for (int64_t columns : {1, 7, 33, 64, 130}) {
                Random random(++seed);
                const bool apart = seed % 2 == 0;
                const int64_t in_stride = depth + (apart ? 3 : 0), out_stride = columns + (apart ? 5 : 0);
                report.where = std::string(set.name) + (sizeof(S) == 4 ? " single " : " double ") + "product " +
                               std::to_string(rows) + " × " + std::to_string(depth) + " × " + std::to_string(columns);
                Given<S> g{rows,      depth,
                           columns,   in_stride,
                           out_stride, random.array<S>((rows - 1) * in_stride + depth),
                           random.array<S>(columns * depth), random.array<S>(seed % 3 ? columns : 0)};
                check_case(set.of<S>(), std::move(g), report);
            }
        }
    }
}

}  // namespace

void check_products(const InstructionSet& set, Report& report) {
    check_all<float>(set, report);
    check_all<double>(set, report);
}

}  // namespace check
}  // namespace rekur
