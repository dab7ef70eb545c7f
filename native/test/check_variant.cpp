// The variants: layer normalisation, masks, zoneout, peepholes, projection, reset before the product. Values against
// plain loops, gradients against differences of them along drawn directions.
#include <algorithm>

#include "check_variant.h"

namespace rekur {
namespace check {
namespace {

template <class S>
struct Result {
    Exact<S> y, cells, d_raw, d_product, d_h, d_c, sums;
};

template <class S>
Exact<S> packed(const S* from, int64_t rows, int64_t columns, bool back, const Kernels<S>& k) {
    const Packing how = back ? Packing{1, columns, rows, 1, columns, k.panel, k.lanes}
                             : Packing{1, rows, columns, columns, 1, k.panel, k.lanes};
    Exact<S> to(how.size());
    pack(how, from, to.data());
    return to;
}

// The kernels' arguments but for what is written to.
template <class S>
Variant<S> arguments(const VariantCase& c, const VariantData<S>& d) {
    Variant<S> a{};
    a.at = c.layout.at();
    a.equations = c.equations;
    a.hidden = c.hidden;
    a.outputs = c.outputs;
    a.gates = c.gates();
    a.block = c.block;
    a.bias_m = d.bias_m.or_null();
    a.peepholes = d.peepholes.or_null();
    a.epsilon = S(epsilon);
    a.gain_x = d.gain_x.or_null();
    a.gain_h = d.gain_h.or_null();
    a.bias_x = d.bias_x.or_null();
    a.gain_c = d.gain_c.or_null();
    a.bias_c = d.bias_c.or_null();
    a.stay_h = d.stay_h.or_null();
    a.stay_c = d.stay_c.or_null();
    a.rate_h = S(c.rate_h);
    a.rate_c = S(c.rate_c);
    a.h0 = d.h0.data();
    a.mask = d.mask.or_null();
    a.c0 = d.c0.or_null();
    a.raw = d.raw.data();
    return a;
}

template <class S>
Result<S> run(const Kernels<S>& kernels, const VariantCase& c, const VariantData<S>& d, int parts, bool keep) {
    const int64_t H = c.hidden, O = c.outputs, N = c.layout.places, R = c.layout.rows(), W = c.gates() * H;
    const bool lstm = c.equations == Equations::lstm, reset = c.equations == Equations::gru_reset_before;
    Variant<S> a = arguments(c, d);
    const int64_t first = a.product_gates() * H;
    Result<S> to{Exact<S>(N * O), lstm && keep ? Exact<S>(N * H) : d.c0, {}, {}, Exact<S>(R * O), d.d_c, {}};
    Exact<S> seen(c.masked ? R * O : 0), product(keep && c.normalised ? N * W : 0), d_y = d.d_y;
    Exact<S> kept(keep ? N * a.pieces() * H : 0), hiddens(keep && c.projected() ? N * H : 0);
    for (int64_t i = 0; i < seen.size(); ++i) seen[i] = d.h0[i] * d.mask[i];
    Exact<S> scratch(parts * a.scratch_size(), nan<S>);
    a.keep = keep;
    a.seen = seen.or_null();
    a.product = product.or_null();
    a.kept = kept.or_null();
    a.hiddens = hiddens.or_null();
    a.y = to.y.data();
    a.cells = to.cells.or_null();
    a.scratch = scratch.data();
    const auto take = [&](bool back, auto&& work) {
        const auto weight = packed(d.weight.data(), first, O, back, kernels);
        const auto candidate = reset ? packed(d.weight.data() + first * O, H, O, back, kernels) : Exact<S>();
        const auto projection = c.projected() ? packed(d.projection.data(), O, H, back, kernels) : Exact<S>();
        a.weight = weight.data();
        a.candidate = candidate.or_null();
        a.projection = projection.or_null();
        in_parts(parts, false, [&](const Share& share) { work(share); });
    };
    take(false, [&](const Share& share) { kernels.variant(a, share); });
    if (!keep) return to;
    const bool apart = c.normalised || c.equations == Equations::gru;
    to.d_raw = Exact<S>(N * W);
    to.d_product = Exact<S>(apart ? N * W : 0);
    to.sums = Exact<S>(parts * a.sums_size());
    a.d_y = d_y.data();
    a.d_raw = to.d_raw.data();
    a.d_product = apart ? to.d_product.data() : a.d_raw;
    a.d_h = to.d_h.data();
    a.d_c = to.d_c.or_null();
    a.sums = to.sums.data();
    take(true, [&](const Share& share) { kernels.variant_back(a, share); });
    for (int64_t i = a.sums_size(); i < to.sums.size(); ++i) to.sums[i % a.sums_size()] += to.sums[i];
    return to;
}

// Calls f(name, array of the inputs, its gradient) for whatever has one.
template <class F>
void each_gradient(const VariantCase& c, VariantData<double>& d, const Result<double>& r, F&& f) {
    const int64_t H = c.hidden, W = c.gates() * H;
    const double* sums = r.sums.data();
    f("raw", d.raw, r.d_raw.data());
    f("h0", d.h0, r.d_h.data());
    f("c0", d.c0, r.d_c.data());
    f("gain_x", d.gain_x, sums);
    f("gain_h", d.gain_h, sums + W);
    if (c.normalised) f("bias_x", d.bias_x, sums + 2 * W);
    f("bias_m", d.bias_m, sums + 3 * W);
    f("gain_c", d.gain_c, sums + 3 * W + H);
    f("bias_c", d.bias_c, sums + 3 * W + 2 * H);
    f("peepholes", d.peepholes, sums + 3 * W + 3 * H);
}

void check_gradients(const VariantCase& c, VariantData<double> d, const Result<double>& r, Report& report) {
    Random random(7);
    each_gradient(c, d, r, [&](const char* name, Exact<double>& input, const double* gradient) {
        if (input.size() == 0) return;
        const auto direction = random.array<double>(input.size());
        const Exact<double> middle = input;
        const double step = 1e-6;
        double slope = 0, along = 0;
        for (int sign = -1; sign <= 1; sign += 2) {
            for (int64_t i = 0; i < input.size(); ++i) input[i] = middle[i] + sign * step * direction[i];
            slope += sign * variant_truth(c, d).loss / (2 * step);
        }
        input = middle;
        for (int64_t i = 0; i < input.size(); ++i) along += gradient[i] * direction[i];
        report.that(std::fabs(slope - along) <= 2e-6 * (1 + std::fabs(along)),
                    std::string("gradient of ") + name + ": got " + std::to_string(along) + ", expected " +
                        std::to_string(slope));
    });
}

template <class S>
void check_values(const VariantCase& c, const VariantData<S>& d, const Result<S>& got, Report& report) {
    const VariantTruth truth = variant_truth(c, d);
    const int64_t H = c.hidden, O = c.outputs;
    for (int64_t r = 0; r < c.layout.rows(); ++r) {
        for (int64_t t = 0; t < c.layout.lengths[static_cast<size_t>(r)]; ++t) {
            const int64_t at = c.layout.at().place(t, r);
            bool holds = true;
            for (int64_t i = at * O; i < (at + 1) * O; ++i) holds &= near(got.y[i], truth.y[static_cast<size_t>(i)]);
            report.that(holds, "outputs");
            holds = true;
            for (int64_t i = at * H; i < (at + 1) * H && got.cells.size(); ++i) {
                holds &= near(got.cells[i], truth.cells[static_cast<size_t>(i)]);
            }
            report.that(holds, "cells");
        }
    }
}

// Whether row r of both is the same, bit by bit; of other it may be the only one.
template <class S>
bool same_row(const VariantCase& c, const Result<S>& a, int64_t r, const VariantCase& other, const Result<S>& b,
              int64_t other_r, bool keep) {
    bool same = true;
    const auto compare = [&](const Exact<S>& one, const Exact<S>& two, int64_t i, int64_t j, int64_t width) {
        if (one.size() && two.size()) same &= same_bits(one.data() + i * width, two.data() + j * width, width);
    };
    const int64_t H = c.hidden, O = c.outputs, W = c.gates() * H;
    for (int64_t t = 0; t < c.layout.lengths[static_cast<size_t>(r)]; ++t) {
        const int64_t i = c.layout.at().place(t, r), j = other.layout.at().place(t, other_r);
        compare(a.y, b.y, i, j, O);
        if (!keep) continue;
        compare(a.cells, b.cells, i, j, H);
        compare(a.d_raw, b.d_raw, i, j, W);
        compare(a.d_product, b.d_product, i, j, W);
    }
    if (!keep) return same;
    compare(a.d_h, b.d_h, r, other_r, O);
    compare(a.d_c, b.d_c, r, other_r, H);
    return same;
}

template <class S>
void check_bits(const Kernels<S>& kernels, const VariantCase& c, VariantData<S> d, const Result<S>& whole,
                Report& report) {
    const int64_t R = c.layout.rows(), W = c.gates() * c.hidden, poisoned = R / 2;
    const auto unkept = run(kernels, c, d, 1, false), split = run(kernels, c, d, 2, true);
    for (int64_t r = 0; r < R; ++r) {
        report.that(same_row(c, whole, r, c, unkept, r, false), "bits without keeping");
        report.that(same_row(c, whole, r, c, split, r, true), "bits in two parts of the rows");
        const VariantCase one = c.alone(r);
        const auto alone = run(kernels, one, d.alone(c, r), 1, true);
        report.that(same_row(c, whole, r, one, alone, 0, true), "bits of a row by itself");
    }
    if (c.layout.lengths[static_cast<size_t>(poisoned)] == 0) return;
    for (int64_t w = 0; w < W; ++w) d.raw[c.layout.at().place(0, poisoned) * W + w] = nan<S>;
    const auto got = run(kernels, c, d, 1, true);
    for (int64_t r = 0; r < R; ++r) {
        if (r != poisoned) report.that(same_row(c, whole, r, c, got, r, true), "NaN of another row");
    }
    report.that(std::isnan(got.y[c.layout.at().place(0, poisoned) * c.outputs]), "NaN stays NaN");
}

void check_case(const InstructionSet& set, const VariantCase& c, uint64_t seed, Report& report) {
    const auto doubles = variant_data<double>(c, seed);
    const auto singles = variant_data<float>(c, seed);
    const auto exact = run(set.of<double>(), c, doubles, 1, true);
    const auto rough = run(set.of<float>(), c, singles, 1, true);
    check_values(c, doubles, exact, report);
    check_values(c, singles, rough, report);
    check_gradients(c, doubles, exact, report);
    bool holds = true;
    for (int64_t i = 0; i < rough.d_h.size(); ++i) {
        holds &= std::fabs(rough.d_h[i] - exact.d_h[i]) <= 2e-3 * (1 + std::fabs(exact.d_h[i]));
    }
    report.that(holds, "gradient of h0 in single precision");
    check_bits(set.of<double>(), c, doubles, exact, report);
    check_bits(set.of<float>(), c, singles, rough, report);
}

}  // namespace

void check_variants(const InstructionSet& set, Report& report) {
    const char* names[] = {"tanh", "relu", "lstm", "gru", "gru_reset_before"};
    const int64_t sizes[][3] = {{1, 1, 1}, {7, 3, 5}, {33, 3, 3}, {64, 1, 2}, {33, 20, 2}};
    uint64_t seed = 0;
    for (const auto& [hidden, rows, steps] : sizes) {
        for (int equations = 0; equations < 5; ++equations) {
            for (int flags = 0; flags < 32; ++flags) {
                VariantCase c{static_cast<Equations>(equations), hidden, hidden,
                              Ragged(lengths_of(rows, steps, flags & 1), flags & 2)};
                const bool lstm = c.equations == Equations::lstm;
                c.normalised = (flags & 4) && c.equations != Equations::gru_reset_before;
                c.masked = flags & 8;
                c.zoned = (flags & 16) != 0;
                if (flags & 2) c.rate_h = 0.25, c.rate_c = lstm ? 0.125 : 0;
                c.peepholes = lstm && (flags & 1);
                c.memory = lstm && c.normalised;
                c.biased = (flags & 3) != 0;
                if (lstm && (flags & 8)) c.outputs = hidden / 2 + 1;
                if (lstm && flags == 12) c.outputs = hidden + 3;
                c.block = 1 + flags % 5;
                report.where = std::string(set.name) + " " + names[equations] + " H" + std::to_string(hidden) + " R" +
                               std::to_string(rows) + " T" + std::to_string(steps) + " flags " + std::to_string(flags);
                check_case(set, c, ++seed, report);
            }
        }
    }
}

}  // namespace check
}  // namespace rekur
