// The simple recurrent network, LSTM, GRU and sLSTM, forward and backward, whole batches and ragged ones, in parts and
// alone; of all but the sLSTM, which Python's tests compare, also against plain loops.
#include <algorithm>

#include "check.h"

namespace rekur {
namespace check {
namespace {

int64_t gates_of(Kind kind) { return kind == Kind::tanh_rnn || kind == Kind::relu_rnn ? 1 : 4; }
int64_t product_gates_of(Kind kind) { return kind == Kind::gru ? 3 : gates_of(kind); }
int64_t cells_of(Kind kind) { return kind == Kind::lstm ? 1 : kind == Kind::slstm ? 3 : 0; }

// What a scan and its gradients are made of: rows of falling length, padded, each read forwards or backwards.
template <class S>
struct Problem {
    Kind kind;
    int64_t hidden, heads, input, chunk;
    Ragged layout;
    bool masked, reverse;
    Exact<S> weight_x, bias_x, weight, bias, h0, mask, c0, x, d_outputs, d_last, d_c;
    Exact<int64_t> lengths;

    Problem(Kind of, int64_t size, int64_t inputs, int64_t some, Ragged rows, bool with_mask, bool backwards,
            uint64_t seed)
        : kind(of), hidden(size), heads(of == Kind::slstm && size % 3 == 0 ? 3 : 1), input(inputs), chunk(some), layout(std::move(rows)), masked(with_mask),
          reverse(backwards) {
        Random random(seed);
        const int64_t H = hidden, R = layout.rows(), G = product_gates_of(kind) * H, steps = layout.steps;
        weight_x = random.array<S>(G * input, 1.5 / std::sqrt(static_cast<double>(input)));
        bias_x = random.array<S>(G);
        weight = random.array<S>(G * (H / heads), 1.5 / std::sqrt(static_cast<double>(H)));
        bias = random.array<S>(kind == Kind::gru ? H : 0);
        h0 = random.array<S>(R * H);
        mask = random.array<S>(masked ? R * H : 0, 2);
        c0 = random.array<S>(R * cells_of(kind) * H);
        for (int64_t i = 0; i < c0.size() && kind == Kind::slstm; ++i) c0[i] = 1 + c0[i] * c0[i];
        x = random.array<S>(R * steps * input, 2);
        d_outputs = random.array<S>(R * steps * H);
        d_last = random.array<S>(R * H);
        d_c = random.array<S>(R * cells_of(kind) * H);
        count();
    }

    void count() {
        lengths = Exact<int64_t>(layout.rows());
        for (int64_t r = 0; r < layout.rows(); ++r) lengths[r] = layout.lengths[static_cast<size_t>(r)];
    }

    // Where step t of row r stands, in the order in which it is read.
    int64_t place(int64_t t, int64_t r) const {
        const int64_t length = layout.lengths[static_cast<size_t>(r)];
        return r * layout.steps + (reverse ? length - 1 - t : t);
    }

    // One row by itself.
    Problem alone(int64_t r) const {
        Problem one = *this;
        one.layout = Ragged({layout.lengths[static_cast<size_t>(r)]}, false);
        const auto row = [&](const Exact<S>& from, int64_t width, int64_t wanted) {
            Exact<S> to(from.size() ? wanted : 0);
            if (to.size()) std::memcpy(to.data(), from.data() + r * width, to.bytes());
            return to;
        };
        const int64_t H = hidden, Q = cells_of(kind) * H, T = layout.steps, own = one.layout.steps;
        one.h0 = row(h0, H, H), one.mask = row(mask, H, H), one.c0 = row(c0, Q, Q), one.d_c = row(d_c, Q, Q);
        one.d_last = row(d_last, H, H);
        one.x = row(x, T * input, own * input), one.d_outputs = row(d_outputs, T * H, own * H);
        one.count();
        return one;
    }
};

// Where rows of a padded array begin.
struct Begins {
    Exact<int64_t> row;
    Walk walk;

