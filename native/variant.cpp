// The variants' kernels as Python sees them: arrays and numbers come by name, and are checked here.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

#include "kernels.h"
#include "team.h"

namespace nb = nanobind;

namespace rekur {
namespace {

// What one call is given. Arrays are taken as they are, never converted: what is written into must be the caller's.
class Given {
public:
    explicit Given(const nb::dict& values) : values_(values) {}

    template <class T>
    T* array(const char* name, int64_t size, bool needed = false) const {
        if (!values_.contains(name)) {
            if (needed) throw std::invalid_argument(std::string(name) + ": got none; expected an array.");
            return nullptr;
        }
        nb::ndarray<T, nb::c_contig, nb::device::cpu> found;
        if (!nb::try_cast(values_[name], found, false)) {
            throw std::invalid_argument(std::string(name) + ": expected a contiguous array of the kernel's own dtype.");
        }
        if (static_cast<int64_t>(found.size()) < size) {
            throw std::invalid_argument(std::string(name) + ": got " + std::to_string(found.size()) +
                                        " numbers; expected " + std::to_string(size) + ".");
        }
        return found.data();
    }

    int64_t whole(const char* name) const { return nb::cast<int64_t>(values_[name]); }
    double number(const char* name) const { return nb::cast<double>(values_[name]); }
    std::string word(const char* name) const { return nb::cast<std::string>(values_[name]); }
    int64_t size(const char* name) const { return static_cast<int64_t>(nb::len(nb::handle(values_[name]))); }

private:
    nb::dict values_;
};

Equations equations_of(const std::string& name) {
    const char* names[] = {"tanh", "relu", "lstm", "gru", "gru_reset_before"};
    for (int i = 0; i < 5; ++i) {
        if (name == names[i]) return static_cast<Equations>(i);
    }
    throw std::invalid_argument("equations: got '" + name + "'; expected one of tanh, relu, lstm, gru, gru_reset_before.");
}

int64_t gates_of(Equations equations) {
    if (equations == Equations::lstm) return 4;
    return equations == Equations::gru || equations == Equations::gru_reset_before ? 3 : 1;
}

Layout layout_of(const Given& given) {
    Layout at{};
    at.steps = given.size("first");
    at.first = given.array<const int64_t>("first", at.steps, true);
    at.active = given.array<const int64_t>("active", at.steps, true);
    at.stride = 1;
    at.rows = given.whole("rows");
    return at;
}

// Places that the layout reaches, so that no array is shorter.
int64_t places_of(const Layout& at) {
    int64_t most = 0;
    for (int64_t t = 0; t < at.steps; ++t) {
        if (at.active[t] < 1 || at.active[t] > at.rows || (t > 0 && at.active[t] > at.active[t - 1]) || at.first[t] < 0) {
            throw std::invalid_argument("active: expected rows from 1 to " + std::to_string(at.rows) + ", falling.");
        }
        const int64_t end = at.place(t, at.active[t] - 1) + 1;
        most = end > most ? end : most;
    }
    return most;
}

template <class S>
using Buffer = std::unique_ptr<S[], void (*)(S*)>;

template <class S>
Buffer<S> buffer(int64_t size) {
    auto* data = static_cast<S*>(::operator new[](static_cast<size_t>(size) * sizeof(S), std::align_val_t{64}));
    return {data, [](S* p) { ::operator delete[](p, std::align_val_t{64}); }};
}

template <class S>
Buffer<S> packed(const Packing& how, const S* weight) {
    auto to = buffer<S>(how.size());
    pack(how, weight, to.get());
    return to;
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
