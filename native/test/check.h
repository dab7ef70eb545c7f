// What the checks share: arrays that end where they say, numbers drawn from a seed, threads, a count of failures.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "../kernels.h"

#if defined(__SANITIZE_ADDRESS__)
#define REKUR_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REKUR_POISON 1
#endif
#endif
#if defined(REKUR_POISON)
#include <sanitizer/asan_interface.h>
#endif

namespace rekur {
namespace check {

// Exactly so many numbers, off any vector's border: a sanitizer sees the first byte that is read beyond them.
template <class S>
class Exact {
public:
    Exact() : Exact(0) {}
    explicit Exact(int64_t size, S value = S(0)) : size_(size), memory_(new S[static_cast<size_t>(size + skip)]) {
#if defined(REKUR_POISON)
        ASAN_POISON_MEMORY_REGION(memory_.get(), 8);
#endif
        for (int64_t i = 0; i < size; ++i) data()[i] = value;
    }
    Exact(const Exact& other) : Exact(other.size_) {
        if (size_ > 0) std::memcpy(data(), other.data(), bytes());
    }
    Exact(Exact&&) = default;
    Exact& operator=(Exact other) {
        std::swap(size_, other.size_);
        std::swap(memory_, other.memory_);
        return *this;
    }

    S* data() { return memory_.get() + skip; }
    const S* data() const { return memory_.get() + skip; }
    S& operator[](int64_t i) { return data()[i]; }
    const S& operator[](int64_t i) const { return data()[i]; }
    int64_t size() const { return size_; }
    size_t bytes() const { return static_cast<size_t>(size_) * sizeof(S); }
    S* or_null() { return size_ > 0 ? data() : nullptr; }
    const S* or_null() const { return size_ > 0 ? data() : nullptr; }

private:
    static constexpr int64_t skip = sizeof(S) == 4 ? 3 : 8 / sizeof(S);  // of which the first eight bytes may not be touched
    int64_t size_;
    std::unique_ptr<S[]> memory_;
};

// Numbers between -1 and 1 in single precision, so that both precisions are given the same.
class Random {
public:
    explicit Random(uint64_t seed) : state_(seed * 2654435761u + 1) {}

    double next() {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return static_cast<float>(static_cast<double>(state_ >> 33) / 1073741824.0 - 1.0);
    }

    template <class S>
    Exact<S> array(int64_t size, double scale = 1) {
        Exact<S> numbers(size);
        for (int64_t i = 0; i < size; ++i) numbers[i] = static_cast<S>(static_cast<float>(next() * scale));
        return numbers;
    }

private:
    uint64_t state_;
};

// Where one check stands, in words, and how many were made and failed.
struct Report {
    std::string where;
    int64_t made = 0, failed = 0;

    void that(bool holds, const std::string& what) {
        ++made;
        if (holds) return;
        if (++failed <= 20) std::printf("FAILED %s: %s\n", where.c_str(), what.c_str());
    }
};

template <class S>
bool same_bits(const S* a, const S* b, int64_t count) {
    return count == 0 || std::memcmp(a, b, static_cast<size_t>(count) * sizeof(S)) == 0;
}

// Whether a number is as near to the truth as its precision lets it be after a few steps.
template <class S>
bool near(S got, double truth) {
    const double most = sizeof(S) == 4 ? 5e-5 : 1e-12;
    return std::fabs(static_cast<double>(got) - truth) <= most * (1 + std::fabs(truth));
}

// Calls f(share) for every part, each in a thread of its own.
template <class F>
void in_parts(int parts, bool by_units, F&& f) {
    Barrier barrier;
    std::vector<std::thread> others;
    const auto share = [&](int part) { return Share{part, parts, by_units ? &barrier : nullptr}; };
    for (int part = 1; part < parts; ++part) others.emplace_back([&, part] { f(share(part)); });
    f(share(0));
    for (std::thread& other : others) other.join();
}

// Rows of falling length and where their steps stand: one step after another, or one row after another.
struct Ragged {
    std::vector<int64_t> lengths;
    Exact<int64_t> first, active;
    int64_t steps, stride, places = 0;

    Ragged(std::vector<int64_t> of_rows, bool rows_apart) : lengths(std::move(of_rows)), steps(lengths.at(0)) {
        first = Exact<int64_t>(steps);
        active = Exact<int64_t>(steps);
        stride = rows_apart ? steps : 1;
        int64_t sum = 0;
        for (int64_t t = 0; t < steps; ++t) {
            for (int64_t length : lengths) active[t] += length > t;
            first[t] = rows_apart ? t : sum;
            sum += active[t];
            places = std::max(places, at().place(t, active[t] - 1) + 1);
        }
    }

    int64_t rows() const { return static_cast<int64_t>(lengths.size()); }
    Layout at() const { return {first.data(), active.data(), stride, steps, rows()}; }
};

// Lengths from steps down to nothing, or all alike.
inline std::vector<int64_t> lengths_of(int64_t rows, int64_t steps, bool ragged) {
    std::vector<int64_t> lengths;
    for (int64_t r = 0; r < rows; ++r) lengths.push_back(ragged && rows > 1 ? steps - r * steps / (rows - 1) : steps);
    return lengths;
}

inline double squash(double x) { return 1 / (1 + std::exp(-x)); }

template <class S>
constexpr S nan = std::numeric_limits<S>::quiet_NaN();

void check_recurrences(const InstructionSet& set, Report& report);
void check_products(const InstructionSet& set, Report& report);
void check_variants(const InstructionSet& set, Report& report);
void check_steps(const InstructionSet& set, Report& report);
void check_cells(const InstructionSet& set, Report& report);
void check_rows(const InstructionSet& set, Report& report);
void check_likeliest(const InstructionSet& set, Report& report);
void check_above(const InstructionSet& set, Report& report);
void check_recalls(Report& report);

}  // namespace check
}  // namespace rekur
