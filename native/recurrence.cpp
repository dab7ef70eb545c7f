// Recurrences as Python sees them: arrays and numbers come by name, and are checked here; below, nothing is.
#include <cstring>

#include "batch.h"
#include "job.h"
#include "kernels.h"
#include "memory.h"

namespace rekur {
namespace {

int64_t product_gates_of(Kind kind) {
    return kind == Kind::tanh_rnn || kind == Kind::relu_rnn ? 1 : kind == Kind::gru ? 3 : 4;
}
int64_t gates_of(Kind kind) { return kind == Kind::gru ? 4 : product_gates_of(kind); }
int64_t cells_of(Kind kind) { return kind == Kind::slstm ? 3 : kind == Kind::lstm ? 1 : 0; }

Kind kind_of(const std::string& name) {
    const char* names[] = {"tanh", "relu", "lstm", "gru", "slstm"};
    for (int i = 0; i < 5; ++i) {
        if (name == names[i]) return static_cast<Kind>(i);
    }
    throw std::invalid_argument("kind: got '" + name + "'; expected one of tanh, relu, lstm, gru, slstm.");
}

// Steps at a time: so many samples that large products are as fast as they get, and few enough to stay near; whole
// tiles of them.
int64_t chunk_of(int64_t rows, int64_t steps, const Plan& how, int64_t tile = 6) {
    const int64_t own = how.by_units ? rows : (rows + how.parts - 1) / how.parts, wanted = how.by_units ? 384 : 144;
    return std::min(std::max(wanted / own / tile * tile, tile), steps);
}

// What both directions are given.
struct Sizes {
    Kind kind;
    int64_t hidden, heads, head, input, cells;
    int64_t gates, product;  // numbers of the gates of a step that are kept, and of those that come of the products

    Sizes(const Given& given) : kind(kind_of(given.word("kind"))), hidden(given.whole("hidden")) {
        heads = given.has("heads") ? given.whole("heads") : 1;
        if (heads < 1 || hidden < 1 || hidden % heads || (heads > 1 && kind != Kind::slstm)) {
            throw std::invalid_argument("heads: expected a divisor of hidden for an sLSTM, else 1.");
        }
        head = hidden / heads;
        input = given.has("input") ? given.whole("input") : 0;
        cells = cells_of(kind) * hidden;
        gates = gates_of(kind) * hidden;
        product = product_gates_of(kind) * hidden;
    }
};

// Weights that are packed as the job runs, by each part some of the panels.
template <class S>
class Packs {
public:
    // Room for weights that stand like this, to be packed from there.
    S* add(const Packing& how, const S* from) {
        rooms_.emplace_back(how.size());
        add(how, from, rooms_.back().get());
        return rooms_.back().get();
    }

    // The weights (gates, numbers) as products of forward passes take them, one head's after another's.
    const S* add_forward(const Kernels<S>& kernels, const Sizes& sizes, const S* from, int64_t numbers) {
        const int64_t gates = sizes.product / sizes.hidden;
        const int units = gates == 1 ? kernels.forward_units : 1;
        const Packing how{gates, sizes.head, numbers, numbers, 1, units, kernels.lanes, sizes.hidden};
        S* to = rooms_.emplace_back(sizes.heads * how.size()).get();
        for (int64_t head = 0; head < sizes.heads; ++head) {
            add(how, from + head * sizes.head * numbers, to + head * how.size());
        }
        return to;
    }

    // The recurrent weights transposed, one head's after another's.
    const S* add_backward(const Kernels<S>& kernels, const Sizes& sizes, const S* from) {
        const int64_t size = sizes.head, gates = sizes.product / sizes.hidden, block = size * size;
        const Packing how{1, size, gates * size, 1, size, kernels.panel, kernels.lanes};
        if (sizes.heads == 1) return add(how, from);
        S* own = rooms_.emplace_back(sizes.heads * gates * block).get();
        S* to = rooms_.emplace_back(sizes.heads * how.size()).get();
        for (int64_t head = 0; head < sizes.heads; ++head, own += gates * block) {
            for (int64_t gate = 0; gate < gates; ++gate) {
                std::memcpy(own + gate * block, from + (gate * sizes.heads + head) * block,
                            static_cast<size_t>(block) * sizeof(S));
            }
            add(how, own, to + head * how.size());
        }
        return to;
    }

    void run(const Share& share) {
        for (const Pack& one : packs_) pack(one.how, one.from, one.to, share.part, share.parts);
        if (share.parts > 1) done_.wait(share.parts);
    }

private:
    struct Pack {
        Packing how;
        const S* from;
        S* to;
    };
    void add(const Packing& how, const S* from, S* to) { packs_.push_back({how, from, to}); }

