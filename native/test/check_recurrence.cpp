// The simple recurrent network, LSTM and GRU, forward and backward, whole batches and ragged ones, in parts and alone.
#include <algorithm>

#include "check.h"

namespace rekur {
namespace check {
namespace {

int64_t gates_of(Kind kind) { return kind == Kind::lstm || kind == Kind::gru ? 4 : 1; }
int64_t product_gates_of(Kind kind) { return kind == Kind::lstm ? 4 : kind == Kind::gru ? 3 : 1; }

// What a scan and its gradients are made of.
template <class S>
struct Problem {
    Kind kind;
    int64_t hidden;
    Ragged layout;
    bool masked;
    Exact<S> weight, bias, h0, mask, c0, x, d_outputs, d_c;

    Problem(Kind of, int64_t size, Ragged rows, bool with_mask, uint64_t seed)
        : kind(of), hidden(size), layout(std::move(rows)), masked(with_mask) {
        Random random(seed);
        const int64_t H = hidden, R = layout.rows(), N = layout.places;
        weight = random.array<S>(product_gates_of(kind) * H * H, 1.5 / std::sqrt(static_cast<double>(H)));
        bias = random.array<S>(kind == Kind::gru ? H : 0);
        h0 = random.array<S>(R * H);
        mask = random.array<S>(masked ? R * H : 0, 2);
        c0 = random.array<S>(kind == Kind::lstm ? R * H : 0);
        x = random.array<S>(N * gates_of(kind) * H, 2);
        d_outputs = random.array<S>(N * H);
        d_c = random.array<S>(kind == Kind::lstm ? R * H : 0);
    }

    // One row by itself.
    Problem alone(int64_t r) const {
        Problem one = *this;
        const int64_t H = hidden, W = gates_of(kind) * H;
        one.layout = Ragged({layout.lengths[static_cast<size_t>(r)]}, false);
        const auto row = [&](const Exact<S>& from) {
            Exact<S> to(from.size() ? H : 0);
            if (to.size()) std::memcpy(to.data(), from.data() + r * H, to.bytes());
            return to;
        };
        one.h0 = row(h0), one.mask = row(mask), one.c0 = row(c0), one.d_c = row(d_c);
        one.x = Exact<S>(one.layout.steps * W);
        one.d_outputs = Exact<S>(one.layout.steps * H);
        for (int64_t t = 0; t < one.layout.steps; ++t) {
            const int64_t place = layout.at().place(t, r);
            std::memcpy(one.x.data() + t * W, x.data() + place * W, static_cast<size_t>(W) * sizeof(S));
            std::memcpy(one.d_outputs.data() + t * H, d_outputs.data() + place * H, static_cast<size_t>(H) * sizeof(S));
        }
        return one;
    }
};

// What comes out. Of double numbers also the truth.
template <class S>
struct Result {
    Exact<S> gates, outputs, cells, d_gates, d_h, d_c;
    bool keep;
};

template <class S>
Exact<S> packed(const Packing& how, const Exact<S>& weight) {
    Exact<S> to(how.size());
    pack(how, weight.data(), to.data());
    return to;
}

template <class S>
Result<S> run(const Kernels<S>& kernels, const Problem<S>& p, int parts, bool by_units, bool keep) {
    const int64_t H = p.hidden, R = p.layout.rows(), N = p.layout.places, gates = product_gates_of(p.kind);
    const bool lstm = p.kind == Kind::lstm;
    Result<S> to{p.x, Exact<S>(N * H), lstm && keep ? Exact<S>(N * H) : p.c0, {}, Exact<S>(R * H), p.d_c, keep};
    Exact<S> seen0 = p.h0, seen(p.masked ? 2 * R * H : 0);
    for (int64_t i = 0; p.masked && i < R * H; ++i) seen0[i] *= p.mask[i];
    const int units = gates == 1 ? kernels.forward_units : 1;
    const auto forward = packed(Packing{gates, H, H, H, 1, units, kernels.lanes}, p.weight);
    const Recurrence<S> a{p.layout.at(),   H,          forward.data(),     p.bias.or_null(),   p.h0.data(),
                          seen0.data(),    p.mask.or_null(), p.c0.or_null(), to.gates.data(), to.outputs.data(),
                          to.cells.or_null(), seen.or_null(), keep};
    in_parts(parts, by_units, [&](const Share& share) { kernels.forward(p.kind, a, share); });
    if (!keep) return to;
    to.d_gates = Exact<S>(N * gates_of(p.kind) * H);
    const auto back = packed(Packing{1, H, gates * H, 1, H, kernels.panel, kernels.lanes}, p.weight);
    const bool simple = gates == 1;
    const Exact<S> none;
    const RecurrenceBack<S> b{p.layout.at(),
                              H,
                              back.data(),
                              p.h0.data(),
                              p.c0.or_null(),
                              p.mask.or_null(),
                              simple ? none.data() : to.gates.data(),
                              to.outputs.data(),
                              to.cells.or_null(),
                              p.d_outputs.data(),
                              to.d_gates.data(),
                              to.d_h.data(),
                              to.d_c.or_null()};
    in_parts(parts, by_units, [&](const Share& share) { kernels.backward(p.kind, b, share); });
    return to;
}

// One row in double precision, unit by unit.
template <class S>
class Truth {
public:
    explicit Truth(const Problem<S>& problem, int64_t row)
        : p(problem), r(row), H(p.hidden), T(p.layout.lengths[static_cast<size_t>(row)]), W(gates_of(p.kind) * H) {
        h.assign(size(T + 1, H), 0), c = h, gates.assign(size(T, W), 0), d_gates = gates;
        for (int64_t u = 0; u < H; ++u) {
            h[at(0, H, u)] = p.h0[r * H + u];
            if (p.kind == Kind::lstm) c[at(0, H, u)] = p.c0[r * H + u];
        }
        for (int64_t t = 0; t < T; ++t) forward(t);
        d_h.assign(size(1, H), 0), d_c = d_h;
        for (int64_t u = 0; u < H && p.kind == Kind::lstm; ++u) d_c[size(u, 1)] = p.d_c[r * H + u];
        for (int64_t t = T - 1; t >= 0; --t) backward(t);
    }

