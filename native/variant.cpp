// The variants' kernels as Python sees them: arrays and numbers come by name, and are checked here.
#include <cstring>

#include "given.h"
#include "kernels.h"
#include "team.h"

namespace rekur {
namespace {

Equations equations_of(const std::string& name) {
    const char* names[] = {"tanh", "relu", "lstm", "gru", "gru_reset_before"};
    for (int i = 0; i < 5; ++i) {
        if (name == names[i]) return static_cast<Equations>(i);
    }
    throw std::invalid_argument("equations: got '" + name +
                                "'; expected one of tanh, relu, lstm, gru, gru_reset_before.");
}

int64_t gates_of(Equations equations) {
    if (equations == Equations::lstm) return 4;
    return equations == Equations::gru || equations == Equations::gru_reset_before ? 3 : 1;
}

// The packed weights of one call, those of the backward pass transposed.
template <class S>
struct Weights {
    Buffer<S> weight, candidate{nullptr, [](S*) {}}, projection{nullptr, [](S*) {}};

    // from (rows, columns): a product with it gives rows forward, and columns backward
    static Buffer<S> one(const S* from, int64_t rows, int64_t columns, bool back, const Kernels<S>& k) {
        if (back) return packed(Packing{1, columns, rows, 1, columns, k.panel, k.lanes}, from);
        return packed(Packing{1, rows, columns, columns, 1, k.panel, k.lanes}, from);
    }

