// What likeliest.h describes, for one instruction set. A row has the same bits whatever stands beside it, in any parts.
#pragma once

#include <cmath>
#include <limits>

#include "activations.h"
#include "product.h"
#include "likeliest.h"
#include "rows_run.h"

namespace rekur {
namespace REKUR_ISA {

constexpr int64_t group_panels = 8, likeliest_rows = 256;  // rows at a time: they stay in the second cache
constexpr float least_greatest = std::numeric_limits<float>::lowest();
constexpr float far_above = 40;  // e^40 times the columns of a group is a number still

REKUR_INLINE bool any_above(Vec<float> x, float bound) {
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(bound), _CMP_GT_OQ) != 0;
#elif defined(__AVX2__)
    return _mm256_movemask_ps(_mm256_cmp_ps((__m256)x, _mm256_set1_ps(bound), _CMP_GT_OQ)) != 0;
#else
    bool above = false;
    for (int lane = 0; lane < lanes<float>; ++lane) above |= x[lane] > bound;
    return above;
#endif
}

// Puts a column among the best of a row, which has a place for it; of equals the one that came first stays ahead.
inline void put_among(float* scores, int64_t* found, int64_t count, float score, int64_t column) {
    int64_t at = count - 1;
    for (; at > 0 && scores[at - 1] < score; --at) {
        scores[at] = scores[at - 1];
        found[at] = found[at - 1];
    }
    scores[at] = score;
    found[at] = column;
}

// What a part of the columns says of the rows so far.
class RowDigests {
public:
    RowDigests(const Likeliest& a, int part) : a_(a), part_(part) {}

    // Begins with some rows.
    void begin(int64_t row, int64_t count) {
        row_ = row;
        for (int64_t i = 0; i < count * a_.count; ++i) scores(0)[i] = nothing;
        for (int64_t i = 0; i < count * a_.count; ++i) found(0)[i] = 0;
    }

    // Takes the numbers of one row in a panel.
    REKUR_INLINE void take(int64_t row, bool first, const Units<float>& place, int wide, const Vec<float>* x) {
        Vec<float> top = x[0];
        for (int v = 1; v < wide; ++v) top = x[v] > top ? x[v] : top;
        float& base = bases_[row];
        Vec<float>& sum = sums_[row];
        if (first) {
            const float most = greatest(top, lanes<float>);
            base = most > least_greatest ? most : least_greatest;
            sum = Vec<float>{};
        }
        if (any_above(top, base + far_above)) {
            const float most = greatest(top, lanes<float>);
            sum = sum * exp_negative(all(base - most));
            base = most;
        }
        if (any_above(top, scores(row)[a_.count - 1])) look(row, place, wide, x);
        for (int v = 0; v < wide; ++v) sum += exp_negative(x[v] - base);
    }

    // Ends a group of columns for some rows.
    void close(int64_t group, int64_t count) {
        float* to = a_.sums + (group * a_.rows + row_) * 2;
        for (int64_t row = 0; row < count; ++row) {
            to[2 * row] = bases_[row];
            float sum = 0;
            for (int lane = 0; lane < lanes<float>; ++lane) sum += sums_[row][lane];
            to[2 * row + 1] = sum;
        }
    }

private:
    float* scores(int64_t row) const { return a_.part_scores + (part_ * a_.rows + row_ + row) * a_.count; }
    int64_t* found(int64_t row) const { return a_.part_found + (part_ * a_.rows + row_ + row) * a_.count; }

    bool is_apart(int64_t column) const {
        for (int64_t i = 0; i < a_.apart_count; ++i) {
            if (a_.apart[i] == column) return true;
        }
        return false;
    }

    void look(int64_t row, const Units<float>& place, int wide, const Vec<float>* x) const {
        float *best = scores(row), &lowest = best[a_.count - 1];
        for (int v = 0; v < wide; ++v) {
            if (!any_above(x[v], lowest)) continue;
            for (int lane = 0; lane < lanes<float>; ++lane) {
                const int64_t column = place.at(v) + lane;
                if (x[v][lane] > lowest && !is_apart(column)) put_among(best, found(row), a_.count, x[v][lane], column);
            }
        }
    }