    std::vector<double> h, c, gates, d_gates, d_h, d_c;  // h and c from the initial ones on

    static size_t at(int64_t t, int64_t width, int64_t u) { return static_cast<size_t>(t * width + u); }

private:
    static size_t size(int64_t steps, int64_t width) { return static_cast<size_t>(steps * width); }
    double mask(int64_t u) const { return p.masked ? p.mask[r * H + u] : 1; }
    double x(int64_t t, int64_t w) const { return p.x[p.layout.at().place(t, r) * W + w]; }

    double product(int64_t t, int64_t gate, int64_t u) const {
        double sum = 0;
        for (int64_t k = 0; k < H; ++k) sum += p.weight[(gate * H + u) * H + k] * (h[at(t, H, k)] * mask(k));
        return sum;
    }

    void forward(int64_t t) {
        for (int64_t u = 0; u < H; ++u) {
            const auto gate = [&](int64_t g) -> double& { return gates[at(t, W, g * H + u)]; };
            const double before = h[at(t, H, u)];
            double& now = h[at(t + 1, H, u)];
            if (p.kind == Kind::lstm) {
                for (int64_t g = 0; g < 4; ++g) {
                    const double sum = x(t, g * H + u) + product(t, g, u);
                    gate(g) = g == 2 ? std::tanh(sum) : squash(sum);
                }
                c[at(t + 1, H, u)] = gate(1) * c[at(t, H, u)] + gate(0) * gate(2);
                now = gate(3) * std::tanh(c[at(t + 1, H, u)]);
            } else if (p.kind == Kind::gru) {
                gate(0) = squash(x(t, u) + product(t, 0, u));
                gate(1) = squash(x(t, H + u) + product(t, 1, u));
                gate(3) = product(t, 2, u) + p.bias[u];
                gate(2) = std::tanh(x(t, 2 * H + u) + gate(0) * gate(3));
                now = gate(2) + gate(1) * (before - gate(2));
            } else {
                const double sum = x(t, u) + product(t, 0, u);
                now = p.kind == Kind::tanh_rnn ? std::tanh(sum) : std::max(sum, 0.0);
            }
        }
    }

