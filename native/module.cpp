// rekur._native: the kernels as Python sees them. Arrays are checked here; below, nothing is.
#include <stdexcept>
#include <string>

#include "given.h"
#include "kernels.h"
#include "memory.h"
#include "team.h"

namespace rekur {
namespace {

template <class S>
void product(Array<const S> in, Array<const S> weight, Maybe<const S> bias, Array<S> out, int64_t out_stride,
             int threads) {
    if (weight.ndim() != 2 || in.ndim() != 2) throw std::invalid_argument("in and weight: expected two axes each.");
    const Kernels<S>& kernels = select().of<S>();
    Product<S> a{};
    a.rows = static_cast<int64_t>(in.shape(0));
    a.depth = static_cast<int64_t>(in.shape(1));
    a.columns = static_cast<int64_t>(weight.shape(0));
    a.in_stride = a.depth;
    a.out_stride = out_stride;
    a.in = in.data();
    a.bias = checked(bias, a.columns, "bias");
    a.out = checked(out, a.rows == 0 ? 0 : (a.rows - 1) * out_stride + a.columns, "out");
    const auto ready = packed(Packing{1, a.columns, a.depth, a.depth, 1, kernels.panel, kernels.lanes},
                              checked(weight, a.columns * a.depth, "weight"));
    a.weight = ready.get();
    const int parts = a.rows * a.columns * a.depth < 100'000 ? 1 : threads;
    nb::gil_scoped_release release;
    run_together(parts, [&](int part, int all) { kernels.product(a, Share{part, all, nullptr}); });
}

// An array of PyTorch's in memory that is used again.
template <class S>
auto empty(size_t size) {
    void* memory = take_memory(size * sizeof(S));
    nb::capsule owner(memory, [](void* p) noexcept { give_memory(p); });
    return nb::ndarray<nb::pytorch, S, nb::ndim<1>, nb::device::cpu>(static_cast<S*>(memory), {size}, owner);
}

template <class S>
void bind(nb::module_& m) {
    using namespace nb::literals;
    m.def(sizeof(S) == 4 ? "empty_single" : "empty_double", &empty<S>, "size"_a);
    // none is converted: what is written would go to a copy
    const auto array = [](const char* name) { return nb::arg(name).noconvert(); };
    const auto maybe = [](const char* name) { return nb::arg(name).noconvert().none(); };
    m.def("product", &product<S>, array("in"), array("weight"), maybe("bias"), array("out"), "out_stride"_a,
          "threads"_a);
}

}  // namespace

void bind_jobs(nb::module_& m);
void bind_recurrences(nb::module_& m);
void bind_live(nb::module_& m);
void bind_stepper(nb::module_& m);
void bind_variants(nb::module_& m);
void bind_linear(nb::module_& m);

}  // namespace rekur

NB_MODULE(_native, m) {
    namespace nb = nanobind;
    m.doc() = "Recurrent nets on a CPU: compiled kernels.";
    m.def("instruction_set", [] { return std::string(rekur::select().name); });
    m.def("team", [] { return std::string(rekur::team_name()); });
    rekur::bind<float>(m);
    rekur::bind<double>(m);
    rekur::bind_jobs(m);
    rekur::bind_recurrences(m);
    rekur::bind_live(m);
    rekur::bind_stepper(m);
    rekur::bind_variants(m);
    rekur::bind_linear(m);
}
