// The scans that are linear in their state, compiled once for every instruction set like isa.cpp.
#include "linear.h"

#include <limits>

#include "activations.h"
#include "drive.h"

namespace rekur {
namespace REKUR_ISA {
namespace {

// The output before step t.
template <class S>
REKUR_INLINE const S* output_before(const Linear<S>& a, int64_t t, int64_t row) {
    return t > 0 ? a.outputs + a.at.place(t - 1, row) * a.hidden : a.h0 + row * a.hidden;
}

template <class S>
struct Pair {
    Vec<S> a, b;
};

// One vector of units at one place: where its numbers stand, and how many there are.
template <class S>
struct Spot {
    const S* gates;
    const S* value;
    const S* decay;
    S* d_gates;
    S* d_value;
    S* d_decay;
    int64_t hidden;  // from one gate to the next
    int count;

    Vec<S> gate(int k) const { return load(gates + k * hidden, count); }
    void gate_gradient(int k, Vec<S> d) const { store(d_gates + k * hidden, d, count); }
    Vec<S> input() const { return load(value, count); }
    void input_gradient(Vec<S> d) const { store(d_value, d, count); }
};

// Each form: the a and b of a step; and backward from d, all that reaches its h, to its inputs, giving a.
struct Plain {
    template <class S>
    static Pair<S> pair(const Spot<S>& at) {
        return {at.gate(0), at.input()};
    }

    template <class S>
    static Vec<S> back(const Spot<S>& at, Vec<S> d, Vec<S> before) {
        at.gate_gradient(0, d * before);
        at.input_gradient(d);
        return at.gate(0);
    }
};

// a = 1 - z, b = z h~
struct MinGru {
    template <class S>
    static Pair<S> pair(const Spot<S>& at) {
        const Both<Vec<S>> z = both_sigmoids(at.gate(0));
        return {z.shut, z.open * at.input()};
    }

    template <class S>
    static Vec<S> back(const Spot<S>& at, Vec<S> d, Vec<S> before) {
        const Both<Vec<S>> z = both_sigmoids(at.gate(0));
        at.gate_gradient(0, d * (at.input() - before) * z.open * z.shut);
        at.input_gradient(d * z.open);
        return z.shut;
    }
};

// a = f / (f + i), b = i h~ / (f + i). Both gates are divided by e^min(., 0) of the larger, so that none is 0 / 0.
struct MinLstm {
    template <class S>
    struct Shares {
        Both<Vec<S>> forget, write;
        Vec<S> keep, take;
    };

    template <class S>
    static Shares<S> shares(const Spot<S>& at) {
        const Vec<S> f = at.gate(0), i = at.gate(1);
        const Both<Vec<S>> forget = both_sigmoids(f), write = both_sigmoids(i);
        const Vec<S> apart = (f < 0 ? f : Vec<S>{}) - (i < 0 ? i : Vec<S>{}), ratio = exp_negative(-magnitude(apart));
        Vec<S> keep = 1 + write.small, take = 1 + forget.small;
        keep = apart < 0 ? keep * ratio : keep;
        take = apart < 0 ? take : take * ratio;
        const Vec<S> scale = reciprocal(keep + take);
        return {forget, write, keep * scale, take * scale};
    }

    template <class S>
    static Pair<S> pair(const Spot<S>& at) {
        const Shares<S> s = shares(at);
        return {s.keep, s.take * at.input()};
    }

    template <class S>
    static Vec<S> back(const Spot<S>& at, Vec<S> d, Vec<S> before) {
        const Shares<S> s = shares(at);
        const Vec<S> d_ratio = d * (before - at.input()) * s.keep * s.take;
        at.gate_gradient(0, d_ratio * s.forget.shut);
        at.gate_gradient(1, -d_ratio * s.write.shut);
        at.input_gradient(d * s.take);
        return s.keep;
    }
};

// log a = r decay, b = sqrt(1 - a^2) i v
struct RgLru {
    template <class S>
    struct Parts {
        Vec<S> r, i, decay, a, left, scale;
    };

    template <class S>
    static Parts<S> parts(const Spot<S>& at) {
        Parts<S> p;
        p.r = sigmoid(at.gate(0));
        p.i = sigmoid(at.gate(1));
        p.decay = load(at.decay, at.count);
        const Vec<S> lost = expm1_negative(p.r * p.decay);  // a - 1
        p.a = 1 + lost;
        p.left = -lost * (2 + lost);
        const Vec<S> least = all(std::numeric_limits<S>::min());
        p.scale = square_root(p.left < least ? least : p.left);
        return p;
    }

    template <class S>
    static Pair<S> pair(const Spot<S>& at) {
        const Parts<S> p = parts(at);
        return {p.a, p.scale * (p.i * at.input())};
    }