    void backward(int64_t t) {
        std::vector<double> before(size(1, H), 0);
        const int64_t place = p.layout.at().place(t, r);
        for (int64_t u = 0; u < H; ++u) {
            const auto gate = [&](int64_t g) { return gates[at(t, W, g * H + u)]; };
            const auto d = [&](int64_t g) -> double& { return d_gates[at(t, W, g * H + u)]; };
            const double here = d_h[size(u, 1)] + p.d_outputs[place * H + u], now = h[at(t + 1, H, u)];
            if (p.kind == Kind::lstm) {
                const double i = gate(0), f = gate(1), g = gate(2), o = gate(3), read = std::tanh(c[at(t + 1, H, u)]);
                const double d_memory = d_c[size(u, 1)] + here * o * (1 - read * read);
                d(0) = d_memory * g * i * (1 - i);
                d(1) = d_memory * c[at(t, H, u)] * f * (1 - f);
                d(2) = d_memory * i * (1 - g * g);
                d(3) = here * read * o * (1 - o);
                d_c[size(u, 1)] = d_memory * f;
            } else if (p.kind == Kind::gru) {
                const double reset = gate(0), z = gate(1), n = gate(2), old = h[at(t, H, u)];
                d(2) = here * (1 - z) * (1 - n * n);
                d(0) = d(2) * gate(3) * reset * (1 - reset);
                d(1) = here * (old - n) * z * (1 - z);
                d(3) = d(2) * reset;
                before[size(u, 1)] = here * z;
            } else {
                d(0) = p.kind == Kind::tanh_rnn ? here * (1 - now * now) : now > 0 ? here : 0;
            }
        }
        for (int64_t gate = 0; gate < product_gates_of(p.kind); ++gate) {
            const int64_t column = p.kind == Kind::gru && gate == 2 ? 3 : gate;
            for (int64_t u = 0; u < H; ++u) {
                const double d = d_gates[at(t, W, column * H + u)];
                for (int64_t k = 0; k < H; ++k) before[size(k, 1)] += d * p.weight[(gate * H + u) * H + k] * mask(k);
            }
        }
        d_h = before;
    }

