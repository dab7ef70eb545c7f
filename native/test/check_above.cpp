// Counts of outputs above biases against plain loops, in one part and in several.
#include <algorithm>

#include "check.h"

namespace rekur {
namespace check {
namespace {

// Series of which only the last steps are given: zeros stand around them.
struct Series {
    std::vector<int64_t> starts, sizes, first, begin, end, lengths;
    int64_t steps = 0;

    void add(int64_t size, int64_t before, int64_t from, int64_t until, int64_t length) {
        starts.push_back(steps);
        sizes.push_back(size);
        first.push_back(before);
        begin.push_back(from);
        end.push_back(until);
        lengths.push_back(length);
        steps += size;
    }
};

float at(const Above& a, int64_t row, int64_t time, int64_t channel) {
    const int64_t place = time - a.first[row];
    return place < 0 || place >= a.sizes[row] ? 0.0f : a.steps[(a.starts[row] + place) * a.channels + channel];
}

// The output of the kernel with the taps i, j and k at a time, added up in the one order.
float output(const Above& a, int64_t row, int64_t combination, int64_t time, const int64_t (&chosen)[3]) {
    const int64_t dilation = a.dilation[combination / above_kernels];
    float sum = 0.0f;
    for (int64_t c = 0; c < a.channels; ++c) {
        if (!a.flags[combination * a.channels + c]) continue;
        float of[above_taps], total = 0.0f;
        for (int64_t tap = 0; tap < above_taps; ++tap) {
            of[tap] = 3.0f * (at(a, row, time + (tap - above_side) * dilation, c) - at(a, row, time, c));
            total += of[tap];
        }
        for (int64_t tap : chosen) sum += of[tap] - total / 9.0f;
    }
    return sum;
}

std::vector<int64_t> counted(const Above& a) {
    std::vector<int64_t> totals;
    for (int64_t row = 0; row < a.rows; ++row) {
        int64_t bias = 0;
        for (int64_t number = 0; number < a.dilations; ++number) {
            int64_t kernel = 0;
            for (int64_t i = 0; i < above_taps; ++i)
                for (int64_t j = i + 1; j < above_taps; ++j)
                    for (int64_t k = j + 1; k < above_taps; ++k, ++kernel) {
                        const int64_t fringe = (number + kernel) % 2 == 0 ? 0 : above_side * a.dilation[number];
                        for (int64_t b = 0; b < a.counts[number]; ++b, ++bias) {
                            int64_t count = 0;
                            for (int64_t t = a.begin[row]; t < a.end[row]; ++t) {
                                if (t < fringe || t >= a.lengths[row] - fringe) continue;
                                count += output(a, row, number * above_kernels + kernel, t, {i, j, k}) > a.biases[bias];
                            }
                            totals.push_back(count);
                        }
                    }
        }
    }
    return totals;
}

void check_counts(const InstructionSet& set, int64_t channels, const std::vector<int64_t>& dilations, const Series& series,
                  Report& report) {
    Random random(static_cast<uint64_t>(channels * 10 + series.steps));
    const int64_t count = static_cast<int64_t>(dilations.size());
    Above a{};
    a.rows = static_cast<int64_t>(series.starts.size());
    a.channels = channels;
    a.dilations = count;
    Exact<int64_t> dilation(count), counts(count);
    for (int64_t i = 0; i < count; ++i) {
        dilation[i] = dilations[static_cast<size_t>(i)];
        counts[i] = i == 0 ? 5 : i;
        a.size += above_kernels * counts[i];
    }
    Exact<uint8_t> flags(count * above_kernels * channels);
    for (int64_t i = 0; i < flags.size(); ++i) flags[i] = random.next() > -0.3;
    const auto biases = random.array<float>(a.size, 4), steps = random.array<float>(series.steps * channels);
    const Exact<int64_t> before(a.rows * a.size, 7);
    Exact<int64_t> totals(a.rows * a.size), again(a.rows * a.size);
    Exact<float> shares(a.rows * a.size);
    a.dilation = dilation.data();
    a.counts = counts.data();
    a.flags = flags.data();
    a.biases = biases.data();
    a.steps = steps.data();
    a.starts = series.starts.data();
    a.sizes = series.sizes.data();
    a.first = series.first.data();
    a.begin = series.begin.data();
    a.end = series.end.data();
    a.lengths = series.lengths.data();
    a.before = before.data();
    a.totals = totals.data();
    a.shares = shares.data();
    std::atomic<int64_t> next{0}, again_next{0};
    a.next = &next;
    set.count_above(a);
    const std::vector<int64_t> wanted = counted(a);
    bool is_right = true;
    for (size_t i = 0; i < wanted.size(); ++i) is_right = is_right && totals[static_cast<int64_t>(i)] == 7 + wanted[i];
    report.that(is_right, "counts");
    bool is_share = true;
    for (int64_t row = 0; row < a.rows; ++row) {
        const double outputs = static_cast<double>(std::max<int64_t>(a.lengths[row], 1));
        const int64_t place = row * a.size;  // the first kernel of the first dilation has an output for every step
        is_share = is_share && shares[place] == static_cast<float>(static_cast<double>(totals[place]) / outputs);
    }
    report.that(is_share, "shares");
    a.before = nullptr;
    a.shares = nullptr;
    a.totals = again.data();
    a.next = &again_next;
    in_parts(3, false, [&](const Share&) { set.count_above(a); });
    for (int64_t i = 0; i < again.size(); ++i) again[i] += 7;
    report.that(same_bits(totals.data(), again.data(), a.rows * a.size), "parts");
}

}  // namespace

void check_above(const InstructionSet& set, Report& report) {
    for (int64_t channels : {1, 2, 3}) {
        report.where = "above D" + std::to_string(channels);
        Series whole, pieces, nothing;
        for (int64_t steps : {37, 1, 0, 64}) whole.add(steps, 0, 0, steps, steps);
        pieces.add(24, 30, 42, 54, 54);       // the last steps of a series that has ended
        pieces.add(25, -4, 8, 9, 1LL << 62);  // one further step of one that has not
        pieces.add(24, -20, 0, 4, 4);
        pieces.add(24, -20, 0, -8, 1LL << 62);
        for (const std::vector<int64_t>& dilations : {std::vector<int64_t>{1}, {1, 3}, {2}}) {
            check_counts(set, channels, dilations, whole, report);
            check_counts(set, channels, dilations, pieces, report);
        }
        check_counts(set, channels, {1, 2}, nothing, report);
    }
    report.where = "above, many steps";
    Series whole;
    whole.add(600, 0, 0, 600, 600);
    check_counts(set, 1, {1, 40}, whole, report);
}

}  // namespace check
}  // namespace rekur
