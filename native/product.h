// out = in · weightᵀ + bias for many rows, each the same bits whatever rows stand around it.
#pragma once

#include "drive.h"

namespace rekur {
namespace REKUR_ISA {

constexpr int product_vectors = REKUR_REGISTERS == 16 ? 3 : 4;
constexpr int64_t product_rows = 10 * tile_rows(product_vectors);  // at a time: they stay in the nearest cache

template <class S>
void run_product(const Product<S>& a, const Share& share) {
    FlushDenormals flush;
    const int64_t vectors = vectors_of(a.columns, lanes<S>);
    const int64_t panels = vectors_of(vectors, product_vectors);
    const int64_t from = a.rows * share.part / share.parts, to = a.rows * (share.part + 1) / share.parts;
    for (int64_t some = from; some < to; some += product_rows) {
        const int64_t count = to - some < product_rows ? to - some : product_rows;
        for (int64_t panel = 0; panel < panels; ++panel) {
            const Units<S> place{panel * product_vectors * lanes<S>, a.columns};
            const S* weight = a.weight + place.first * a.depth;
            const int wide = width_of(vectors, panel, product_vectors);
            in_blocks(count, tile_rows(wide), [&](int64_t first, int height) {
                const int64_t row = some + first;
                Tile<S> tile;
                tile.height = height;
                tile.vectors = wide;
                for (int v = 0; v < wide; ++v) {
                    const Vec<S> bias = a.bias ? load(a.bias + place.at(v), place.count(v)) : Vec<S>{};
                    for (int m = 0; m < height; ++m) tile.row(m)[v] = bias;
                }
                multiply_of<S>(height, wide)(tile.sum, a.in + row * a.in_stride, a.in_stride, weight, a.depth);
                for (int m = 0; m < height; ++m) {
                    S* out = a.out + (row + m) * a.out_stride;
                    for (int v = 0; v < wide; ++v) store(out + place.at(v), tile.row(m)[v], place.count(v));
                }
            });
        }
    }
}

}  // namespace REKUR_ISA
}  // namespace rekur
