// A variant, what it is given, and what plain loops in double precision make of it.
#pragma once

#include "check.h"

namespace rekur {
namespace check {

constexpr double epsilon = 1e-3;

struct VariantCase {
    Equations equations;
    int64_t hidden, outputs;
    Ragged layout;
    bool normalised = false, masked = false, zoned = false, peepholes = false, memory = false, biased = false;
    double rate_h = 0, rate_c = 0;
    int64_t block = 1;

    bool projected() const { return equations == Equations::lstm && (outputs != hidden || peepholes); }
    bool gru() const { return equations == Equations::gru || equations == Equations::gru_reset_before; }
    int64_t gates() const { return equations == Equations::lstm ? 4 : gru() ? 3 : 1; }

    VariantCase alone(int64_t r) const {
        VariantCase one = *this;
        one.layout = Ragged({layout.lengths[static_cast<size_t>(r)]}, false);
        return one;
    }
};

template <class S>
struct VariantData {
    Exact<S> weight, projection, bias_m, peepholes, gain_x, gain_h, bias_x, gain_c, bias_c;
    Exact<S> stay_h, stay_c, h0, mask, c0, raw, d_y, d_c;

    // What belongs to one row.
    VariantData alone(const VariantCase& c, int64_t r) const {
        VariantData one = *this;
        const int64_t H = c.hidden, O = c.outputs, steps = c.layout.lengths[static_cast<size_t>(r)];
        const auto row = [&](Exact<S>& array, int64_t width) {
            if (!array.size()) return;
            Exact<S> to(width);
            std::memcpy(to.data(), array.data() + r * width, to.bytes());
            array = to;
        };
        const auto all_steps = [&](Exact<S>& array, int64_t width) {
            if (!array.size()) return;
            Exact<S> to(steps * width);
            for (int64_t t = 0; t < steps; ++t) {
                const S* from = array.data() + c.layout.at().place(t, r) * width;
                std::memcpy(to.data() + t * width, from, static_cast<size_t>(width) * sizeof(S));
            }
            array = to;
        };
        row(one.h0, O), row(one.mask, O), row(one.c0, H), row(one.d_c, H);
        all_steps(one.stay_h, O), all_steps(one.stay_c, H), all_steps(one.raw, c.gates() * H), all_steps(one.d_y, O);
        return one;
    }
};

template <class S>
VariantData<S> variant_data(const VariantCase& c, uint64_t seed) {
    Random random(seed);
    const int64_t H = c.hidden, O = c.outputs, W = c.gates() * H, R = c.layout.rows(), N = c.layout.places;
    const bool lstm = c.equations == Equations::lstm;
    const auto maybe = [&](bool there, int64_t size) { return random.array<S>(there ? size : 0); };
    VariantData<S> d;
    d.weight = random.array<S>(W * O, 1.5 / std::sqrt(static_cast<double>(O)));
    d.projection = random.array<S>(c.projected() ? O * H : 0, 1.5 / std::sqrt(static_cast<double>(H)));
    d.bias_m = maybe(c.equations == Equations::gru && c.biased, H);
    d.peepholes = maybe(c.peepholes, 3 * H);
    d.gain_x = maybe(c.normalised, W);
    d.gain_h = maybe(c.normalised, W);
    d.bias_x = maybe(c.normalised && c.biased, W);
    d.gain_c = maybe(c.memory, H);
    d.bias_c = maybe(c.memory, H);
    d.stay_h = maybe(c.zoned, N * O);
    d.stay_c = maybe(c.zoned && lstm, N * H);
    for (int64_t i = 0; i < d.stay_h.size(); ++i) d.stay_h[i] = d.stay_h[i] > 0;
    for (int64_t i = 0; i < d.stay_c.size(); ++i) d.stay_c[i] = d.stay_c[i] > 0;
    if (c.zoned && N * O > 0) d.stay_h[0] = 0;  // so that something new is seen
    d.h0 = random.array<S>(R * O);
    d.mask = random.array<S>(c.masked ? R * O : 0, 2);
    d.c0 = maybe(lstm, R * H);
    d.raw = random.array<S>(N * W, 2);
    d.d_y = random.array<S>(N * O);
    d.d_c = maybe(lstm, R * H);
    return d;
}

struct VariantTruth {
    std::vector<double> y, cells;  // as the kernels write them
    double loss = 0;               // Σ y · d_y + Σ last cells · d_c
};

// One row of a variant in double precision.
template <class S>
class VariantRow {
public:
    VariantRow(const VariantCase& the_case, const VariantData<S>& data, int64_t row)
        : c(the_case), d(data), r(row), H(c.hidden), O(c.outputs), W(c.gates() * c.hidden), h(some(O)),
          memory(some(H)) {
        for (int64_t u = 0; u < O; ++u) h[i(u)] = d.h0[r * O + u];
        for (int64_t u = 0; u < H && d.c0.size(); ++u) memory[i(u)] = d.c0[r * H + u];
    }

    void run(VariantTruth& truth) {
        for (int64_t t = 0; t < c.layout.lengths[i(r)]; ++t) {
            const int64_t at = c.layout.at().place(t, r);
            step(at);
            for (int64_t u = 0; u < O; ++u) {
                truth.y[i(at * O + u)] = h[i(u)];
                truth.loss += h[i(u)] * d.d_y[at * O + u];
            }
            for (int64_t u = 0; u < H; ++u) truth.cells[i(at * H + u)] = memory[i(u)];
        }
        for (int64_t u = 0; u < H && d.d_c.size(); ++u) truth.loss += memory[i(u)] * d.d_c[r * H + u];
    }

private:
    using Numbers = std::vector<double>;
    static size_t i(int64_t place) { return static_cast<size_t>(place); }
    static Numbers some(int64_t size) { return Numbers(i(size), 0); }