    std::vector<Pack> packs_;
    std::vector<Room<S>> rooms_;
    Barrier done_;
};

// What a forward pass is made of.
template <class S>
struct Forward {
    Forward(const Kernels<S>& with, const Sizes& of) : kernels(with), sizes(of) {}
    const Kernels<S>& kernels;
    Sizes sizes;
    Recurrence<S> a{};
    std::unique_ptr<Batch> batch;
    Padded<S> y{};
    S *h_last = nullptr, *c_last = nullptr;
    std::vector<int64_t> ring;
    Packs<S> packs;
    Room<S> bias, seen, gates;
    nb::dict values;

    void begin(const Plan& how) {
        seen = Room<S>(2 * a.at.rows * sizes.hidden);
        a.seen = seen.get();
        a.chunk = batch ? chunk_of(a.at.rows, a.at.steps, how, sizes.kind == Kind::gru ? 8 : 6) : a.at.steps;
        if (!batch || a.keep || sizes.product == sizes.hidden) return;
        gates = Room<S>(a.chunk * a.at.rows * sizes.gates);
        a.gates = gates.get();
        ring.clear();
        for (int64_t t = 0; t < a.at.steps; ++t) ring.push_back(t % a.chunk * a.at.rows);
        a.at.first = ring.data();
    }

    void run(const Share& share) {
        packs.run(share);
        kernels.forward(sizes.kind, a, share);
        if (!batch) return;
        batch->clear(y, sizes.hidden, share.part, share.parts);
        const Share::Rows mine = share.rows(a.at, a.at.rows);
        const int64_t H = sizes.hidden;
        for (int64_t i = share.by_units() ? share.part : 0; i < mine.count; i += share.by_units() ? share.parts : 1) {
            const int64_t row = mine.row(i), t = batch->length(row) - 1, number = batch->number(row);
            const auto copy = [&](S* to, const S* from, int64_t count) {
                std::memcpy(to, from, static_cast<size_t>(count) * sizeof(S));
            };
            copy(h_last + number * H, a.outputs + a.out.place(t, row), H);
            if (!a.keep || !sizes.cells) continue;
            // of an sLSTM the last third is there already
            const int64_t count = sizes.kind == Kind::slstm ? 2 * H : H;
            copy(c_last + number * sizes.cells, a.cells + a.at.place(t, row) * sizes.cells, count);
        }
    }
};

template <class S>
void padded_arrays(Forward<S>& to, const Given& given) {
    Recurrence<S>& a = to.a;
    const Sizes& sizes = to.sizes;
    const int64_t B = given.whole("batch"), T = given.whole("steps"), H = sizes.hidden;
    to.batch = std::make_unique<Batch>(given, B, T);
    const auto x = padded_array<const S>(given, "x", B, T, sizes.input);
    to.y = padded_array<S>(given, "y", B, T, H);
    if (!x.data || !to.y.data) throw std::invalid_argument("x or y: got none; expected an array.");
    a.at = to.batch->at();
    a.order = to.batch->ordered();
    a.lengths = to.batch->real();
    a.x = x.data;
    a.x_at = to.batch->walk(x);
    a.outputs = to.y.data;
    a.out = to.batch->walk(to.y);
    a.input = sizes.input;
    const int64_t places = to.batch->places;
    const S* weight_x = given.array<const S>("weight_x", sizes.product * a.input, true);
    a.weight_x = to.packs.add_forward(to.kernels, sizes, weight_x, a.input);
    const S *b = given.array<const S>("bias", sizes.product), *b_h = given.array<const S>("bias_h", sizes.product);
    if (b) {  // of a GRU the last third of the second one stands inside the reset product
        const bool gru = sizes.kind == Kind::gru;
        to.bias = Room<S>(sizes.product);
        S* both = to.bias.get();
        for (int64_t i = 0; i < sizes.product; ++i) both[i] = b[i] + (b_h && !(gru && i >= 2 * H) ? b_h[i] : S(0));
        a.bias_x = both;
        a.bias = b_h && gru ? b_h + 2 * H : nullptr;
    }
    to.h_last = given.array<S>("h_last", B * H, true);
    to.c_last = given.array<S>("c_last", B * sizes.cells, sizes.cells > 0);
    a.c0 = given.array<const S>("c0", B * sizes.cells, sizes.cells > 0);
    if (a.keep && sizes.product > H) a.gates = given.array<S>("gates", places * sizes.gates, true);
    // of rows without steps these stay the last ones
    std::memcpy(to.h_last, given.array<const S>("h0", B * H, true), static_cast<size_t>(B * H) * sizeof(S));
    if (sizes.cells) std::memcpy(to.c_last, a.c0, static_cast<size_t>(B * sizes.cells) * sizeof(S));
    a.cells = a.keep ? given.array<S>("cells", places * sizes.cells, sizes.cells > 0) : to.c_last;
}

// Packed steps whose inputs' products are there already.
template <class S>
void packed_arrays(Forward<S>& to, const Given& given) {
    Recurrence<S>& a = to.a;
    const int64_t H = to.sizes.hidden;
    a.at = layout_of(given);
    const int64_t places = places_of(a.at);
    a.out = Walk{a.at.first, nullptr, 0, H};
    a.outputs = given.array<S>("outputs", places * H, true);
    a.gates = given.array<S>("gates", places * to.sizes.gates, to.sizes.product > H);
    a.cells = given.array<S>("cells", a.at.rows * to.sizes.cells, to.sizes.cells > 0);
    a.bias = given.array<const S>("bias_m", H);
}

template <class S>
Job forward(nb::dict values) {
    const Given given(values);
    auto made = std::make_shared<Forward<S>>(select().of<S>(), Sizes(given));
    const Sizes& sizes = made->sizes;
    Recurrence<S>& a = made->a;
    made->values = values;
    a.hidden = sizes.hidden;
    a.heads = sizes.heads;
    a.keep = given.whole("keep") != 0;
    if (given.has("x")) {
        padded_arrays(*made, given);
    } else {
        packed_arrays(*made, given);
    }
    const int64_t states = (made->batch ? made->batch->size : a.at.rows) * sizes.hidden;
    a.h0 = given.array<const S>("h0", states, true);
    a.mask = given.array<const S>("mask", states);
    if (sizes.kind == Kind::slstm) a.memory = (a.keep ? made->c_last : a.cells) + 2 * sizes.hidden;
    const int64_t weights = sizes.product * sizes.head;
    const S* weight = given.array<const S>("weight", weights, true);
    a.weight = made->packs.add_forward(made->kernels, sizes, weight, sizes.head);
    return {a.at.rows, a.at.steps, a.at.rows * weights, weights * int64_t(sizeof(S)),
            [made](const Plan& how) { made->begin(how); }, [made](const Share& share) { made->run(share); }};
}

// bytes between rows from which on reading a few of their numbers takes longer than copying them
constexpr int64_t pages = 3000;

// What a backward pass is made of.
template <class S>
struct Backward {
    Backward(const Kernels<S>& with, const Sizes& of) : kernels(with), sizes(of) {}
    const Kernels<S>& kernels;
    Sizes sizes;
    RecurrenceBack<S> a{};
    Gradients<S> g{};
    std::unique_ptr<Batch> batch;
    Padded<S> d_x{};
    S *d_weight_x = nullptr, *d_weight = nullptr, *d_bias = nullptr, *d_bias_h = nullptr;
    Packs<S> packs;
    Room<S> d, left, right, sums;
    Room<int64_t> places;
    Barrier all;
    nb::dict values;

