// The kernels of cells that are linear in their state, as Python sees them.
#include "linear.h"

#include <cstring>

#include "given.h"
#include "kernels.h"
#include "team.h"

namespace rekur {
namespace {

Form form_of(const std::string& name) {
    const char* names[] = {"plain", "mingru", "minlstm", "rglru"};
    for (int i = 0; i < 4; ++i) {
        if (name == names[i]) return static_cast<Form>(i);
    }
    throw std::invalid_argument("form: got '" + name + "'; expected one of plain, mingru, minlstm, rglru.");
}

// The numbers that an array of rows so far apart reaches.
int64_t reach(int64_t places, int64_t stride, int64_t width) {
    if (stride < 0) throw std::invalid_argument("stride: expected 0 or more.");
    return (places - 1) * stride + width;
}

template <class S>
Linear<S> linear_of(const Given& given, bool back) {
    Linear<S> a{};
    a.at = layout_of(given);
    a.form = form_of(given.word("form"));
    a.hidden = given.whole("hidden");
    const int64_t places = places_of(a.at), H = a.hidden, states = a.at.rows * H, width = gates_of(a.form) * H;
    a.gates_stride = given.whole("gates_stride");
    a.value_stride = given.whole("value_stride");
    a.gates = given.array<const S>("gates", reach(places, a.gates_stride, width), true);
    a.value = given.array<const S>("value", reach(places, a.value_stride, H), true);
    a.decay = given.array<const S>("decay", H, a.form == Form::rglru);
    a.h0 = given.array<const S>("h0", states, true);
    a.outputs = given.array<S>("outputs", places * H, true);
    if (!back) {
        a.last = given.array<S>("last", states, true);
        return a;
    }
    a.d_gates_stride = given.whole("d_gates_stride");
    a.d_value_stride = given.whole("d_value_stride");
    a.d_outputs = given.array<const S>("d_outputs", places * H);
    a.d_gates = given.array<S>("d_gates", reach(places, a.d_gates_stride, width), true);
    a.d_value = given.array<S>("d_value", reach(places, a.d_value_stride, H), true);
    a.d_h = given.array<S>("d_h", states, true);
    return a;
}

// Threads own rows, or units where rows are fewer; neither need ever wait for the other.
template <class S, class F>
void in_parts(const Linear<S>& a, int parts, F&& run) {
    const bool by_units = a.at.rows < parts;
    Barrier barrier;
    nb::gil_scoped_release release;
    run_together(parts, [&](int part, int all) { run(Share{part, all, by_units ? &barrier : nullptr}); });
}

template <class S>
int parts_of(const Linear<S>& a, int threads) {
    const bool short_work = a.at.rows * a.at.steps * a.hidden < 20'000;
    return short_work || threads < 1 ? 1 : threads;
}

template <class S>
void forward(nb::dict values, int threads) {
    const Given given(values);
    const Linear<S> a = linear_of<S>(given, false);
    const Kernels<S>& kernels = select().of<S>();
    in_parts(a, parts_of(a, threads), [&](const Share& share) { kernels.linear(a, share); });
}

template <class S>
void backward(nb::dict values, int threads) {
    const Given given(values);
    Linear<S> a = linear_of<S>(given, true);
    const Kernels<S>& kernels = select().of<S>();
    const int parts = parts_of(a, threads);
    const int64_t H = a.hidden;
    Buffer<S> sums{nullptr, [](S*) {}};
    if (a.decay) {
        sums = buffer<S>(parts * H);
        std::memset(sums.get(), 0, parts * H * sizeof(S));
        a.d_decay = sums.get();
    }
    S* d_decay = given.array<S>("d_decay", H, a.decay != nullptr);
    in_parts(a, parts, [&](const Share& share) { kernels.linear_back(a, share); });
    for (int64_t i = 0; a.decay && i < parts * H; ++i) d_decay[i % H] += sums[i];
}

}  // namespace

void bind_linear(nb::module_& m) {
    using namespace nb::literals;
    m.def("linear_forward_single", &forward<float>, "values"_a, "threads"_a);
    m.def("linear_forward_double", &forward<double>, "values"_a, "threads"_a);
    m.def("linear_backward_single", &backward<float>, "values"_a, "threads"_a);
    m.def("linear_backward_double", &backward<double>, "values"_a, "threads"_a);
}

}  // namespace rekur