    const Problem<S>& p;
    int64_t r, H, T, W;
};

template <class S>
bool all_near(const S* got, const double* truth, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        if (!near(got[i], truth[i])) return false;
    }
    return true;
}

template <class S>
void check_truth(const Problem<S>& p, const Result<S>& got, Report& report) {
    const int64_t H = p.hidden, W = gates_of(p.kind) * H;
    const bool simple = W == H, lstm = p.kind == Kind::lstm;
    for (int64_t r = 0; r < p.layout.rows(); ++r) {
        const Truth<S> truth(p, r);
        for (int64_t t = 0; t < p.layout.lengths[static_cast<size_t>(r)]; ++t) {
            const int64_t at = p.layout.at().place(t, r);
            const size_t after = truth.at(t + 1, H, 0), gate = truth.at(t, W, 0);
            report.that(all_near(got.outputs.data() + at * H, &truth.h[after], H), "outputs");
            if (lstm) report.that(all_near(got.cells.data() + at * H, &truth.c[after], H), "cells");
            if (!simple) report.that(all_near(got.gates.data() + at * W, &truth.gates[gate], W), "gates");
            report.that(all_near(got.d_gates.data() + at * W, &truth.d_gates[gate], W), "gradients of the gates");
        }
        report.that(all_near(got.d_h.data() + r * H, truth.d_h.data(), H), "gradient of h0");
        if (lstm) report.that(all_near(got.d_c.data() + r * H, truth.d_c.data(), H), "gradient of c0");
    }
}

// Whether row r of one result is row other_r of another, bit by bit.
template <class S>
bool same_row(const Problem<S>& p, const Result<S>& a, int64_t r, const Problem<S>& q, const Result<S>& b,
              int64_t other_r) {
    const int64_t H = p.hidden, W = gates_of(p.kind) * H;
    bool same = true;
    const auto compare = [&](const Exact<S>& one, const Exact<S>& other, int64_t i, int64_t j, int64_t width) {
        if (one.size() && other.size()) same &= same_bits(one.data() + i * width, other.data() + j * width, width);
    };
    const bool keep = a.keep && b.keep;
    for (int64_t t = 0; t < p.layout.lengths[static_cast<size_t>(r)]; ++t) {
        const int64_t i = p.layout.at().place(t, r), j = q.layout.at().place(t, other_r);
        compare(a.outputs, b.outputs, i, j, H);
        if (!keep) continue;
        compare(a.cells, b.cells, i, j, H);
        compare(a.gates, b.gates, i, j, W);
        compare(a.d_gates, b.d_gates, i, j, W);
    }
    if (!a.keep && !b.keep) compare(a.cells, b.cells, r, other_r, H);
    if (!keep) return same;
    compare(a.d_h, b.d_h, r, other_r, H);
    compare(a.d_c, b.d_c, r, other_r, H);
    return same;
}

template <class S>
void check_bits(const Kernels<S>& kernels, const Problem<S>& p, const Result<S>& whole, Report& report) {
    const int64_t R = p.layout.rows();
    const auto against = [&](const Problem<S>& q, const Result<S>& other, const char* what) {
        for (int64_t r = 0; r < R; ++r) report.that(same_row(p, whole, r, q, other, r), what);
    };
    against(p, run(kernels, p, 1, false, false), "bits without keeping");
    const auto last = run(kernels, p, 2, true, false);
    for (int64_t r = 0; r < R; ++r) {
        const Problem<S> one = p.alone(r);
        report.that(same_row(p, whole, r, one, run(kernels, one, 1, false, true), 0), "bits of a row by itself");
        report.that(same_row(p, last, r, one, run(kernels, one, 1, false, false), 0), "bits by units, not kept");
    }
    against(p, run(kernels, p, 2, false, true), "bits in two parts of the rows");
    against(p, run(kernels, p, 2, true, true), "bits in two parts of the units");
}

template <class S>
void check_nan(const Kernels<S>& kernels, Problem<S> p, const Result<S>& whole, Report& report) {
    const int64_t R = p.layout.rows(), H = p.hidden, W = gates_of(p.kind) * H, row = R / 2;
    const int64_t length = p.layout.lengths[static_cast<size_t>(row)];
    if (length == 0) return;
    for (int64_t u = 0; u < W; ++u) p.x[p.layout.at().place(0, row) * W + u] = nan<S>;
    const auto got = run(kernels, p, 1, false, true);
    for (int64_t r = 0; r < R; ++r) {
        if (r != row) report.that(same_row(p, whole, r, p, got, r), "NaN of another row");
    }
    for (int64_t t = 0; t < length; ++t) {
        for (int64_t u = 0; u < H; ++u) {
            report.that(std::isnan(got.outputs[p.layout.at().place(t, row) * H + u]), "NaN goes on in its own row");
        }
    }
}

template <class S>
void check_case(const Kernels<S>& kernels, const Problem<S>& p, Report& report) {
    const auto whole = run(kernels, p, 1, false, true);
    check_truth(p, whole, report);
    check_bits(kernels, p, whole, report);
    check_nan(kernels, p, whole, report);
}

template <class S>
void check_all(const InstructionSet& set, Report& report) {
    const char* names[] = {"tanh", "relu", "lstm", "gru"};
    const int64_t sizes[][3] = {{1, 1, 1},  {1, 3, 5},  {7, 1, 5},  {7, 3, 1},  {7, 3, 5},   {33, 1, 1},
                                {33, 3, 5}, {33, 1, 5}, {33, 20, 4}, {64, 1, 5}, {64, 3, 5}, {64, 3, 1}};
    uint64_t seed = 0;
    for (const auto& [hidden, rows, steps] : sizes) {
        for (int kind = 0; kind < 4; ++kind) {
            for (int flags = 0; flags < 8; ++flags) {
                const bool ragged = flags & 1, masked = flags & 2, apart = flags & 4;
                report.where = std::string(set.name) + (sizeof(S) == 4 ? " single " : " double ") + names[kind] +
                               " H" + std::to_string(hidden) + " R" + std::to_string(rows) + " T" +
                               std::to_string(steps) + (ragged ? " ragged" : "") + (masked ? " masked" : "") +
                               (apart ? " rows apart" : "");
                const Ragged layout(lengths_of(rows, steps, ragged), apart);
                check_case(set.of<S>(), Problem<S>(static_cast<Kind>(kind), hidden, layout, masked, ++seed), report);
            }
        }
    }
}

}  // namespace

void check_recurrences(const InstructionSet& set, Report& report) {
    check_all<float>(set, report);
    check_all<double>(set, report);
}

}  // namespace check
}  // namespace rekur
