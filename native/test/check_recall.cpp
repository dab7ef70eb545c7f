// The recall: what followed a run last, in one call and in pieces, across borders, against a list of all runs.
#include <algorithm>
#include <map>

#include "../runs.h"
#include "check.h"

namespace rekur {
namespace check {
namespace {

struct Recalled {
    Exact<int64_t> found, after, memory;
};

Recalled run(RecallBatch a, const Exact<int64_t>& ids, const Exact<uint8_t>& resets, const Recalled& last) {
    const auto orders = static_cast<int64_t>(a.orders.size());
    Recalled to{Exact<int64_t>(a.rows * a.steps * orders, -1), Exact<int64_t>(a.rows * a.keep, -1),
                Exact<int64_t>(a.rows * orders * a.slots, -1)};
    a.ids = ids.data();
    a.resets = resets.or_null();
    a.history = last.after.data();
    a.old_memory = last.memory.data();
    a.followers = to.found.data();
    a.new_history = to.after.data();
    a.new_memory = to.memory.data();
    for (int64_t row = 0; row < a.rows; ++row) RecallRow(a, row).run();
    return to;
}

// One row's answers from a list of every run and what followed it.
std::vector<int64_t> listed(const RecallBatch& a, const int64_t* ids, const uint8_t* resets) {
    std::vector<int64_t> seen(static_cast<size_t>(a.keep), 0), found;
    std::map<std::vector<int64_t>, int64_t> followed;
    const auto run_of = [&](int64_t order) { return std::vector<int64_t>(seen.end() - order, seen.end()); };
    for (int64_t t = 0; t < a.steps; ++t) {
        if (resets && resets[t]) {
            seen.assign(static_cast<size_t>(a.keep), 0);
            followed.clear();
        }
        for (int64_t order : a.orders) followed[run_of(order)] = ids[t];
        seen.push_back(ids[t]);
        for (int64_t order : a.orders) {
            const auto at = followed.find(run_of(order));
            found.push_back(at == followed.end() ? 0 : at->second);
        }
    }
    return found;
}

void check_batch(const RecallBatch& a, uint64_t seed, double border, Report& report) {
    Random random(seed);
    const auto orders = static_cast<int64_t>(a.orders.size());
    Exact<int64_t> ids(a.rows * a.steps);
    Exact<uint8_t> resets(border > 0 ? a.rows * a.steps : 0);
    for (int64_t i = 0; i < ids.size(); ++i) ids[i] = 1 + static_cast<int64_t>((random.next() + 1) * 1.5);
    for (int64_t i = 0; i < resets.size(); ++i) resets[i] = random.next() > 1 - 2 * border;
    const Recalled none{Exact<int64_t>(0), Exact<int64_t>(a.rows * a.keep), Exact<int64_t>(a.rows * orders * a.slots)};
    const Recalled whole = run(a, ids, resets, none);
    for (int64_t row = 0; row < a.rows; ++row) {
        const auto wanted = listed(a, ids.data() + row * a.steps, border > 0 ? resets.data() + row * a.steps : nullptr);
        report.that(same_bits(whole.found.data() + row * a.steps * orders, wanted.data(), a.steps * orders), "values");
    }
    RecallBatch piece = a;
    piece.rows = 1;
    const int64_t cut = a.steps / 2;
    Recalled last{Exact<int64_t>(0), Exact<int64_t>(a.keep), Exact<int64_t>(orders * a.slots)};
    for (int64_t begin : {int64_t{0}, cut}) {
        piece.steps = begin ? a.steps - cut : cut;
        Exact<int64_t> some(piece.steps);
        Exact<uint8_t> cuts(border > 0 ? piece.steps : 0);
        for (int64_t t = 0; t < piece.steps; ++t) some[t] = ids[begin + t];
        for (int64_t t = 0; t < cuts.size(); ++t) cuts[t] = resets[begin + t];
        last = run(piece, some, cuts, last);
        report.that(same_bits(last.found.data(), whole.found.data() + begin * orders, piece.steps * orders), "pieces");
    }
    report.that(same_bits(last.memory.data(), whole.memory.data(), orders * a.slots), "memory after pieces");
    report.that(same_bits(last.after.data(), whole.after.data(), a.keep), "tokens after pieces");
}

}  // namespace

void check_recalls(Report& report) {
    for (int64_t steps : {2, 3, 60}) {
        for (double border : {0.0, 0.1, 0.5}) {
            const std::vector<int64_t> all[] = {{2}, {3, 2}, {2, 5, 16}};
            for (const auto& orders : all) {
                report.where = "recall T" + std::to_string(steps) + " J" + std::to_string(orders.size());
                const int64_t keep = *std::max_element(orders.begin(), orders.end());
                RecallBatch a{orders, 2, steps, keep, 1 << 16, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
                check_batch(a, static_cast<uint64_t>(steps) + orders.size(), border, report);
            }
        }
    }
}

}  // namespace check
}  // namespace rekur
