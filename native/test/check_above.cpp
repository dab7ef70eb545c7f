// Numbers of outputs above biases against plain loops, in one part and in several.
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

// What is known of each bias of a row after another: counts, then sums of places, runs that go on, and longest runs.
std::vector<int64_t> counted(const Above& a) {
    std::vector<int64_t> totals(static_cast<size_t>(a.rows * a.states() * a.pairs));
    for (int64_t row = 0; row < a.rows; ++row) {
        int64_t bias = 0;
        for (int64_t number = 0; number < a.dilations; ++number) {
            int64_t kernel = 0;
            for (int64_t i = 0; i < above_taps; ++i)
                for (int64_t j = i + 1; j < above_taps; ++j)
                    for (int64_t k = j + 1; k < above_taps; ++k, ++kernel) {
                        const int64_t fringe = (number + kernel) % 2 == 0 ? 0 : above_side * a.dilation[number];
                        for (int64_t b = 0; b < a.counts[number]; ++b, ++bias) {
                            int64_t known[4];
                            for (int64_t state = 0; state < a.states(); ++state) {
                                known[state] = a.before[(row * a.states() + state) * a.pairs + bias];
                            }
                            for (int64_t t = a.begin[row]; t < a.end[row]; ++t) {
                                if (t < fringe || t >= a.lengths[row] - fringe) continue;
                                const float u = output(a, row, number * above_kernels + kernel, t, {i, j, k});
                                const bool above = u > a.biases[bias];
                                known[0] += above;
                                if (!a.all) continue;
                                known[1] += above ? t - fringe : 0;
                                known[2] = above ? known[2] + 1 : 0;
                                known[3] = std::max(known[3], known[2]);
                            }
                            for (int64_t state = 0; state < a.states(); ++state) {
                                totals[static_cast<size_t>((row * a.states() + state) * a.pairs + bias)] = known[state];
                            }
                        }
                    }
        }
    }
    return totals;
}

void check_counts(const InstructionSet& set, int64_t channels, const std::vector<int64_t>& dilations, const Series& series,
                  bool all, Report& report) {
    Random random(static_cast<uint64_t>(channels * 10 + series.steps));
    const int64_t count = static_cast<int64_t>(dilations.size());
    Above a{};
    a.all = all;
    a.rows = static_cast<int64_t>(series.starts.size());
    a.channels = channels;
    a.dilations = count;
    Exact<int64_t> dilation(count), counts(count);
    for (int64_t i = 0; i < count; ++i) {
        dilation[i] = dilations[static_cast<size_t>(i)];
        counts[i] = i == 0 ? 5 : i;
        a.pairs += above_kernels * counts[i];
    }
    Exact<uint8_t> flags(count * above_kernels * channels);
    for (int64_t i = 0; i < flags.size(); ++i) flags[i] = random.next() > -0.3;
    const auto biases = random.array<float>(a.pairs, 4), steps = random.array<float>(series.steps * channels);
    const int64_t size = a.rows * a.states() * a.pairs;
    const Exact<int64_t> before(size, 7);
    Exact<int64_t> totals(size), again(size);
    Exact<float> shares(a.rows * a.numbers() * a.pairs);
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
    report.that(std::equal(wanted.begin(), wanted.end(), totals.data()), "counts");
    bool is_share = true;
    for (int64_t row = 0; row < a.rows; ++row) {
        const double outputs = static_cast<double>(std::max<int64_t>(a.lengths[row], 1));
        const float* numbers = shares.data() + row * a.numbers() * a.pairs;
        const int64_t* known = totals.data() + row * a.states() * a.pairs;
        // the first kernel of the first dilation has an output for every step
        is_share = is_share && numbers[0] == static_cast<float>(static_cast<double>(known[0]) / outputs);
        if (!all) continue;
        const double late = static_cast<double>(2 * known[a.pairs] + known[0]) / (outputs * outputs);
        const double longest = static_cast<double>(known[3 * a.pairs]) / outputs;
        is_share = is_share && numbers[a.pairs] == static_cast<float>(late);
        is_share = is_share && numbers[2 * a.pairs] == static_cast<float>(longest);
    }
    report.that(is_share, "shares");
    a.shares = nullptr;
    a.totals = again.data();
    a.next = &again_next;
    in_parts(3, false, [&](const Share&) { set.count_above(a); });
    report.that(same_bits(totals.data(), again.data(), size), "parts");
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
            for (const bool all : {false, true}) {
                check_counts(set, channels, dilations, whole, all, report);
                check_counts(set, channels, dilations, pieces, all, report);
            }
        }
        check_counts(set, channels, {1, 2}, nothing, true, report);
    }
    report.where = "above, many steps";
    Series whole;
    whole.add(600, 0, 0, 600, 600);
    for (const bool all : {false, true}) check_counts(set, 1, {1, 40}, whole, all, report);
}

}  // namespace check
}  // namespace rekur