    template <class S>
    Begins(const Problem<S>& p, int64_t width) : row(p.layout.rows()) {
        for (int64_t r = 0; r < p.layout.rows(); ++r) {
            const int64_t length = p.lengths[r];
            row[r] = (r * p.layout.steps + (p.reverse && length > 0 ? length - 1 : 0)) * width;
        }
        walk = Walk{nullptr, row.data(), p.reverse ? -width : width, 0};
    }
};

// What comes out.
template <class S>
struct Result {
    Exact<S> gates, outputs, cells, d_x, d_h, d_c, d_mask, weights;
    bool keep;
};

template <class S>
Exact<S> packed(const Packing& how, const Exact<S>& weight) {
    Exact<S> to(how.size());
    pack(how, weight.data(), to.data());
    return to;
}

// The recurrent weights as each pass takes them, one head's after another's: forwards the rows of all gates side by
// side, backwards transposed.
template <class S>
Exact<S> packed_heads(const Kernels<S>& kernels, const Problem<S>& p, bool back) {
    const int64_t gates = product_gates_of(p.kind), size = p.hidden / p.heads, block = size * size;
    const int units = gates == 1 ? kernels.forward_units : 1;
    const Packing how = back ? Packing{1, size, gates * size, 1, size, kernels.panel, kernels.lanes}
                             : Packing{gates, size, size, size, 1, units, kernels.lanes};
    Exact<S> to(p.heads * how.size()), own(gates * block);
    for (int64_t head = 0; head < p.heads; ++head) {
        for (int64_t gate = 0; gate < gates; ++gate) {
            std::memcpy(own.data() + gate * block, p.weight.data() + (gate * p.heads + head) * block,
                        static_cast<size_t>(block) * sizeof(S));
        }
        pack(how, own.data(), to.data() + head * how.size());
    }
    return to;
}

// The input weights of all heads' units.
template <class S>
Exact<S> packed_inputs(const Kernels<S>& kernels, const Problem<S>& p) {
    const int64_t gates = product_gates_of(p.kind), size = p.hidden / p.heads;
    const int units = gates == 1 ? kernels.forward_units : 1;
    const Packing how{gates, size, p.input, p.input, 1, units, kernels.lanes, p.hidden};
    Exact<S> to(p.heads * how.size());
    for (int64_t head = 0; head < p.heads; ++head) {
        pack(how, p.weight_x.data() + head * size * p.input, to.data() + head * how.size());
    }
    return to;
}

template <class S>
void run_back(const Kernels<S>& kernels, const Problem<S>& p, int parts, bool by_units, Result<S>& to) {
    const int64_t H = p.hidden, R = p.layout.rows(), gates = product_gates_of(p.kind), G = gates_of(p.kind) * H;
    const Begins of_y(p, H), of_x(p, p.input);
    const auto weight = packed_heads(kernels, p, true);
    const auto weight_x = packed(Packing{1, p.input, gates * H, 1, p.input, kernels.panel, kernels.lanes}, p.weight_x);
    const int64_t shared = by_units ? 1 : parts, rows = by_units ? R : (R + parts - 1) / parts;
    const Sums shape(G, p.input, H / p.heads, kernels.lanes);
    const int64_t width = G + 3, some = parts * Gradients<S>::samples_at_once;
    Exact<S> d(shared * (p.chunk + 1) * rows * width), left(some * width), right(shared * Gradients<S>::samples_at_once * shape.right(p.heads));
    Exact<S> sums(shared * shape.size(), nan<S>);
    Exact<int64_t> places(parts * 2 * p.chunk * rows);
    RecurrenceBack<S> a{};
    a.at = p.layout.at();
    a.out = of_y.walk, a.d_out = of_y.walk;
    a.hidden = H, a.heads = p.heads, a.chunk = p.chunk;
    a.weight = weight.data();
    a.h0 = p.h0.data(), a.c0 = p.c0.or_null(), a.mask = p.mask.or_null();
    a.gates = to.gates.or_null(), a.outputs = to.outputs.data(), a.cells = to.cells.or_null();
    a.d_outputs = p.d_outputs.data(), a.d_last = p.d_last.data();
    a.d_h = to.d_h.data(), a.d_c = to.d_c.or_null(), a.d_mask = to.d_mask.or_null();
    Gradients<S> g{};
    g.x = p.x.data(), g.x_at = of_x.walk, g.d_x_at = of_x.walk, g.input = p.input;
    g.weight_x = weight_x.data(), g.d_x = to.d_x.data();
    g.rows = rows, g.width = width, g.d = d.data(), g.places = places.data();
    g.left = p.chunk % 2 ? left.data() : nullptr;
    g.right = right.data(), g.sums = sums.data();
    in_parts(parts, by_units, [&](const Share& share) { kernels.backward(p.kind, a, g, share); });
    to.weights = Exact<S>(shape.size());
    for (int64_t part = 0; part < shared; ++part) {
        for (int64_t i = 0; i < shape.totals() + shape.rows; ++i) to.weights[i] += sums[part * shape.size() + i];
    }
}

template <class S>
Result<S> run(const Kernels<S>& kernels, const Problem<S>& p, int parts, bool by_units, bool keep) {
    const int64_t H = p.hidden, R = p.layout.rows(), gates = product_gates_of(p.kind), G = gates_of(p.kind) * H;
    const int64_t Q = cells_of(p.kind) * H;
    const bool simple = gates == 1;
    const int64_t places = keep ? p.layout.places : p.chunk * R, padded = R * p.layout.steps;
    Result<S> to{Exact<S>(simple ? 0 : places * G), Exact<S>(padded * H),
                 keep ? Exact<S>(p.layout.places * Q) : p.c0, Exact<S>(padded * p.input), Exact<S>(R * H), p.d_c,
                 Exact<S>(p.masked ? R * H : 0), {}, keep};
    const Begins of_y(p, H), of_x(p, p.input);
    const auto weight = packed_heads(kernels, p, false), weight_x = packed_inputs(kernels, p);
    Exact<S> seen(2 * R * H);
    Exact<int64_t> ring(p.layout.steps);
    for (int64_t t = 0; t < p.layout.steps; ++t) ring[t] = t % p.chunk * R;
    Recurrence<S> a{};
    a.at = p.layout.at();
    if (!keep) a.at.first = ring.data();
    a.out = of_y.walk;
    a.hidden = H, a.heads = p.heads, a.chunk = p.chunk;
    a.lengths = p.lengths.data();
    a.x = p.x.data(), a.x_at = of_x.walk, a.input = p.input;
    a.weight_x = weight_x.data(), a.bias_x = p.bias_x.data();
    a.weight = weight.data(), a.bias = p.bias.or_null();
    a.h0 = p.h0.data(), a.mask = p.mask.or_null(), a.c0 = p.c0.or_null();
    a.gates = to.gates.or_null(), a.outputs = to.outputs.data(), a.cells = to.cells.or_null();
    a.seen = seen.data(), a.keep = keep;
    Exact<S> last = p.c0;
    if (p.kind == Kind::slstm) a.memory = (keep ? last.data() : to.cells.data()) + 2 * H;
    in_parts(parts, by_units, [&](const Share& share) { kernels.forward(p.kind, a, share); });
    if (keep) run_back(kernels, p, parts, by_units, to);
    return to;
}

// One row in double precision, unit by unit; what it adds to the gradients of the weights and biases goes to `weights`:
// for each gate the inputs', the states' and the total.
template <class S>
class Truth {
public:
    Truth(const Problem<S>& problem, int64_t row, std::vector<double>& weights)
        : p(problem), r(row), H(p.hidden), I(p.input), T(p.lengths[row]), W(gates_of(p.kind) * H), sums(weights) {
        h.assign(size(T + 1, H), 0), c = h, gates.assign(size(T, W), 0), d_gates = gates;
        d_x.assign(size(T, I), 0), d_mask.assign(size(1, H), 0);
        for (int64_t u = 0; u < H; ++u) {
            h[at(0, H, u)] = p.h0[r * H + u];
            if (p.kind == Kind::lstm) c[at(0, H, u)] = p.c0[r * H + u];
        }
        for (int64_t t = 0; t < T; ++t) forward(t);
        d_h.assign(size(1, H), 0), d_c = d_h;
        for (int64_t u = 0; u < H && T > 0; ++u) d_h[size(u, 1)] = p.d_last[r * H + u];
        for (int64_t u = 0; u < H && p.kind == Kind::lstm; ++u) d_c[size(u, 1)] = p.d_c[r * H + u];
        for (int64_t t = T - 1; t >= 0; --t) backward(t);
    }

