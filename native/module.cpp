// rekur._native: the kernels as Python sees them. Arrays are checked here; below, nothing is.
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>

#if defined(__unix__)
#include <unistd.h>
#endif

#include "given.h"
#include "kernels.h"
#include "memory.h"
#include "team.h"

namespace rekur {
namespace {

int64_t second_level_cache() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
    const long size = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (size > 0) return size;
#endif
    return 1 << 20;
}

Layout layout(const Array<const int64_t>& first, const Array<const int64_t>& active, int64_t stride, int64_t rows) {
    const auto steps = static_cast<int64_t>(first.size());
    checked(active, steps, "active");
    return {first.data(), active.data(), stride, steps, rows};
}

// How many threads, and whether they split units instead of rows.
struct Plan {
    int parts;
    bool by_units;
};

// A recurrence that is ready to run; what it works on stays alive with it.
struct Job {
    int64_t rows, steps;
    int64_t work;   // multiply-adds of a step
    int64_t bytes;  // of the weights
    std::function<void(const Share&)> run;
};

Plan plan(int threads, const Job& job) {
    int parts = job.work * job.steps < 100'000 ? 1 : threads;
    bool by_units = false;
    if (parts > 1) {
        const bool few_rows = job.rows < parts;
        const bool spills = job.bytes > second_level_cache() * 3 / 4;
        by_units = (few_rows && job.work > 30'000) || (spills && job.work > 100'000);
    }
    if (!by_units && job.rows < parts) parts = static_cast<int>(job.rows);
    return {parts < 1 ? 1 : parts, by_units};
}

void run_job(const Job& job, int threads) {
    const Plan how = plan(threads, job);
    Barrier barrier;
    nb::gil_scoped_release release;
    run_together(how.parts,
                 [&](int part, int parts) { job.run(Share{part, parts, how.by_units ? &barrier : nullptr}); });
}

// Two at the same time, each on half of the threads.
void run_beside(const Job& left, const Job& right, int threads) {
    if (threads < 2) {
        run_job(left, threads);
        return run_job(right, threads);
    }
    const Plan of_left = plan(threads / 2, left), of_right = plan(threads - threads / 2, right);
    Barrier barriers[2];
    nb::gil_scoped_release release;
    const int split = of_left.parts, all = of_left.parts + of_right.parts;
    run_together(all, [&](int part, int parts) {
        if (parts != all) {  // fewer threads than were asked for
            if (part == 0) left.run(Share{}), right.run(Share{});
            return;
        }
        const bool second = part >= split;
        const Plan& how = second ? of_right : of_left;
        (second ? right : left).run(Share{second ? part - split : part, how.parts,
                                          how.by_units ? &barriers[second] : nullptr});
    });
}

int64_t gates_of(Kind kind) { return kind == Kind::tanh_rnn || kind == Kind::relu_rnn ? 1 : 4; }
int64_t product_gates_of(Kind kind) { return kind == Kind::gru ? 3 : gates_of(kind); }
int64_t cells_of(Kind kind) { return kind == Kind::slstm ? 3 : 1; }
bool has_cells(Kind kind) { return kind == Kind::lstm || kind == Kind::slstm; }

Kind kind_of(const std::string& name) {
    if (name == "tanh") return Kind::tanh_rnn;
    if (name == "relu") return Kind::relu_rnn;
    if (name == "lstm") return Kind::lstm;
    if (name == "gru") return Kind::gru;
    if (name == "slstm") return Kind::slstm;
    throw std::invalid_argument("kind: got '" + name + "'; expected one of tanh, relu, lstm, gru, slstm.");
}

int64_t head_size(Kind kind, int64_t hidden, int64_t heads) {
    if (heads < 1 || hidden % heads || (heads > 1 && kind != Kind::slstm)) {
        throw std::invalid_argument("heads: expected a divisor of hidden for an sLSTM, else 1.");
    }
    return hidden / heads;
}

template <class S>
Job forward(const std::string& name, Array<const int64_t> first, Array<const int64_t> active, int64_t stride,
             int64_t rows, int64_t hidden, Array<const S> weight, Maybe<const S> bias, Array<const S> h0,
             Array<const S> seen0, Maybe<const S> mask, Maybe<const S> c0, Array<S> gates, Array<S> outputs,
             Maybe<S> cells, Maybe<S> seen, bool keep, int64_t heads, Maybe<S> memory) {
    const Kind kind = kind_of(name);
    const Kernels<S>& kernels = select().of<S>();
    const int64_t product = product_gates_of(kind), states = rows * hidden, size = head_size(kind, hidden, heads);
    Recurrence<S> a{};
    a.at = layout(first, active, stride, rows);
    const int64_t numbers = places_of(a.at) * hidden;
    a.hidden = hidden;
    a.bias = checked(bias, hidden, "bias");
    a.h0 = checked(h0, states, "h0");
    a.seen0 = checked(seen0, states, "seen0");
    a.mask = checked(mask, states, "mask");
    a.c0 = checked(c0, states * cells_of(kind), "c0");
    a.gates = checked(gates, numbers * gates_of(kind), "gates");
    a.outputs = checked(outputs, numbers, "outputs");
    a.cells = checked(cells, (keep ? numbers : states) * cells_of(kind), "cells");
    a.seen = checked(seen, 2 * states, "seen");
    a.keep = keep;
    a.heads = heads;
    a.memory = checked(memory, states, "memory");
    const bool no_cells = has_cells(kind) && (!a.cells || (keep && !a.c0));
    if (no_cells || (a.mask && !a.seen) || (kind == Kind::slstm && !a.memory)) {
        throw std::invalid_argument("cells, c0, seen or memory: got none; LSTMs need the first two, a mask the third, "
                                    "an sLSTM the last.");
    }
    const int units = product == 1 ? kernels.forward_units : 1;
    const int64_t weights = product * hidden * size;
    std::shared_ptr<S[]> ready = packed(Packing{product, size, size, size, 1, units, kernels.lanes},
                                        checked(weight, weights, "weight"), heads);
    a.weight = ready.get();
    const auto alive = std::make_tuple(first, active, bias, h0, seen0, mask, c0, gates, outputs, cells, seen, memory);
    return {rows, a.at.steps, rows * weights, weights * int64_t(sizeof(S)),
            [&kernels, kind, a, ready, alive](const Share& share) { kernels.forward(kind, a, share); }};
}

template <class S>
Job backward(const std::string& name, Array<const int64_t> first, Array<const int64_t> active, int64_t stride,
              int64_t rows, int64_t hidden, Array<const S> weight, Array<const S> h0, Maybe<const S> c0,
              Maybe<const S> mask, Array<const S> gates, Array<const S> outputs, Maybe<const S> cells,
              Array<const S> d_outputs, Array<S> d_gates, Array<S> d_h, Maybe<S> d_c, int64_t heads) {
    const Kind kind = kind_of(name);
    const Kernels<S>& kernels = select().of<S>();
    const int64_t product = product_gates_of(kind), states = rows * hidden, size = head_size(kind, hidden, heads);
    RecurrenceBack<S> a{};
    a.heads = heads;
    a.at = layout(first, active, stride, rows);
    const int64_t numbers = places_of(a.at) * hidden;
    a.hidden = hidden;
    a.h0 = checked(h0, states, "h0");
    a.c0 = checked(c0, states * cells_of(kind), "c0");
    a.mask = checked(mask, states, "mask");
    a.gates = checked(gates, numbers * (product == 1 ? 0 : 4), "gates");
    a.outputs = checked(outputs, numbers, "outputs");
    a.cells = checked(cells, numbers * cells_of(kind), "cells");
    a.d_outputs = checked(d_outputs, numbers, "d_outputs");
    a.d_gates = checked(d_gates, numbers * gates_of(kind), "d_gates");
    a.d_h = checked(d_h, states, "d_h");
    a.d_c = checked(d_c, states * cells_of(kind), "d_c");
    if (has_cells(kind) && (!a.cells || !a.c0 || !a.d_c)) {
        throw std::invalid_argument("cells, c0 or d_c: got none; an LSTM needs them.");
    }
    const int64_t weights = product * hidden * size;
    std::shared_ptr<S[]> ready = packed(Packing{1, size, product * size, 1, size, kernels.panel, kernels.lanes},
                                        checked(weight, weights, "weight"), heads);
    a.weight = ready.get();
    const auto alive =
        std::make_tuple(first, active, h0, c0, mask, gates, outputs, cells, d_outputs, d_gates, d_h, d_c);
    return {rows, a.at.steps, rows * weights, weights * int64_t(sizeof(S)),
            [&kernels, kind, a, ready, alive](const Share& share) { kernels.backward(kind, a, share); }};
}

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
    m.def("forward", &forward<S>, "kind"_a, array("first"), array("active"), "stride"_a, "rows"_a, "hidden"_a,
          array("weight"), maybe("bias"), array("h0"), array("seen0"), maybe("mask"), maybe("c0"), array("gates"),
          array("outputs"), maybe("cells"), maybe("seen"), "keep"_a, "heads"_a = 1, maybe("memory") = nb::none());
    m.def("backward", &backward<S>, "kind"_a, array("first"), array("active"), "stride"_a, "rows"_a, "hidden"_a,
          array("weight"), array("h0"), maybe("c0"), maybe("mask"), array("gates"), array("outputs"), maybe("cells"),
          array("d_outputs"), array("d_gates"), array("d_h"), maybe("d_c"), "heads"_a = 1);
    m.def("product", &product<S>, array("in"), array("weight"), maybe("bias"), array("out"), "out_stride"_a,
          "threads"_a);
}

}  // namespace

void bind_stepper(nb::module_& m);
void bind_variants(nb::module_& m);
void bind_linear(nb::module_& m);

}  // namespace rekur

NB_MODULE(_native, m) {
    namespace nb = nanobind;
    m.doc() = "Recurrent nets on a CPU: compiled kernels.";
    m.def("instruction_set", [] { return std::string(rekur::select().name); });
    m.def("team", [] { return std::string(rekur::team_name()); });
    nb::class_<rekur::Job>(m, "Job");
    m.def("run", &rekur::run_job, nb::arg("job"), nb::arg("threads"));
    m.def("run_beside", &rekur::run_beside, nb::arg("left"), nb::arg("right"), nb::arg("threads"));
    rekur::bind<float>(m);
    rekur::bind<double>(m);
    rekur::bind_stepper(m);
    rekur::bind_variants(m);
    rekur::bind_linear(m);
}
