// What above.h describes; compiled once for every instruction set. Counts are exact: a product and a sum are never fused
// here (see CMakeLists.txt), and sums have one order, so that NumPy, this and exported C code count alike.
#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include "above.h"
#include "simd.h"

namespace rekur {
namespace REKUR_ISA {
namespace {

constexpr int64_t wide = lanes<float>;

// Outputs are compared with a bias by the word: a bit for each, the first one lowest.
constexpr int64_t word = 64;

REKUR_INLINE uint64_t bits_above(const float* outputs, Vec<float> bias) {
    uint64_t bits = 0;
    for (int64_t at = 0; at < word; at += wide) {
        const Vec<float> u = load(outputs + at);
#if defined(__AVX512F__)
        bits |= static_cast<uint64_t>(_mm512_cmp_ps_mask((__m512)u, (__m512)bias, _CMP_GT_OQ)) << at;
#elif defined(__AVX2__)
        const __m256 above = _mm256_cmp_ps((__m256)u, (__m256)bias, _CMP_GT_OQ);
        bits |= static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_ps(above))) << at;
#else
        const Simd<float>::Int above = u > bias;
        for (int64_t lane = 0; lane < wide; ++lane) bits |= static_cast<uint64_t>(above[lane] & 1) << (at + lane);
#endif
    }
    return bits;
}

REKUR_INLINE int64_t count_of(uint64_t bits) { return __builtin_popcountll(bits); }

// The sum of the numbers of the bits that are set.
REKUR_INLINE int64_t places_of(uint64_t bits) {
    return count_of(bits & 0xAAAAAAAAAAAAAAAAu) + 2 * count_of(bits & 0xCCCCCCCCCCCCCCCCu) +
           4 * count_of(bits & 0xF0F0F0F0F0F0F0F0u) + 8 * count_of(bits & 0xFF00FF00FF00FF00u) +
           16 * count_of(bits & 0xFFFF0000FFFF0000u) + 32 * count_of(bits & 0xFFFFFFFF00000000u);
}

// Runs of outputs above a bias.
struct Runs {
    int64_t now, longest;

    // Goes on with some outputs, from 1 to a word of them.
    REKUR_INLINE void follow(uint64_t bits, int64_t size) {
        const uint64_t full = ~uint64_t{0} >> (word - size);
        if (bits == 0) {
            now = 0;
            return;
        }
        if (bits == full) {
            now += size;
            longest = std::max(longest, now);
            return;
        }
        longest = std::max(longest, now + __builtin_ctzll(~bits));
        now = __builtin_clzll(~(bits << (word - size)));
        if (longest < size) look_inside(bits);
    }

private:
    // Lets bits stay set where as many as would be the longest run begin.
    REKUR_INLINE void look_inside(uint64_t bits) {
        for (int64_t length = 1; length <= longest;) {
            const int64_t more = std::min(length, longest + 1 - length);
            bits &= bits >> more;
            length += more;
        }
        while (bits) {
            ++longest;
            bits &= bits >> 1;
        }
    }
};

// The tallies of a bias.
struct Tally {
    int64_t count, places;
    Runs runs;
};

// Compares the outputs of one dilation of one row after another.
class Counter {
public:
    explicit Counter(const Above& a) : a_(a) {
        for (int64_t j = 0; j < a.dilations; ++j) reach_ = std::max(reach_, above_side * a.dilation[j]);
        const int64_t fits = numbers_at_once / (above_taps * a.channels) / wide * wide;
        chunk_ = std::min<int64_t>(512, std::max<int64_t>(64, fits));
        stride_ = chunk_ + word;
        taps_.reset(new float[static_cast<size_t>(a.channels * above_taps * stride_)]);
        outputs_.reset(new float[static_cast<size_t>(stride_)]);
        tallies_.resize(static_cast<size_t>(above_kernels * *std::max_element(a.counts, a.counts + a.dilations)));
    }