    std::vector<double> h, c, gates, d_gates, d_x, d_h, d_c, d_mask;  // h and c from the initial ones on

    static size_t at(int64_t t, int64_t width, int64_t u) { return static_cast<size_t>(t * width + u); }

private:
    static size_t size(int64_t steps, int64_t width) { return static_cast<size_t>(steps * width); }
    double mask(int64_t u) const { return p.masked ? p.mask[r * H + u] : 1; }

    // what the inputs give to a gate
    double x(int64_t t, int64_t gate, int64_t u) const {
        double sum = p.bias_x[gate * H + u];
        for (int64_t k = 0; k < I; ++k) sum += p.weight_x[(gate * H + u) * I + k] * p.x[p.place(t, r) * I + k];
        return sum;
    }

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
                    const double sum = x(t, g, u) + product(t, g, u);
                    gate(g) = g == 2 ? std::tanh(sum) : squash(sum);
                }
                c[at(t + 1, H, u)] = gate(1) * c[at(t, H, u)] + gate(0) * gate(2);
                now = gate(3) * std::tanh(c[at(t + 1, H, u)]);
            } else if (p.kind == Kind::gru) {
                gate(0) = squash(x(t, 0, u) + product(t, 0, u));
                gate(1) = squash(x(t, 1, u) + product(t, 1, u));
                gate(3) = product(t, 2, u) + p.bias[u];
                gate(2) = std::tanh(x(t, 2, u) + gate(0) * gate(3));
                now = gate(2) + gate(1) * (before - gate(2));
            } else {
                const double sum = x(t, 0, u) + product(t, 0, u);
                now = p.kind == Kind::tanh_rnn ? std::tanh(sum) : std::max(sum, 0.0);
            }
        }
    }

    void backward(int64_t t) {
        std::vector<double> before(size(1, H), 0);
        const int64_t place = p.place(t, r);
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
        for (int64_t row = 0; row < W; ++row) give(t, row, before);
        d_h = before;
    }

    // One gate's gradient to what it was made of; a GRU's n has no product with the state, its m none with the input.
    void give(int64_t t, int64_t row, std::vector<double>& before) {
        const bool gru = p.kind == Kind::gru, input = !gru || row < 3 * H, state = !gru || row / H != 2;
        const double d = d_gates[at(t, W, row)];
        double* sum = sums.data() + row * (I + H + 1);
        sum[I + H] += d;
        for (int64_t k = 0; input && k < I; ++k) {
            d_x[at(t, I, k)] += d * p.weight_x[row * I + k];
            sum[k] += d * p.x[p.place(t, r) * I + k];
        }
        for (int64_t k = 0; state && k < H; ++k) {
            const double back = d * p.weight[(gru && row >= 3 * H ? row - H : row) * H + k], old = h[at(t, H, k)];
            before[size(k, 1)] += back * mask(k);
            d_mask[size(k, 1)] += back * old;
            sum[I + k] += d * old * mask(k);
        }
    }

    const Problem<S>& p;
    int64_t r, H, I, T, W;
    std::vector<double>& sums;
};