    Sums shape() const { return {sizes.gates, g.input, sizes.head, kernels.lanes}; }

    void begin(const Plan& how) {
        const int64_t lanes = kernels.lanes, shared = how.by_units ? 1 : how.parts;
        a.chunk = chunk_of(a.at.rows, a.at.steps, how);
        g.rows = how.by_units ? a.at.rows : (a.at.rows + how.parts - 1) / how.parts;
        g.width = padded(sizes.gates, lanes) + lanes;  // off powers of two
        d = Room<S>(shared * (a.chunk + 1) * g.rows * g.width);
        g.d = d.get();
        places = Room<int64_t>(how.parts * 2 * a.chunk * g.rows);
        g.places = places.get();
        const bool learns = d_weight_x || d_weight || d_bias || d_bias_h;
        const int64_t some = learns ? Gradients<S>::samples_at_once : 0;
        right = Room<S>(shared * some * shape().right(sizes.heads));
        g.right = right.get();
        left = Room<S>(g.width * static_cast<int64_t>(sizeof(S)) > pages ? how.parts * some * g.width : 0);
        g.left = left.get();
        sums = Room<S>(learns ? shared * shape().size() : 0);
        g.sums = sums.get();
    }

    void run(const Share& share) {
        packs.run(share);
        kernels.backward(sizes.kind, a, g, share);
        if (g.d_x) batch->clear(d_x, g.input, share.part, share.parts);
        if (!g.sums) return;
        all.wait(share.parts);
        const Sums of = shape();
        const int copies = share.by_units() ? 1 : share.parts;
        const int64_t begin = of.rows * share.part / share.parts, end = of.rows * (share.part + 1) / share.parts;
        for (int64_t row = begin; row < end; ++row) {
            const int64_t H = sizes.hidden, piece = row / H;
            const bool gru = sizes.kind == Kind::gru, input = !gru || piece < 3, state = !gru || piece != 2;
            const int64_t target = gru && piece == 3 ? row - H : row;
            if (input) add(d_weight_x, row, g.input, of, row * of.width, copies);
            if (state) add(d_weight, target, sizes.head, of, row * of.width + of.input, copies);
            if (input) add(d_bias, row, 1, of, of.totals() + row, copies);
            if (state) add(d_bias_h, target, 1, of, of.totals() + row, copies);
        }
    }