    void count(int64_t row, int64_t number) {
        const int64_t begin = a_.begin[row], end = a_.end[row];
        int64_t first = 0;
        for (int64_t j = 0; j < number; ++j) first += above_kernels * a_.counts[j];
        start(number, row * a_.states() * a_.pairs + first);
        if (begin < end) {
            if (row != row_) read(row);
            list_channels(number);
        }
        for (int64_t time = begin; time < end; time += chunk_) {
            count_chunk(number, a_.biases + first, time, std::min(chunk_, end - time));
        }
        write(number, row, first);
    }

private:
    static constexpr int64_t numbers_at_once = 1 << 16;

    // Channel by channel, with zeros around.
    void read(int64_t row) {
        const int64_t size = a_.sizes[row];
        const float* steps = a_.steps + a_.starts[row] * a_.channels;
        width_ = reach_ + size + reach_ + wide;
        series_.assign(static_cast<size_t>(width_ * a_.channels), 0.0f);
        for (int64_t channel = 0; channel < a_.channels; ++channel) {
            float* to = series_.data() + channel * width_ + reach_;
            for (int64_t t = 0; t < size; ++t) to[t] = steps[t * a_.channels + channel];
        }
        row_ = row;
    }

    void list_channels(int64_t number) {
        if (number == listed_) return;
        const uint8_t* flags = a_.flags + number * above_kernels * a_.channels;
        chosen_.clear();
        for (int64_t kernel = 0; kernel < above_kernels; ++kernel, flags += a_.channels) {
            for (int64_t channel = 0; channel < a_.channels; ++channel) {
                if (flags[channel]) chosen_.push_back(channel);
            }
            ends_[kernel] = static_cast<int64_t>(chosen_.size());
        }
        listed_ = number;
    }

    float* tap(int64_t channel, int64_t number) { return taps_.get() + (channel * above_taps + number) * stride_; }

    static bool is_whole(int64_t number, int64_t kernel) { return (number + kernel) % 2 == 0; }  // an output each step

    void count_chunk(int64_t number, const float* bias, int64_t time, int64_t size) {
        const int64_t margin = above_side * a_.dilation[number], biases = a_.counts[number];
        for (int64_t channel = 0; channel < a_.channels; ++channel) convolve(channel, a_.dilation[number], time, size);
        const int64_t early = std::min(std::max<int64_t>(margin - time, 0), size);
        const int64_t late = std::max(early, std::min(a_.lengths[row_] - margin - time, size));
        int64_t kernel = 0;
        Tally* tallies = tallies_.data();
        for (int64_t i = 0; i < above_taps; ++i) {
            for (int64_t j = i + 1; j < above_taps; ++j) {
                for (int64_t k = j + 1; k < above_taps; ++k, ++kernel, bias += biases, tallies += biases) {
                    const bool whole = is_whole(number, kernel);
                    const int64_t begin = whole ? 0 : early, end = whole ? size : late;
                    if (begin == end) continue;
                    add_up(kernel, i, j, k, begin, end);
                    const int64_t place = time + begin - (whole ? 0 : margin);
                    for (int64_t b = 0; b < biases; ++b) {
                        a_.all ? compare<true>(end - begin, place, bias[b], tallies[b])
                               : compare<false>(end - begin, place, bias[b], tallies[b]);
                    }
                }
            }
        }
    }

    // Nine times what each tap has above the mean of all: three of them add up to the output. Differences from the center
    // are exactly 0 where a series is constant.
    void convolve(int64_t channel, int64_t dilation, int64_t time, int64_t size) {
        const float* x = series_.data() + channel * width_ + reach_ + time - a_.first[row_];
        for (int64_t at = 0; at < size; at += wide) {
            const Vec<float> center = load(x + at);
            Vec<float> of[above_taps], total;
            for (int64_t j = 0; j < above_taps; ++j) {
                of[j] = all(3.0f) * (load(x + at + (j - above_side) * dilation) - center);
                total = j == 0 ? of[j] : total + of[j];
            }
            const Vec<float> mean = total / all(9.0f);
            for (int64_t j = 0; j < above_taps; ++j) store(tap(channel, j) + at, of[j] - mean);
        }
    }