template <class S>
bool all_near(const S* got, const double* truth, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        if (!near(got[i], truth[i])) return false;
    }
    return true;
}

template <class S>
void check_truth(const Kernels<S>& kernels, const Problem<S>& p, const Result<S>& got, Report& report) {
    const int64_t H = p.hidden, I = p.input, W = gates_of(p.kind) * H;
    const bool simple = W == H, lstm = p.kind == Kind::lstm;
    std::vector<double> weights(static_cast<size_t>(W * (I + H + 1)), 0);
    for (int64_t r = 0; r < p.layout.rows(); ++r) {
        const Truth<S> truth(p, r, weights);
        for (int64_t t = 0; t < p.lengths[r]; ++t) {
            const int64_t at = p.layout.at().place(t, r), place = p.place(t, r);
            const size_t after = truth.at(t + 1, H, 0), gate = truth.at(t, W, 0);
            report.that(all_near(got.outputs.data() + place * H, &truth.h[after], H), "outputs");
            if (lstm) report.that(all_near(got.cells.data() + at * H, &truth.c[after], H), "cells");
            if (!simple) report.that(all_near(got.gates.data() + at * W, &truth.gates[gate], W), "gates");
            report.that(all_near(got.d_x.data() + place * I, &truth.d_x[truth.at(t, I, 0)], I), "gradient of x");
        }
        if (p.lengths[r] > 0) report.that(all_near(got.d_h.data() + r * H, truth.d_h.data(), H), "gradient of h0");
        if (lstm) report.that(all_near(got.d_c.data() + r * H, truth.d_c.data(), H), "gradient of c0");
        if (p.masked) report.that(all_near(got.d_mask.data() + r * H, truth.d_mask.data(), H), "gradient of mask");
    }
    const Sums shape(W, I, H, kernels.lanes);
    for (int64_t row = 0; row < W; ++row) {
        const double* truth = weights.data() + row * (I + H + 1);
        const bool gru = p.kind == Kind::gru;
        const S* sums = got.weights.data() + row * shape.width;
        if (!gru || row < 3 * H) report.that(all_near(sums, truth, I), "gradient of the input weights");
        if (!gru || row / H != 2) report.that(all_near(sums + shape.input, truth + I, H), "gradient of the weights");
        report.that(all_near(got.weights.data() + shape.totals() + row, truth + I + H, 1), "gradient of the biases");
    }
}

