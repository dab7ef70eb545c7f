// Weights of a step in 32, 16 or 8 bits, in the panels that stepper_product.h reads. Done once, when a stepper is made.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels.h"
#include "memory.h"
#include "stepper.h"

namespace rekur {

// Memory from a cache line's border, or on large pages where it is much.
using Lines = Room<char>;

inline Lines lines(int64_t bytes) { return Lines(std::max<int64_t>(bytes, 1)); }

struct PackedStep {
    Lines weights, scale, sums;
    StepWeights view{};
};

// The number nearest to wanted of those whose lower 16 bits are given. Half the step of such numbers is the most that
// it is off, as with any 16 bits; and the lower bits need not be cleared when it is read.
inline uint32_t pack_upper(float wanted, uint32_t lower_bits) {
    uint32_t bits;
    std::memcpy(&bits, &wanted, 4);
    const uint32_t sign = bits & 0x80000000u;
    const int64_t size = static_cast<int64_t>(bits & 0x7fffffffu) - lower_bits + 0x8000;
    const int64_t upper = std::clamp<int64_t>(size >> 16, 0, 0x7f7f);
    return sign | static_cast<uint32_t>(upper << 16);
}

// For two rows of a panel, the first in the lower bits and the second in the upper ones.
inline uint32_t pack_pair(float first, float second) {
    const uint32_t lower_bits = pack_upper(first, 0) >> 16;
    return pack_upper(second, lower_bits) | lower_bits;
}

// Panels of gates · units · lanes columns of weight (gates · columns, depth).
class StepPacker {
public:
    StepPacker(const Packing& how, Precision precision) : how_(how), precision_(precision) {
        const int64_t vectors = (how.columns + how.lanes - 1) / how.lanes;
        width_ = std::min<int64_t>(how.units, vectors) * how.lanes * how.gates;
        groups_ = precision == Precision::float32 ? how.depth
                                                  : (how.depth + per_word() - 1) / per_word();  // of k, 4 bytes each
        all_ = vectors * how.lanes * how.gates;
    }

    PackedStep operator()(const float* weight) const {
        std::vector<float> scale;
        if (precision_ == Precision::int8) scale = row_scales(weight);
        const auto plain = panels(weight);
        PackedStep to;
        to.weights = lines(all_ * groups_ * 4);
        auto* words = reinterpret_cast<uint32_t*>(to.weights.get());
        std::vector<float> column_scale;
        if (precision_ == Precision::int8) column_scale = panels_of_rows(scale);
        std::vector<int32_t> sums(static_cast<size_t>(all_), 0);
        for (int64_t begin = 0; begin < all_; begin += width_) {
            const int64_t wide = std::min(width_, all_ - begin);
            const float* from = plain.data() + begin * how_.depth;
            for (int64_t group = 0; group < groups_; ++group) {
                for (int64_t column = 0; column < wide; ++column) {
                    const float step = column_scale.empty() ? 0 : column_scale[static_cast<size_t>(begin + column)];
                    *words++ = word(from + column, wide, group * per_word(), step,
                                    sums[static_cast<size_t>(begin + column)]);
                }
            }
        }
        if (precision_ == Precision::int8) {
            to.scale = copied(column_scale);
            for (int32_t& sum : sums) sum *= -64;  // the zero point 8192 is 64 of the upper seven bits
            to.sums = copied(sums);
        }
        to.view = {how_.depth, width_ * groups_ * 4, width_, to.weights.get(),
                   reinterpret_cast<const float*>(to.scale.get()), reinterpret_cast<const int32_t*>(to.sums.get())};
        return to;
    }

private:
    int64_t per_word() const { return precision_ == Precision::int8 ? 4 : precision_ == Precision::bfloat16 ? 2 : 1; }

    // The weights of one column from k on, in 32 bits.
    uint32_t word(const float* from, int64_t wide, int64_t k, float step, int32_t& sum) const {
        const auto at = [&](int64_t i) { return i < how_.depth ? from[i * wide] : 0.0f; };
        uint32_t bits = 0;
        if (precision_ == Precision::float32) {
            const float weight = at(k);
            std::memcpy(&bits, &weight, 4);
        } else if (precision_ == Precision::bfloat16) {
            bits = pack_pair(at(k), at(k + 1));
        } else {
            for (int64_t byte = 0; byte < 4; ++byte) {
                const auto number = step > 0 ? static_cast<int32_t>(std::lrintf(at(k + byte) / step)) : 0;
                sum += number;
                bits |= (static_cast<uint32_t>(number) & 255u) << (8 * byte);
            }
        }
        return bits;
    }

    std::vector<float> panels(const float* weight) const {
        std::vector<float> to(static_cast<size_t>(how_.size()));
        pack(how_, weight, to.data());
        return to;
    }

    // The greatest size in each row of the weights is 127 steps.
    std::vector<float> row_scales(const float* weight) const {
        std::vector<float> scale;
        for (int64_t row = 0; row < how_.gates * how_.columns; ++row) {
            float most = 0;
            for (int64_t k = 0; k < how_.depth; ++k) most = std::max(most, std::fabs(weight[row * how_.depth + k]));
            scale.push_back(most / 127);
        }
        return scale;
    }

    std::vector<float> panels_of_rows(const std::vector<float>& rows) const {
        Packing how = how_;
        how.depth = how.column_stride = 1;
        std::vector<float> to(static_cast<size_t>(how.size()));
        pack(how, rows.data(), to.data());
        return to;
    }

    template <class T>
    static Lines copied(const std::vector<T>& from) {
        Lines to = lines(static_cast<int64_t>(from.size() * sizeof(T)));
        std::memcpy(to.get(), from.data(), from.size() * sizeof(T));
        return to;
    }

    Packing how_;
    Precision precision_;
    int64_t width_, groups_, all_;
};

}  // namespace rekur