    // Writes the outputs of a kernel, and minus infinity to the end of a word.
    void add_up(int64_t kernel, int64_t i, int64_t j, int64_t k, int64_t begin, int64_t end) {
        const int64_t first = kernel == 0 ? 0 : ends_[kernel - 1];
        for (int64_t at = begin; at < end; at += wide) {
            Vec<float> u{};
            for (int64_t c = first; c < ends_[kernel]; ++c) {
                const int64_t channel = chosen_[static_cast<size_t>(c)];
                u = u + load(tap(channel, i) + at);
                u = u + load(tap(channel, j) + at);
                u = u + load(tap(channel, k) + at);
            }
            store(outputs_.get() + at - begin, u);
        }
        for (int64_t at = end - begin; at % word != 0; ++at) {
            outputs_[static_cast<size_t>(at)] = -std::numeric_limits<float>::infinity();
        }
    }

    // Compares outputs, the first of which has a place among those of its kernel, with a bias.
    template <bool runs>
    void compare(int64_t size, int64_t place, float bias, Tally& to) {
        const Vec<float> biases = all(bias);
        Tally tally = to;
        for (int64_t at = 0; at < size; at += word) {
            const uint64_t bits = bits_above(outputs_.get() + at, biases);
            const int64_t count = count_of(bits);
            tally.count += count;
            if (runs) {
                tally.places += (place + at) * count + places_of(bits);
                tally.runs.follow(bits, std::min(word, size - at));
            }
        }
        to = tally;
    }

    // Begins a dilation with the tallies of earlier outputs, the first of which stands at a place.
    void start(int64_t number, int64_t place) {
        const int64_t biases = above_kernels * a_.counts[number];
        std::fill(tallies_.begin(), tallies_.end(), Tally{});
        for (int64_t i = 0; a_.before && i < biases; ++i) {
            const int64_t* from = a_.before + place + i;
            Tally& to = tallies_[static_cast<size_t>(i)];
            to.count = from[0];
            if (a_.all) to = {from[0], from[a_.pairs], {from[2 * a_.pairs], from[3 * a_.pairs]}};
        }
    }

    // The results of a dilation, whose biases begin at a place.
    void write(int64_t number, int64_t row, int64_t place) {
        const int64_t biases = a_.counts[number], pairs = a_.pairs;
        int64_t* totals = a_.totals ? a_.totals + row * a_.states() * pairs + place : nullptr;
        float* shares = a_.shares ? a_.shares + row * a_.numbers() * pairs + place : nullptr;
        for (int64_t i = 0; i < above_kernels * biases; ++i) {
            const Tally& of = tallies_[static_cast<size_t>(i)];
            if (totals) {
                totals[i] = of.count;
                if (a_.all) {
                    totals[i + pairs] = of.places;
                    totals[i + 2 * pairs] = of.runs.now;
                    totals[i + 3 * pairs] = of.runs.longest;
                }
            }
            if (!shares) continue;
            const int64_t fringe = is_whole(number, i / biases) ? 0 : above_side * a_.dilation[number];
            const double outputs = static_cast<double>(std::max<int64_t>(a_.lengths[row] - 2 * fringe, 1));
            shares[i] = static_cast<float>(static_cast<double>(of.count) / outputs);
            if (a_.all) {
                const double late = static_cast<double>(2 * of.places + of.count) / (outputs * outputs);
                shares[i + pairs] = static_cast<float>(late);
                shares[i + 2 * pairs] = static_cast<float>(static_cast<double>(of.runs.longest) / outputs);
            }
        }
    }

    const Above& a_;
    int64_t reach_ = 0, chunk_, stride_, width_ = 0, row_ = -1, listed_ = -1;
    std::unique_ptr<float[]> taps_, outputs_;
    std::vector<float> series_;
    std::vector<int64_t> chosen_;
    std::vector<Tally> tallies_;
    int64_t ends_[above_kernels];
};

}  // namespace

void run_above(const Above& a) {
    Counter counter(a);
    for (int64_t unit; (unit = a.next->fetch_add(1)) < a.rows * a.dilations;) {
        counter.count(unit / a.dilations, unit % a.dilations);
    }
}

}  // namespace REKUR_ISA
}  // namespace rekur
