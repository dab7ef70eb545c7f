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
void multiply(const View& in, const View& weight, nb::handle bias, nb::handle out, int64_t out_stride, int threads) {
    const Kernels<S>& kernels = select().of<S>();
    Product<S> a{};
    a.rows = in.sizes[0];
    a.depth = in.sizes[1];
    a.columns = weight.sizes[0];
    a.in_stride = a.depth;
    a.out_stride = out_stride;
    a.in = numbers_of<const S>(in, "in", a.rows * a.depth);
    a.bias = bias.is_none() ? nullptr : numbers_of<const S>(bias, "bias", a.columns);
    a.out = numbers_of<S>(out, "out", a.rows == 0 ? 0 : (a.rows - 1) * out_stride + a.columns);
    const auto ready = packed(Packing{1, a.columns, a.depth, a.depth, 1, kernels.panel, kernels.lanes},
                              numbers_of<const S>(weight, "weight", a.columns * a.depth));
    a.weight = ready.get();
    const int parts = a.rows * a.columns * a.depth < 100'000 ? 1 : threads;
    nb::gil_scoped_release release;
    run_together(parts, [&](int part, int all) { kernels.product(a, Share{part, all, nullptr}); });
}

void product(nb::handle in, nb::handle weight, nb::handle bias, nb::handle out, int64_t out_stride, int threads) {
    View x, w;
    if (!view_of(in, false, x) || !view_of(weight, false, w) || x.axes != 2 || w.axes != 2) {
        throw std::invalid_argument("in and weight: expected arrays of two axes each.");
    }
    (x.of<double>() ? multiply<double> : multiply<float>)(x, w, bias, out, out_stride, threads);
}

// An array of PyTorch's in memory that is used again.
template <class S>
auto empty(size_t size) {
    void* memory = take_memory(size * sizeof(S));
    nb::capsule owner(memory, [](void* p) noexcept { give_memory(p); });
    return nb::ndarray<nb::pytorch, S, nb::ndim<1>, nb::device::cpu>(static_cast<S*>(memory), {size}, owner);
}

}  // namespace

void bind_above(nb::module_& m);
void bind_jobs(nb::module_& m);
void bind_recurrences(nb::module_& m);
void bind_live(nb::module_& m);
void bind_stepper(nb::module_& m);
void bind_variants(nb::module_& m);
void bind_linear(nb::module_& m);
void bind_rows(nb::module_& m);
void bind_recall(nb::module_& m);
void bind_windows(nb::module_& m);
void bind_matrix(nb::module_& m);

}  // namespace rekur

NB_MODULE(_native, m) {
    namespace nb = nanobind;
    m.doc() = "Recurrent nets on a CPU: compiled kernels.";
#ifdef NDEBUG
    // A thread that still streams when Python exits keeps its objects: nothing that a user has to read about.
    nb::set_leak_warnings(false);
#endif
    m.def("instruction_set", [] { return std::string(rekur::select().name); });
    m.def("team", [] { return std::string(rekur::team_name()); });
    m.def("spin_briefly", &rekur::spin_briefly, nb::arg("briefly"), nb::call_guard<nb::gil_scoped_release>());
    m.def("empty_single", &rekur::empty<float>, nb::arg("size"));
    m.def("empty_double", &rekur::empty<double>, nb::arg("size"));
    m.def("product", &rekur::product, nb::arg("in"), nb::arg("weight"), nb::arg("bias").none(), nb::arg("out"),
          nb::arg("out_stride"), nb::arg("threads"));
    rekur::bind_above(m);
    rekur::bind_jobs(m);
    rekur::bind_recurrences(m);
    rekur::bind_live(m);
    rekur::bind_stepper(m);
    rekur::bind_variants(m);
    rekur::bind_linear(m);
    rekur::bind_recall(m);
    rekur::bind_rows(m);
    rekur::bind_windows(m);
    rekur::bind_matrix(m);
}
