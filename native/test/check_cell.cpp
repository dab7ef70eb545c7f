// One step of one stream of every cell: exactly as much memory as stated, finite numbers, NaN where it was given.
#include "check.h"

namespace rekur {
namespace check {
namespace {

struct Memory {
    std::vector<Exact<float>> arrays;

    float* take(Random& random, int64_t size, double scale) {
        arrays.push_back(random.array<float>(size, scale));
        return arrays.back().data();
    }
};

struct Shape {
    CellKind kind;
    int64_t input, hidden, output, heads;
    float norm, stay;
};

CellStep make(const Shape& shape, Memory& memory) {
    Random random(static_cast<uint64_t>(shape.hidden + shape.input));
    CellStep a;
    a.kind = shape.kind;
    a.input = shape.input;
    a.hidden = shape.hidden;
    a.output = shape.output;
    a.heads = shape.heads;
    a.norm = shape.norm;
    a.stay_h = shape.stay;
    const int64_t H = a.hidden, rows = a.rows();
    const bool lru = a.kind == CellKind::rglru, matrix = a.kind == CellKind::mlstm;
    const double scale = 1 / std::sqrt(static_cast<double>(H + a.input));
    const auto numbers = [&](int64_t size) { return memory.take(random, size, scale); };
    a.weight_ih = numbers(rows * (lru ? H : a.input));
    a.bias_ih = numbers(rows);
    if (!a.linear() && !matrix) a.weight_hh = numbers(rows * a.output / a.heads);
    if (!a.linear() && !matrix) a.bias_hh = numbers(rows);
    if (a.output != H) a.weight_hr = numbers(a.output * H);
    for (const float** peep : {&a.weight_ci, &a.weight_cf, &a.weight_co}) *peep = numbers(H);
    if (a.norm > 0) a.gain_ih = numbers(rows);
    if (a.norm > 0) a.gain_hh = numbers(rows);
    a.gain_c = numbers(H);
    a.bias_c = numbers(H);
    float* decay = numbers(H);
    for (int64_t i = 0; i < H; ++i) decay[i] = -std::fabs(decay[i]);
    a.log_decay = decay;
    if (lru && a.input != H) a.weight_in = numbers(H * a.input);
    if (!matrix) a.h = numbers(a.output);
    a.c = numbers(matrix ? H * H / a.heads : H);
    a.n = numbers(H);
    for (int64_t i = 0; i < H; ++i) a.n[i] = 1.0f;
    a.m = numbers(matrix ? a.heads : H);
    a.scratch = numbers(a.scratch_size());
    return a;
}

void check_shape(const InstructionSet& set, const Shape& shape, Report& report) {
    Memory memory;
    const CellStep cell = make(shape, memory);
    Random random(7);
    Exact<float> x = random.array<float>(shape.input), y(shape.output, nan<float>);
    for (int step = 0; step < 3; ++step) {
        set.step.cell(cell, x.data(), y.data());
        for (int64_t i = 0; i < shape.output; ++i) report.that(std::isfinite(y[i]), "finite numbers");
        if (!cell.h) continue;
        report.that(same_bits(y.data(), cell.h, shape.output), "the state is what was given out");
    }
    x[shape.input - 1] = nan<float>;
    set.step.cell(cell, x.data(), y.data());
    report.that(std::isnan(y[0]), "NaN that was given");
}

}  // namespace

void check_cells(const InstructionSet& set, Report& report) {
    for (int number = 0; number < 11; ++number) {
        const auto kind = static_cast<CellKind>(number);
        const bool exponential = kind == CellKind::slstm || kind == CellKind::mlstm;
        const bool normal = number < 5;  // those whose products may be normalised
        for (int64_t hidden : {1, 7, 32, 33}) {
            for (int64_t input : {int64_t{1}, int64_t{5}, hidden}) {
                report.where = std::string(set.name) + " cell " + std::to_string(number) + " H" + std::to_string(hidden);
                check_shape(set, {kind, input, hidden, hidden, 1, 0.0f, 0.0f}, report);
                if (!exponential) check_shape(set, {kind, input, hidden, hidden, 1, 0.0f, 0.3f}, report);
                if (normal) check_shape(set, {kind, input, hidden, hidden, 1, 1e-5f, 0.0f}, report);
                if (exponential && hidden == 32) check_shape(set, {kind, input, hidden, hidden, 4, 0.0f, 0.0f}, report);
                const bool projects = kind == CellKind::lstm && hidden > 1;
                if (projects) check_shape(set, {kind, input, hidden, hidden - 1, 1, 0.0f, 0.0f}, report);
            }
        }
    }
}

}  // namespace check
}  // namespace rekur