    template <class S>
    static Vec<S> back(const Spot<S>& at, Vec<S> d, Vec<S> before) {
        const Parts<S> p = parts(at);
        const Vec<S> v = at.input(), least = all(std::numeric_limits<S>::min());
        const Vec<S> slope = p.left < least ? Vec<S>{} : p.a / p.scale;  // a gate shut to the last digit has none
        const Vec<S> d_log = d * p.a * (before - slope * (p.i * v));
        at.gate_gradient(0, d_log * p.decay * p.r * (1 - p.r));
        at.gate_gradient(1, d * p.scale * v * p.i * (1 - p.i));
        at.input_gradient(d * p.scale * p.i);
        store(at.d_decay, load(at.d_decay, at.count) + d_log * p.r, at.count);
        return p.a;
    }
};

// Calls step(t, row) for all steps of this part, in order: where rows lie side by side all rows of a step, and where
// the steps of a row do, row after row.
template <class S, class F>
REKUR_INLINE void in_order(const Linear<S>& a, const Share& share, bool back, F&& step) {
    const int64_t all_mine = share.rows(a.at, a.at.rows).count, T = a.at.steps;
    const int64_t block = a.at.stride == 1 ? all_mine : 1;
    for (int64_t from = 0; from < all_mine; from += block) {
        for (int64_t s = 0; s < T; ++s) {
            const int64_t t = back ? T - 1 - s : s;
            const Share::Rows mine = share.rows(a.at, a.at.active[t]);
            const int64_t to = from + block < mine.count ? from + block : mine.count;
            for (int64_t i = from; i < to; ++i) step(t, mine.row(i));
        }
    }
}

template <class S>
Share::Range units_of(const Linear<S>& a, const Share& share) {
    const Share::Range range = share.panels(vectors_of(a.hidden, lanes<S>));
    const int64_t end = range.end * lanes<S>;
    return {range.begin * lanes<S>, end < a.hidden ? end : a.hidden};
}

template <class S>
REKUR_INLINE Spot<S> spot_of(const Linear<S>& a, int64_t place, int64_t unit, int64_t end) {
    Spot<S> at{};
    at.gates = a.gates + place * a.gates_stride + unit;
    at.value = a.value + place * a.value_stride + unit;
    if (a.decay) at.decay = a.decay + unit;
    at.hidden = a.hidden;
    at.count = end - unit < lanes<S> ? static_cast<int>(end - unit) : lanes<S>;
    return at;
}

template <class Of, class S>
void forward_as(const Linear<S>& a, const Share& share) {
    const Share::Range units = units_of(a, share);
    in_order(a, share, false, [&](int64_t t, int64_t row) {
        const S* before = output_before(a, t, row);
        const int64_t place = a.at.place(t, row);
        S* to = a.outputs + place * a.hidden;
        const bool is_last = t + 1 == a.at.steps || row >= a.at.active[t + 1];
        for (int64_t u = units.begin; u < units.end; u += lanes<S>) {
            const Spot<S> at = spot_of(a, place, u, units.end);
            const Pair<S> step = Of::pair(at);
            const Vec<S> h = fused(step.a, load(before + u, at.count), step.b);
            store(to + u, h, at.count);
            if (is_last) store(a.last + row * a.hidden + u, h, at.count);
        }
    });
}

template <class Of, class S>
void backward_as(const Linear<S>& a, const Share& share) {
    const Share::Range units = units_of(a, share);
    in_order(a, share, true, [&](int64_t t, int64_t row) {
        const S* before = output_before(a, t, row);
        const int64_t place = a.at.place(t, row);
        for (int64_t u = units.begin; u < units.end; u += lanes<S>) {
            Spot<S> at = spot_of(a, place, u, units.end);
            at.d_gates = a.d_gates + place * a.d_gates_stride + u;
            at.d_value = a.d_value + place * a.d_value_stride + u;
            if (a.d_decay) at.d_decay = a.d_decay + share.part * a.hidden + u;
            S* around = a.d_h + row * a.hidden + u;
            Vec<S> d = load(around, at.count);
            if (a.d_outputs) d += load(a.d_outputs + place * a.hidden + u, at.count);
            store(around, d * Of::back(at, d, load(before + u, at.count)), at.count);
        }
    });
}

}  // namespace

template <class S>
void run_linear(const Linear<S>& a, const Share& share) {
    FlushDenormals flush;
    switch (a.form) {
        case Form::plain: return forward_as<Plain>(a, share);
        case Form::mingru: return forward_as<MinGru>(a, share);
        case Form::minlstm: return forward_as<MinLstm>(a, share);
        case Form::rglru: return forward_as<RgLru>(a, share);
    }
}

template <class S>
void run_linear_back(const Linear<S>& a, const Share& share) {
    FlushDenormals flush;
    switch (a.form) {
        case Form::plain: return backward_as<Plain>(a, share);
        case Form::mingru: return backward_as<MinGru>(a, share);
        case Form::minlstm: return backward_as<MinLstm>(a, share);
        case Form::rglru: return backward_as<RgLru>(a, share);
    }
}

template void run_linear(const Linear<float>&, const Share&);
template void run_linear(const Linear<double>&, const Share&);
template void run_linear_back(const Linear<float>&, const Share&);
template void run_linear_back(const Linear<double>&, const Share&);

}  // namespace REKUR_ISA
}  // namespace rekur
