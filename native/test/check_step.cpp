// The stepper: one stream and many, weights of 32, 16 and 8 bits, stacks of layers, exactly as much memory as stated.
#include <algorithm>

#include "../stepper_pack.h"
#include "check.h"

namespace rekur {
namespace check {
namespace {

struct Sizes {
    Kind kind;
    int64_t input, hidden;
    int64_t gates() const { return kind == Kind::lstm ? 4 : kind == Kind::gru ? 3 : 1; }
    int64_t sums() const { return kind == Kind::lstm || kind == Kind::gru ? 4 : 1; }
    int64_t state() const { return padded(hidden, state_pad) * (kind == Kind::lstm ? 2 : 1); }
};

// Layers, packed, and their weights as they were.
struct Stack {
    std::vector<Sizes> sizes;
    std::vector<Exact<float>> weight_ih, weight_hh, bias;
    std::vector<PackedStep> packed;
    std::vector<StepLayer> layers;
    int64_t width = 0;

    Stack(std::vector<Sizes> of, Precision precision, const StepKernels& kernels) : sizes(std::move(of)) {
        Random random(sizes.size() + static_cast<size_t>(sizes[0].hidden));
        for (const Sizes& s : sizes) {
            const double scale = 1 / std::sqrt(static_cast<double>(s.hidden + s.input));
            weight_ih.push_back(random.array<float>(s.gates() * s.hidden * s.input, scale));
            weight_hh.push_back(random.array<float>(s.gates() * s.hidden * s.hidden, scale));
            bias.push_back(random.array<float>(s.sums() * s.hidden));
            const bool simple = s.sums() == 1;
            const auto pack = [&](int64_t pieces, int64_t k, const Exact<float>& from, Precision how) {
                const Packing shape{pieces, s.hidden, k, k, 1, simple ? kernels.units : 1, kernels.lanes};
                packed.push_back(StepPacker(shape, how)(from.data()));
                return packed.back().view;
            };
            StepLayer layer{};
            layer.kind = s.kind;
            layer.hidden = s.hidden;
            layer.state = width;
            layer.input = pack(s.gates(), s.input, weight_ih.back(), precision);
            layer.recurrent = pack(s.gates(), s.hidden, weight_hh.back(), precision);
            layer.bias = reinterpret_cast<const float*>(pack(s.sums(), 1, bias.back(), Precision::float32).packed);
            layers.push_back(layer);
            width += s.state();
        }
    }

    int64_t scratch(int64_t rows) const {
        int64_t hidden = 0, depth = 0, columns = 0;
        for (const StepLayer& layer : layers) {
            hidden = std::max(hidden, layer.hidden);
            depth = std::max({depth, layer.hidden, layer.input.depth});
            columns = std::max(columns, layer.input.columns);
        }
        return StepScratch(hidden, depth, columns, rows).size;
    }
};

// Steps of streams whose states begin at zero; x (steps, rows, input). Returns outputs (steps, rows, hidden).
struct Runner {
    const StepKernels& kernels;
    const Stack& stack;
    Precision precision;