    void add(S* to, int64_t row, int64_t count, const Sums& of, int64_t from, int copies) const {
        if (!to) return;
        to += row * count;
        const S* first = g.sums + from;
        std::memcpy(to, first, static_cast<size_t>(count) * sizeof(S));
        for (int copy = 1; copy < copies; ++copy) {
            const S* other = first + copy * of.size();
            for (int64_t i = 0; i < count; ++i) to[i] += other[i];
        }
    }
};

template <class S>
void gradient_arrays(Backward<S>& to, const Given& given, int64_t B, int64_t T) {
    const Sizes& sizes = to.sizes;
    const int64_t H = sizes.hidden;
    Gradients<S>& g = to.g;
    const auto x = padded_array<const S>(given, "x", B, T, sizes.input);
    to.d_x = padded_array<S>(given, "d_x", B, T, sizes.input);
    if (!x.data) throw std::invalid_argument("x: got none; expected an array.");
    g.input = sizes.input;
    g.x = x.data;
    g.x_at = to.batch->walk(x);
    g.d_x = to.d_x.data;
    if (g.d_x) {
        g.d_x_at = to.batch->walk(to.d_x);
        g.weight_x = to.packs.add({1, g.input, sizes.product, 1, g.input, to.kernels.panel, to.kernels.lanes},
                                  given.array<const S>("weight_x", sizes.product * g.input, true));
    }
    to.d_weight_x = given.array<S>("d_weight_x", sizes.product * g.input);
    to.d_weight = given.array<S>("d_weight", sizes.product * sizes.head);
    to.d_bias = given.array<S>("d_bias", sizes.product);
    to.d_bias_h = given.array<S>("d_bias_h", sizes.product);
    RecurrenceBack<S>& a = to.a;
    a.d_h = given.array<S>("d_h0", B * H, true);
    a.d_c = given.array<S>("d_c0", B * sizes.cells, sizes.cells > 0);
    a.d_mask = given.array<S>("d_mask", B * H);
    a.d_last = given.array<const S>("d_last", B * H);
    for (int64_t b = 0; a.d_last && b < B; ++b) {  // of a row without steps h0 is the last output
        if (to.batch->steps_of[static_cast<size_t>(b)] > 0) continue;
        std::memcpy(a.d_h + b * H, a.d_last + b * H, static_cast<size_t>(H) * sizeof(S));
    }
}

template <class S>
Job backward(nb::dict values) {
    const Given given(values);
    auto made = std::make_shared<Backward<S>>(select().of<S>(), Sizes(given));
    const Sizes& sizes = made->sizes;
    RecurrenceBack<S>& a = made->a;
    made->values = values;
    const int64_t B = given.whole("batch"), T = given.whole("steps"), H = sizes.hidden;
    made->batch = std::make_unique<Batch>(given, B, T);
    const int64_t places = made->batch->places;
    a.at = made->batch->at();
    a.order = made->batch->ordered();
    a.hidden = H;
    a.heads = sizes.heads;
    a.h0 = given.array<const S>("h0", B * H, true);
    a.c0 = given.array<const S>("c0", B * sizes.cells, sizes.cells > 0);
    a.mask = given.array<const S>("mask", B * H);
    a.gates = given.array<const S>("gates", places * sizes.gates, sizes.product > H);
    a.cells = given.array<const S>("cells", places * sizes.cells, sizes.cells > 0);
    const auto y = padded_array<const S>(given, "y", B, T, H), d_y = padded_array<const S>(given, "d_y", B, T, H);
    if (!y.data) throw std::invalid_argument("y: got none; expected an array.");
    a.outputs = y.data;
    a.out = made->batch->walk(y);
    a.d_outputs = d_y.data;
    if (d_y.data) a.d_out = made->batch->walk(d_y);
    gradient_arrays(*made, given, B, T);
    const int64_t size = sizes.head;
    const S* weight = given.array<const S>("weight", sizes.product * size, true);
    a.weight = made->packs.add_backward(made->kernels, sizes, weight);
    const int64_t weights = sizes.product * size;
    return {a.at.rows, a.at.steps, a.at.rows * weights, weights * int64_t(sizeof(S)),
            [made](const Plan& how) { made->begin(how); }, [made](const Share& share) { made->run(share); }};
}

template <class S>
void bind(nb::module_& m, const char* ahead, const char* back) {
    m.def(ahead, &forward<S>, nb::arg("values"));
    m.def(back, &backward<S>, nb::arg("values"));
}

}  // namespace

void bind_recurrences(nb::module_& m) {
    bind<float>(m, "forward_single", "backward_single");
    bind<double>(m, "forward_double", "backward_double");
}

}  // namespace rekur
