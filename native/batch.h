// Where the rows and steps of a batch stand that was laid out by others.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "given.h"

namespace rekur {

// An array (B, T, numbers) in any strides but that of its last axis.
template <class S>
struct Padded {
    S* data;
    int64_t row, step;
};

// Where the rows of a batch stand: those that have a step, in order of falling length.
struct Batch {
    int64_t size, steps, rows;  // B, T and R
    int64_t places = 0;  // N
    bool whole, reverse;
    std::vector<int64_t> order, lengths;             // (R)
    std::vector<int64_t> first, active;              // (T) of the longest row
    std::vector<int64_t> steps_of;                   // (B)
    std::vector<std::unique_ptr<int64_t[]>> begins;  // of what was laid out by others

    Batch(const Given& given, int64_t B, int64_t T) : size(B), steps(T), rows(B), whole(true) {
        reverse = given.whole("reverse") != 0;
        if (const int64_t* real = given.array<const int64_t>("lengths", B)) {
            whole = false;
            for (int64_t b = 0; b < B; ++b) {
                if (real[b] < 0 || real[b] > T) {
                    throw std::invalid_argument("lengths: expected steps from 0 to " + std::to_string(T) + ".");
                }
                if (real[b] > 0) order.push_back(b);
            }
            std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return real[a] > real[b]; });
            for (int64_t b : order) lengths.push_back(real[b]);
            rows = static_cast<int64_t>(order.size());
        }
        if (rows < 1 || T < 1) throw std::invalid_argument("lengths: expected at least one row that has a step.");
        steps_of.assign(static_cast<size_t>(B), whole ? T : 0);
        for (int64_t r = 0; !whole && r < rows; ++r) steps_of[static_cast<size_t>(number(r))] = length(r);
        const int64_t longest = whole ? T : lengths[0];
        int64_t left = rows;
        for (int64_t t = 0; t < longest; ++t) {
            while (!whole && lengths[static_cast<size_t>(left - 1)] <= t) --left;
            first.push_back(places);
            active.push_back(left);
            places += left;
        }
    }

    Layout at() const { return {first.data(), active.data(), 1, static_cast<int64_t>(first.size()), rows}; }
    const int64_t* ordered() const { return whole ? nullptr : order.data(); }
    const int64_t* real() const { return whole ? nullptr : lengths.data(); }
    int64_t number(int64_t row) const { return whole ? row : order[static_cast<size_t>(row)]; }
    int64_t length(int64_t row) const { return whole ? steps : lengths[static_cast<size_t>(row)]; }

    template <class S>
    Walk walk(const Padded<S>& array) {
        begins.emplace_back(new int64_t[static_cast<size_t>(rows)]);
        int64_t* row = begins.back().get();
        for (int64_t r = 0; r < rows; ++r) {
            row[r] = number(r) * array.row + (reverse ? (length(r) - 1) * array.step : 0);
        }
        return {nullptr, row, reverse ? -array.step : array.step, 0};
    }

    // Zeros where no row has a step, in one of several parts of the rows.
    template <class S>
    void clear(const Padded<S>& array, int64_t numbers, int64_t part, int64_t parts) const {
        for (int64_t b = part; b < size; b += parts) {
            for (int64_t t = steps_of[static_cast<size_t>(b)]; t < steps; ++t) {
                std::memset(array.data + b * array.row + t * array.step, 0, static_cast<size_t>(numbers) * sizeof(S));
            }
        }
    }
};

template <class S>
Padded<S> padded_array(const Given& given, const char* name, int64_t B, int64_t T, int64_t numbers) {
    const nb::handle one = given.find(name);
    if (!one.is_valid()) return {nullptr, 0, 0};
    View found;
    if (!view_of(one, !std::is_const_v<S>, found) || !found.of<S>() || found.axes != 3 || found.sizes[0] != B ||
        found.sizes[1] != T || found.sizes[2] != numbers || (numbers > 1 && found.strides[2] != 1)) {
        throw std::invalid_argument(std::string(name) + ": expected an array (" + std::to_string(B) + ", " +
                                    std::to_string(T) + ", " + std::to_string(numbers) +
                                    ") of the kernel's own dtype, its last axis contiguous.");
    }
    return {static_cast<S*>(found.data), found.strides[0], found.strides[1]};
}

}  // namespace rekur