    const Likeliest& a_;
    int64_t part_, row_ = 0;
    float bases_[likeliest_rows];
    Vec<float> sums_[likeliest_rows];
};

inline int64_t groups_of(int64_t columns) {
    return vectors_of(vectors_of(vectors_of(columns, lanes<float>), product_vectors), group_panels);
}

inline void run_likeliest(const Likeliest& a, const Share& share) {
    FlushDenormals flush;
    const int64_t vectors = vectors_of(a.columns, lanes<float>), panels = vectors_of(vectors, product_vectors);
    const int64_t groups = groups_of(a.columns);
    const int64_t from = groups * share.part / share.parts, to = groups * (share.part + 1) / share.parts;
    RowDigests digests(a, share.part);
    for (int64_t some = 0; some < a.rows; some += likeliest_rows) {
        const int64_t count = a.rows - some < likeliest_rows ? a.rows - some : likeliest_rows;
        digests.begin(some, count);
        for (int64_t panel = from * group_panels; panel < panels && panel < to * group_panels; ++panel) {
            const Units<float> place{panel * product_vectors * lanes<float>, a.columns};
            const float* weight = a.weight + place.first * a.depth;
            const int wide = width_of(vectors, panel, product_vectors);
            const bool first = panel % group_panels == 0;
            in_blocks(count, tile_rows(wide), [&](int64_t begin, int height) {
                Tile<float> tile;
                tile.height = height;
                tile.vectors = wide;
                for (int v = 0; v < wide; ++v) {
                    const Vec<float> bias = load(a.bias + place.at(v));
                    for (int m = 0; m < height; ++m) tile.row(m)[v] = bias;
                }
                multiply_of<float>(height, wide)(tile.sum, a.in + (some + begin) * a.depth, a.depth, weight, a.depth);
                for (int m = 0; m < height; ++m) digests.take(begin + m, first, place, wide, tile.row(m));
                for (int64_t i = 0; i < a.apart_count; ++i) {
                    const int64_t at = a.apart[i] - place.first;
                    if (at < 0 || at >= wide * lanes<float>) continue;
                    for (int m = 0; m < height; ++m) {
                        a.apart_scores[(some + begin + m) * a.apart_count + i] =
                            tile.row(m)[at / lanes<float>][at % lanes<float>];
                    }
                }
            });
            if ((panel + 1) % group_panels == 0 || panel + 1 == panels) digests.close(panel / group_panels, count);
        }
    }
}

// The logarithm of the sum of a row's powers.
inline float log_total_of(const Likeliest& a, int64_t row) {
    const int64_t groups = groups_of(a.columns);
    const float* sums = a.sums + 2 * row;
    float most = least_greatest, total = 0;
    for (int64_t group = 0; group < groups; ++group) {
        const float greatest = sums[group * a.rows * 2];
        most = greatest > most ? greatest : most;
    }
    for (int64_t group = 0; group < groups; ++group) {
        const float* of = sums + group * a.rows * 2;
        total += of[1] * std::exp(of[0] - most);
    }
    return most + std::log(total);
}

// What so many parts found becomes the results.
inline void join_likeliest(const Likeliest& a, int parts) {
    for (int64_t row = 0; row < a.rows; ++row) {
        float* scores = a.scores + row * a.count;
        int64_t* found = a.found + row * a.count;
        for (int64_t i = 0; i < a.count; ++i) {
            scores[i] = a.part_scores[row * a.count + i];
            found[i] = a.part_found[row * a.count + i];
        }
        for (int part = 1; part < parts; ++part) {
            const int64_t first = (part * a.rows + row) * a.count;
            for (int64_t i = first; i < first + a.count && a.part_scores[i] > scores[a.count - 1]; ++i) {
                put_among(scores, found, a.count, a.part_scores[i], a.part_found[i]);
            }
        }
        const float total = log_total_of(a, row);
        for (int64_t i = 0; i < a.count; ++i) scores[i] -= total;
        for (int64_t i = 0; i < a.apart_count; ++i) a.apart_scores[row * a.apart_count + i] -= total;
    }
}

}  // namespace REKUR_ISA
}  // namespace rekur