    Exact<float> operator()(const Exact<float>& x, int64_t rows, int64_t steps, bool backwards) const {
        const int64_t input = stack.sizes.front().input, output = stack.sizes.back().hidden;
        Exact<float> arena(rows * stack.width), y(steps * rows * output);
        Exact<int64_t> slots(rows);
        for (int64_t r = 0; r < rows; ++r) slots[r] = rows - 1 - r;
        for (int64_t t = 0; t < steps; ++t) {
            // a block of its own each time, exactly as large as stated
            const Lines scratch = lines(stack.scratch(std::min(rows, step_rows)));
            Exact<float> now(rows * input), out(rows * output);
            std::memcpy(now.data(), x.data() + t * rows * input, now.bytes());
            kernels.run({stack.layers.data(), static_cast<int64_t>(stack.layers.size()), precision, arena.data(),
                         stack.width, slots.data(), rows, now.data(), out.data(), scratch.get(), backwards});
            std::memcpy(y.data() + t * rows * output, out.data(), out.bytes());
        }
        return y;
    }
};

// One stream in double precision. Returns the outputs of the last layer (steps, hidden).
std::vector<double> truth_of(const Stack& stack, std::vector<double> x, int64_t steps) {
    for (size_t l = 0; l < stack.sizes.size(); ++l) {
        const Sizes& s = stack.sizes[l];
        const int64_t H = s.hidden, D = s.input;
        std::vector<double> y, h(static_cast<size_t>(H), 0), c = h;
        for (int64_t t = 0; t < steps; ++t) {
            const auto dot = [&](const Exact<float>& weight, int64_t row, int64_t depth, const double* with) {
                double sum = 0;
                for (int64_t k = 0; k < depth; ++k) sum += weight[row * depth + k] * with[k];
                return sum;
            };
            const double* here = x.data() + t * D;
            std::vector<double> after = h;
            for (int64_t u = 0; u < H; ++u) {
                const auto of_x = [&](int64_t g) { return dot(stack.weight_ih[l], g * H + u, D, here); };
                const auto of_h = [&](int64_t g) { return dot(stack.weight_hh[l], g * H + u, H, h.data()); };
                const auto sum = [&](int64_t g) { return of_x(g) + of_h(g) + stack.bias[l][g * H + u]; };
                const auto place = static_cast<size_t>(u);
                if (s.kind == Kind::lstm) {
                    c[place] = squash(sum(1)) * c[place] + squash(sum(0)) * std::tanh(sum(2));
                    after[place] = squash(sum(3)) * std::tanh(c[place]);
                } else if (s.kind == Kind::gru) {
                    const double m = of_h(2) + stack.bias[l][3 * H + u];
                    const double n = std::tanh(of_x(2) + stack.bias[l][2 * H + u] + squash(sum(0)) * m);
                    after[place] = n + squash(sum(1)) * (h[place] - n);
                } else {
                    after[place] = s.kind == Kind::tanh_rnn ? std::tanh(sum(0)) : std::max(sum(0), 0.0);
                }
            }
            h = after;
            y.insert(y.end(), h.begin(), h.end());
        }
        x = y;
    }
    return x;
}

Exact<float> row_of(const Exact<float>& x, int64_t r, int64_t rows, int64_t steps, int64_t width) {
    Exact<float> to(steps * width);
    for (int64_t t = 0; t < steps; ++t) {
        const float* from = x.data() + (t * rows + r) * width;
        std::memcpy(to.data() + t * width, from, static_cast<size_t>(width) * sizeof(float));
    }
    return to;
}

void check_case(const Runner& run, int64_t rows, int64_t steps, Report& report) {
    const int64_t input = run.stack.sizes.front().input, output = run.stack.sizes.back().hidden;
    const double most = run.precision == Precision::float32 ? 2e-6 : 0.04;
    Random random(static_cast<uint64_t>(rows + input));
    Exact<float> x = random.array<float>(steps * rows * input);
    const auto whole = run(x, rows, steps, false);
    report.that(same_bits(whole.data(), run(x, rows, steps, true).data(), whole.size()), "bits of panels backwards");
    for (int64_t r = 0; r < rows; r += 1 + rows / 5) {
        const auto mine = row_of(x, r, rows, steps, input), got = row_of(whole, r, rows, steps, output);
        const auto truth = truth_of(run.stack, std::vector<double>(mine.data(), mine.data() + mine.size()), steps);
        for (int64_t i = 0; i < got.size(); ++i) {
            report.that(std::fabs(got[i] - truth[static_cast<size_t>(i)]) <= most, "values");
        }
        const auto alone = run(mine, 1, steps, false);
        report.that(same_bits(got.data(), alone.data(), got.size()), "bits of a stream by itself");
    }
    const int64_t poisoned = rows / 2;
    x[poisoned * input] = nan<float>;
    const auto now = run(x, rows, steps, false);
    for (int64_t r = 0; r < rows; ++r) {
        const auto a = row_of(whole, r, rows, steps, output), b = row_of(now, r, rows, steps, output);
        report.that(r == poisoned ? std::isnan(b[0]) : same_bits(a.data(), b.data(), a.size()), "NaN in one stream");
    }
}

}  // namespace

void check_steps(const InstructionSet& set, Report& report) {
    const std::vector<Sizes> stacks[] = {
        {{Kind::tanh_rnn, 1, 1}},
        {{Kind::relu_rnn, 7, 33}},
        {{Kind::tanh_rnn, 33, 200}},
        {{Kind::lstm, 1, 7}},
        {{Kind::lstm, 33, 64}},
        {{Kind::gru, 7, 1}},
        {{Kind::gru, 5, 33}},
        {{Kind::gru, 70, 64}},
        {{Kind::gru, 3, 33}, {Kind::lstm, 33, 7}, {Kind::tanh_rnn, 7, 65}, {Kind::relu_rnn, 65, 1}},
    };
    const char* names[] = {"float32", "bfloat16", "int8"};
    for (const auto& sizes : stacks) {
        for (Precision precision : {Precision::float32, Precision::bfloat16, Precision::int8}) {
            const Stack stack(sizes, precision, set.step);
            for (int64_t rows : {1, 2, 5, 100}) {
                report.where = std::string(set.name) + " step " + names[static_cast<int>(precision)] + " H" +
                               std::to_string(sizes[0].hidden) + " layers " + std::to_string(sizes.size()) + " R" +
                               std::to_string(rows);
                check_case(Runner{set.step, stack, precision}, rows, 3, report);
            }
        }
    }
}

}  // namespace check
}  // namespace rekur