// Whether row r of one result is row other_r of another, bit by bit.
template <class S>
bool same_row(const Problem<S>& p, const Result<S>& a, int64_t r, const Problem<S>& q, const Result<S>& b,
              int64_t other_r) {
    const int64_t H = p.hidden, W = gates_of(p.kind) * H, Q = cells_of(p.kind) * H;
    bool same = true;
    const auto compare = [&](const Exact<S>& one, const Exact<S>& other, int64_t i, int64_t j, int64_t width) {
        if (one.size() && other.size()) same &= same_bits(one.data() + i * width, other.data() + j * width, width);
    };
    const bool keep = a.keep && b.keep;
    for (int64_t t = 0; t < p.lengths[r]; ++t) {
        compare(a.outputs, b.outputs, p.place(t, r), q.place(t, other_r), H);
        if (!keep) continue;
        const int64_t i = p.layout.at().place(t, r), j = q.layout.at().place(t, other_r);
        compare(a.cells, b.cells, i, j, Q);
        compare(a.gates, b.gates, i, j, W);
        compare(a.d_x, b.d_x, p.place(t, r), q.place(t, other_r), p.input);
    }
    if (!a.keep && !b.keep) compare(a.cells, b.cells, r, other_r, Q);
    if (!keep) return same;
    compare(a.d_h, b.d_h, r, other_r, H);
    compare(a.d_c, b.d_c, r, other_r, Q);
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
        if (p.lengths[r] == 0) continue;
        const Problem<S> one = p.alone(r);
        report.that(same_row(p, whole, r, one, run(kernels, one, 1, false, true), 0), "bits of a row by itself");
        report.that(same_row(p, last, r, one, run(kernels, one, 1, false, false), 0), "bits by units, not kept");
    }
    against(p, run(kernels, p, 2, false, true), "bits in two parts of the rows");
    against(p, run(kernels, p, 2, true, true), "bits in two parts of the units");
}

template <class S>
void check_nan(const Kernels<S>& kernels, Problem<S> p, const Result<S>& whole, Report& report) {
    const int64_t R = p.layout.rows(), H = p.hidden, row = R / 2, length = p.lengths[row];
    if (length == 0) return;
    for (int64_t k = 0; k < p.input; ++k) p.x[p.place(0, row) * p.input + k] = nan<S>;
    const auto got = run(kernels, p, 1, false, true);
    for (int64_t r = 0; r < R; ++r) {
        if (r != row) report.that(same_row(p, whole, r, p, got, r), "NaN of another row");
    }
    for (int64_t t = 0; t < length; ++t) {
        for (int64_t u = 0; u < H; ++u) {
            report.that(std::isnan(got.outputs[p.place(t, row) * H + u]), "NaN goes on in its own row");
        }
    }
}

template <class S>
void check_case(const Kernels<S>& kernels, const Problem<S>& p, Report& report) {
    const auto whole = run(kernels, p, 1, false, true);
    if (p.kind != Kind::slstm) check_truth(kernels, p, whole, report);
    check_bits(kernels, p, whole, report);
    check_nan(kernels, p, whole, report);
}

template <class S>
void check_all(const InstructionSet& set, Report& report) {
    const char* names[] = {"tanh", "relu", "lstm", "gru", "slstm"};
    const int64_t sizes[][3] = {{1, 1, 1},  {1, 3, 5},  {7, 1, 5},  {7, 3, 1},  {7, 3, 5},   {33, 1, 1},
                                {33, 3, 5}, {33, 1, 5}, {33, 20, 4}, {64, 1, 5}, {64, 3, 5}, {64, 3, 1}};
    uint64_t seed = 0;
    for (const auto& [hidden, rows, steps] : sizes) {
        for (int kind = 0; kind < 5; ++kind) {
            for (int flags = 0; flags < 8; ++flags) {
                const bool ragged = flags & 1, masked = flags & 2, reverse = flags & 4;
                const int64_t inputs[] = {1, 5, 16, 33}, input = inputs[(seed + rows) % 4], chunk = 1 + seed % 3;
                report.where = std::string(set.name) + (sizeof(S) == 4 ? " single " : " double ") + names[kind] +
                               " H" + std::to_string(hidden) + " R" + std::to_string(rows) + " T" +
                               std::to_string(steps) + (ragged ? " ragged" : "") + (masked ? " masked" : "") +
                               (reverse ? " reverse" : "");
                const Ragged layout(lengths_of(rows, steps, ragged), false);
                const Problem<S> problem(static_cast<Kind>(kind), hidden, input, chunk, layout, masked, reverse, ++seed);
                check_case(set.of<S>(), problem, report);
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