    static void normalise(Numbers& x, int64_t from, int64_t size) {
        double mean = 0, squares = 0;
        for (int64_t u = from; u < from + size; ++u) mean += x[i(u)] / static_cast<double>(size);
        for (int64_t u = from; u < from + size; ++u) squares += (x[i(u)] - mean) * (x[i(u)] - mean);
        for (int64_t u = from; u < from + size; ++u) {
            x[i(u)] = (x[i(u)] - mean) / std::sqrt(squares / static_cast<double>(size) + epsilon);
        }
    }

    double seen(int64_t k) const { return h[i(k)] * (c.masked ? d.mask[r * O + k] : 1); }

    // The pre-activations; of a GRU n's of the input stand apart, as do the recurrent ones in the sums.
    void sums(int64_t at, Numbers& sum, Numbers& aside) const {
        const bool gru = c.equations == Equations::gru;
        const int64_t together = gru ? 2 * H : W;
        Numbers x = some(W), product = some(W);
        for (int64_t w = 0; w < W; ++w) {
            x[i(w)] = d.raw[at * W + w];
            for (int64_t k = 0; k < O; ++k) product[i(w)] += d.weight[w * O + k] * seen(k);
        }
        if (c.normalised) {
            for (Numbers* both : {&x, &product}) {
                normalise(*both, 0, together);
                if (gru) normalise(*both, together, H);
            }
        }
        for (int64_t w = 0; w < W; ++w) {
            if (c.normalised) {
                x[i(w)] = x[i(w)] * d.gain_x[w] + (d.bias_x.size() ? d.bias_x[w] : 0);
                product[i(w)] *= d.gain_h[w];
            }
            if (w < together) {
                sum[i(w)] = x[i(w)] + product[i(w)];
            } else {
                aside[i(w - together)] = x[i(w)];
                sum[i(w)] = product[i(w)] + (d.bias_m.size() ? d.bias_m[w - together] : 0);
            }
        }
    }

    Numbers lstm(int64_t at, const Numbers& sum) {
        Numbers c_new = some(H), o = some(H), read, hidden = some(H);
        const auto peep = [&](int64_t gate, int64_t u) { return c.peepholes ? d.peepholes[gate * H + u] : 0; };
        for (int64_t u = 0; u < H; ++u) {
            const double old = memory[i(u)], in = squash(sum[i(u)] + peep(0, u) * old);
            const double forget = squash(sum[i(H + u)] + peep(1, u) * old);
            c_new[i(u)] = forget * old + in * std::tanh(sum[i(2 * H + u)]);
            o[i(u)] = squash(sum[i(3 * H + u)] + peep(2, u) * c_new[i(u)]);
            memory[i(u)] = zoned(d.stay_c, c.rate_c, at * H + u, old, c_new[i(u)]);
        }
        read = c_new;
        if (c.memory) normalise(read, 0, H);
        for (int64_t u = 0; u < H; ++u) {
            if (c.memory) read[i(u)] = read[i(u)] * d.gain_c[u] + d.bias_c[u];
            hidden[i(u)] = o[i(u)] * std::tanh(read[i(u)]);
        }
        if (!c.projected()) return hidden;
        Numbers projected = some(O);
        for (int64_t u = 0; u < O; ++u) {
            for (int64_t k = 0; k < H; ++k) projected[i(u)] += d.projection[u * H + k] * hidden[i(k)];
        }
        return projected;
    }

    Numbers gru(int64_t at, const Numbers& sum, const Numbers& aside) const {
        Numbers fresh = some(H);
        const auto gate = [&](int64_t g, int64_t u) { return squash(sum[i(g * H + u)]); };
        for (int64_t u = 0; u < H; ++u) {
            double n = aside[i(u)] + gate(0, u) * sum[i(2 * H + u)];
            if (c.equations == Equations::gru_reset_before) {
                n = d.raw[at * W + 2 * H + u];
                for (int64_t k = 0; k < H; ++k) n += d.weight[(2 * H + u) * O + k] * gate(0, k) * seen(k);
            }
            fresh[i(u)] = std::tanh(n) + gate(1, u) * (h[i(u)] - std::tanh(n));
        }
        return fresh;
    }

    double zoned(const Exact<S>& stay, double rate, int64_t place, double old, double now) const {
        const double share = stay.size() ? static_cast<double>(stay[place]) : rate;
        return share * old + (1 - share) * now;
    }

    void step(int64_t at) {
        Numbers sum = some(W), aside = some(H), fresh = some(O);
        sums(at, sum, aside);
        if (c.equations == Equations::lstm) {
            fresh = lstm(at, sum);
        } else if (c.gru()) {
            fresh = gru(at, sum, aside);
        } else {
            const bool is_tanh = c.equations == Equations::tanh_rnn;
            for (int64_t u = 0; u < H; ++u) fresh[i(u)] = is_tanh ? std::tanh(sum[i(u)]) : std::max(sum[i(u)], 0.0);
        }
        for (int64_t u = 0; u < O; ++u) h[i(u)] = zoned(d.stay_h, c.rate_h, at * O + u, h[i(u)], fresh[i(u)]);
    }

    const VariantCase& c;
    const VariantData<S>& d;
    int64_t r, H, O, W;
    Numbers h, memory;
};

template <class S>
VariantTruth variant_truth(const VariantCase& c, const VariantData<S>& d) {
    VariantTruth truth;
    truth.y.assign(static_cast<size_t>(c.layout.places * c.outputs), 0);
    truth.cells.assign(static_cast<size_t>(c.layout.places * c.hidden), 0);
    for (int64_t r = 0; r < c.layout.rows(); ++r) VariantRow<S>(c, d, r).run(truth);
    return truth;
}

}  // namespace check
}  // namespace rekur