    Weights(Variant<S>& a, const Given& given, bool back, const Kernels<S>& k)
        : weight(one(given.array<const S>("weight", a.width() * a.outputs, true), a.product_gates() * a.hidden,
                     a.outputs, back, k)) {
        a.weight = weight.get();
        if (a.equations == Equations::gru_reset_before) {
            const S* from = given.array<const S>("weight", a.width() * a.outputs) + 2 * a.hidden * a.outputs;
            candidate = one(from, a.hidden, a.outputs, back, k);
            a.candidate = candidate.get();
        }
        if (const S* from = given.array<const S>("projection", a.outputs * a.hidden)) {
            projection = one(from, a.outputs, a.hidden, back, k);
            a.projection = projection.get();
        }
    }
};

// Rows at a time, so that their sums stay in the second cache beside the weights.
template <class S>
int64_t block_of(const Variant<S>& a) {
    const int64_t fit = (256 << 10) / (static_cast<int64_t>(sizeof(S)) * a.row_scratch());
    const int64_t rows = fit < 8 ? 8 : fit > 64 ? 64 : fit;
    return rows < a.at.rows ? rows : a.at.rows;
}

template <class S>
void check(const Variant<S>& a) {
    const bool lstm = a.equations == Equations::lstm;
    if (lstm && (!a.cells || (a.keep && !a.c0))) {
        throw std::invalid_argument("cells or c0: got none; an LSTM needs them.");
    }
    if (!lstm && (a.outputs != a.hidden || a.projection || a.peepholes || a.gain_c)) {
        throw std::invalid_argument("equations: only an LSTM has a projection, peepholes or a memory.");
    }
    if (lstm && a.outputs != a.hidden && !a.projection) {
        throw std::invalid_argument("projection: got none; expected one, as outputs is not hidden.");
    }
    if (a.normalised() != (a.gain_h != nullptr) || (a.gain_c != nullptr) != (a.bias_c != nullptr)) {
        throw std::invalid_argument("gain_x, gain_h, gain_c, bias_c: the first two and the last two go together.");
    }
    if (a.normalised() && a.equations == Equations::gru_reset_before) {
        throw std::invalid_argument("gain_x: a reset before the product leaves nothing to normalise.");
    }
    if (a.keep && !a.kept) throw std::invalid_argument("kept: got none; expected an array.");
    if (a.keep && a.normalised() && !a.product) throw std::invalid_argument("product: got none; expected an array.");
}

template <class S>
Variant<S> variant_of(const Given& given, bool back) {
    Variant<S> a{};
    a.at = layout_of(given);
    a.equations = equations_of(given.word("equations"));
    a.hidden = given.whole("hidden");
    a.outputs = given.whole("outputs");
    a.gates = gates_of(a.equations);
    a.keep = back || given.whole("keep") != 0;
    const int64_t places = places_of(a.at), H = a.hidden, O = a.outputs, W = a.width(), R = a.at.rows;
    a.bias_m = given.array<const S>("bias_m", H);
    a.peepholes = given.array<const S>("peepholes", 3 * H);
    a.epsilon = static_cast<S>(given.number("epsilon"));
    a.gain_x = given.array<const S>("gain_x", W);
    a.gain_h = given.array<const S>("gain_h", W);
    a.bias_x = given.array<const S>("bias_x", W);
    a.gain_c = given.array<const S>("gain_c", H);
    a.bias_c = given.array<const S>("bias_c", H);
    a.stay_h = given.array<const S>("stay_h", places * O);
    a.stay_c = given.array<const S>("stay_c", places * H);
    a.rate_h = static_cast<S>(given.number("rate_h"));
    a.rate_c = static_cast<S>(given.number("rate_c"));
    a.h0 = given.array<const S>("h0", R * O, true);
    a.mask = given.array<const S>("mask", R * O);
    a.c0 = given.array<const S>("c0", R * H);
    a.raw = given.array<S>("raw", places * W, !back || a.gain_x);
    a.product = given.array<S>("product", places * W);
    a.kept = given.array<S>("kept", places * a.pieces() * H);
    a.hiddens = given.array<S>("hiddens", places * H);
    a.y = given.array<S>("y", places * O, true);
    a.cells = given.array<S>("cells", (a.keep ? places : R) * H);
    if (!back) {
        a.seen = given.array<S>("seen", R * O, a.mask != nullptr);
    } else {
        a.d_y = given.array<S>("d_y", places * O, true);
        a.d_raw = given.array<S>("d_raw", places * W, true);
        a.d_product = given.array<S>("d_product", places * W, true);
        a.d_h = given.array<S>("d_h", R * O, true);
        a.d_c = given.array<S>("d_c", R * H, a.equations == Equations::lstm);
    }
    a.block = block_of(a);
    return a;
}

int parts_of(const Layout& at, int64_t work, int threads) {
    if (work * at.steps < 100'000) return 1;
    return threads < at.rows ? threads : static_cast<int>(at.rows);
}

template <class S>
void forward(nb::dict values, int threads) {
    const Given given(values);
    const Kernels<S>& kernels = select().of<S>();
    Variant<S> a = variant_of<S>(given, false);
    const Weights<S> weights(a, given, false, kernels);
    check(a);
    const int parts = parts_of(a.at, a.at.rows * a.width() * a.outputs, threads);
    const auto scratch = buffer<S>(parts * a.scratch_size());
    a.scratch = scratch.get();
    nb::gil_scoped_release release;
    run_together(parts, [&](int part, int all) { kernels.variant(a, Share{part, all, nullptr}); });
}

template <class S>
void backward(nb::dict values, int threads) {
    const Given given(values);
    const Kernels<S>& kernels = select().of<S>();
    Variant<S> a = variant_of<S>(given, true);
    const Weights<S> weights(a, given, true, kernels);
    check(a);
    S* sums = given.array<S>("sums", a.sums_size(), true);
    const int parts = parts_of(a.at, a.at.rows * a.width() * a.outputs, threads);
    const auto scratch = buffer<S>(parts * a.scratch_size()), shared = buffer<S>(parts * a.sums_size());
    std::memset(shared.get(), 0, parts * a.sums_size() * sizeof(S));
    a.scratch = scratch.get();
    a.sums = shared.get();
    nb::gil_scoped_release release;
    run_together(parts, [&](int part, int all) { kernels.variant_back(a, Share{part, all, nullptr}); });
    for (int part = 0; part < parts; ++part) {
        for (int64_t i = 0; i < a.sums_size(); ++i) sums[i] += shared[part * a.sums_size() + i];
    }
}

}  // namespace

void bind_variants(nb::module_& m) {
    using namespace nb::literals;
    m.def("variant_forward_single", &forward<float>, "values"_a, "threads"_a);
    m.def("variant_forward_double", &forward<double>, "values"_a, "threads"_a);
    m.def("variant_backward_single", &backward<float>, "values"_a, "threads"_a);
    m.def("variant_backward_double", &backward<double>, "values"_a, "threads"_a);
}

}  // namespace rekur
