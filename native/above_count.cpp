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

// Counts lanes in which a number is above a bias.
struct Tally {
#if defined(__AVX512F__)
    int64_t count = 0;
    REKUR_INLINE void add(Vec<float> u, Vec<float> bias) {
        count += __builtin_popcount(_mm512_cmp_ps_mask((__m512)u, (__m512)bias, _CMP_GT_OQ));
    }
    REKUR_INLINE int64_t total() const { return count; }
#elif defined(__AVX2__)
    int64_t count = 0;
    REKUR_INLINE void add(Vec<float> u, Vec<float> bias) {
        const __m256 above = _mm256_cmp_ps((__m256)u, (__m256)bias, _CMP_GT_OQ);
        count += __builtin_popcount(static_cast<unsigned>(_mm256_movemask_ps(above)));
    }
    REKUR_INLINE int64_t total() const { return count; }
#else
    Simd<float>::Int counts{};
    REKUR_INLINE void add(Vec<float> u, Vec<float> bias) { counts -= u > bias; }
    REKUR_INLINE int64_t total() const {
        int64_t sum = 0;
        for (int64_t lane = 0; lane < wide; ++lane) sum += counts[lane];
        return sum;
    }
#endif
};

// Adds how many of some vectors of outputs are above each of n biases.
template <int n>
REKUR_INLINE void tally(const float* outputs, int64_t size, const float* biases, int64_t* counts) {
    Tally tallies[n];
    Vec<float> bias[n];
    for (int i = 0; i < n; ++i) bias[i] = all(biases[i]);
    for (int64_t at = 0; at < size; at += wide) {
        const Vec<float> u = load(outputs + at);
        for (int i = 0; i < n; ++i) tallies[i].add(u, bias[i]);
    }
    for (int i = 0; i < n; ++i) counts[i] += tallies[i].total();
}

// Counts for one dilation of one row after another.
class Counter {
public:
    explicit Counter(const Above& a) : a_(a) {
        for (int64_t j = 0; j < a.dilations; ++j) reach_ = std::max(reach_, above_side * a.dilation[j]);
        const int64_t fits = numbers_at_once / (above_taps * a.channels) / wide * wide;
        chunk_ = std::min<int64_t>(512, std::max<int64_t>(64, fits));
        stride_ = chunk_ + wide;
        taps_.reset(new float[static_cast<size_t>(a.channels * above_taps * stride_)]);
        outputs_.reset(new float[static_cast<size_t>(stride_)]);
        counts_.resize(static_cast<size_t>(above_kernels * *std::max_element(a.counts, a.counts + a.dilations)));
    }

    void count(int64_t row, int64_t number) {
        const int64_t begin = a_.begin[row], end = a_.end[row];
        std::fill(counts_.begin(), counts_.end(), 0);
        int64_t first = 0;
        for (int64_t j = 0; j < number; ++j) first += above_kernels * a_.counts[j];
        if (begin < end) {
            if (row != row_) read(row);
            list_channels(number);
        }
        for (int64_t time = begin; time < end; time += chunk_) {
            count_chunk(number, a_.biases + first, time, std::min(chunk_, end - time));
        }
        write(number, row, row * a_.size + first);
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
        int64_t* counts = counts_.data();
        for (int64_t i = 0; i < above_taps; ++i) {
            for (int64_t j = i + 1; j < above_taps; ++j) {
                for (int64_t k = j + 1; k < above_taps; ++k, ++kernel, bias += biases, counts += biases) {
                    const bool whole = is_whole(number, kernel);
                    const int64_t begin = whole ? 0 : early, end = whole ? size : late;
                    if (begin == end) continue;
                    add_up(kernel, i, j, k, begin, end);
                    compare(end - begin, bias, biases, counts);
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

    // Writes the outputs of a kernel, and minus infinity to the end of a vector.
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
        for (int64_t at = end - begin; at % wide != 0; ++at) {
            outputs_[static_cast<size_t>(at)] = -std::numeric_limits<float>::infinity();
        }
    }

    void compare(int64_t size, const float* biases, int64_t count, int64_t* counts) {
        int64_t b = 0;
        for (; b + 4 <= count; b += 4) tally<4>(outputs_.get(), size, biases + b, counts + b);
        for (; b < count; ++b) tally<1>(outputs_.get(), size, biases + b, counts + b);
    }

    // The results of a dilation, the first of which stands at a place.
    void write(int64_t number, int64_t row, int64_t place) {
        const int64_t biases = a_.counts[number], all = above_kernels * biases;
        int64_t* counts = counts_.data();
        for (int64_t i = 0; a_.before && i < all; ++i) counts[i] += a_.before[place + i];
        if (a_.totals) std::copy(counts, counts + all, a_.totals + place);
        for (int64_t kernel = 0; a_.shares && kernel < above_kernels; ++kernel) {
            const int64_t fringe = is_whole(number, kernel) ? 0 : above_side * a_.dilation[number];
            const double outputs = static_cast<double>(std::max<int64_t>(a_.lengths[row] - 2 * fringe, 1));
            for (int64_t i = kernel * biases; i < (kernel + 1) * biases; ++i) {
                a_.shares[place + i] = static_cast<float>(static_cast<double>(counts[i]) / outputs);
            }
        }
    }

    const Above& a_;
    int64_t reach_ = 0, chunk_, stride_, width_ = 0, row_ = -1, listed_ = -1;
    std::unique_ptr<float[]> taps_, outputs_;
    std::vector<float> series_;
    std::vector<int64_t> chosen_, counts_;
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
