// A matrix that is multiplied with again and again, as Python sees it: packed once.
#include <algorithm>
#include <limits>

#include "given.h"
#include "memory.h"
#include "team.h"

namespace rekur {
namespace {

class Matrix {
public:
    // weight (V, K), bias (V) or None.
    Matrix(nb::handle weight, nb::handle bias) {
        View w;
        if (!view_of(weight, false, w) || w.axes != 2 || w.sizes[0] < 1 || w.sizes[1] < 1) {
            throw std::invalid_argument("weight: expected an array of two axes, neither empty.");
        }
        const Kernels<float>& kernels = select().of<float>();
        columns_ = w.sizes[0];
        depth_ = w.sizes[1];
        const Packing how{1, columns_, depth_, depth_, 1, kernels.panel, kernels.lanes};
        const auto* numbers = numbers_of<const float>(w, "weight", columns_ * depth_);
        weight_ = Room<float>(how.size());
        pack(how, numbers, weight_.get());
        const int64_t all = (columns_ + kernels.lanes - 1) / kernels.lanes * kernels.lanes;
        bias_ = Room<float>(all);
        std::fill(bias_.get(), bias_.get() + columns_, 0.0f);
        std::fill(bias_.get() + columns_, bias_.get() + all, -std::numeric_limits<float>::infinity());
        if (bias.is_none()) return;
        const auto* given = numbers_of<const float>(bias, "bias", columns_);
        std::copy(given, given + columns_, bias_.get());
    }

    Matrix(const Matrix&) = delete;
    Matrix& operator=(const Matrix&) = delete;

    // out = in · weightᵀ + bias; rows of out begin out_stride apart.
    void product(nb::handle in, nb::handle out, int64_t out_stride, int threads) const {
        const View x = rows_of(in);
        Product<float> a{};
        a.rows = x.sizes[0];
        a.depth = a.in_stride = depth_;
        a.columns = columns_;
        a.out_stride = out_stride;
        if (out_stride < columns_) throw std::invalid_argument("out_stride: expected a row's numbers or more.");
        a.in = numbers_of<const float>(x, "in", a.rows * depth_);
        a.weight = weight_.get();
        a.bias = bias_.get();
        a.out = numbers_of<float>(out, "out", a.rows == 0 ? 0 : (a.rows - 1) * out_stride + columns_);
        const Kernels<float>& kernels = select().of<float>();
        nb::gil_scoped_release release;
        run_together(parts_of(a.rows, threads),
                     [&](int part, int all) { kernels.product(a, Share{part, all, nullptr}); });
    }

    // The likeliest columns of each row under the softmax of in · weightᵀ + bias: found and scores (N, C), and the scores
    // (N, A) of the columns that stand apart.
    void likeliest(nb::handle in, nb::handle apart, nb::handle found, nb::handle scores, nb::handle apart_scores,
                   int threads) const {
        const View x = rows_of(in);
        View columns, to;
        Likeliest a{};
        a.rows = x.sizes[0];
        a.depth = depth_;
        a.columns = columns_;
        a.in = numbers_of<const float>(x, "in", a.rows * depth_);
        a.weight = weight_.get();
        a.bias = bias_.get();
        if (!view_of(apart, false, columns) || !view_of(found, true, to) || to.axes != 2 || to.sizes[1] < 1) {
            throw std::invalid_argument("apart and found: expected arrays, that of the columns with two axes.");
        }
        a.apart_count = columns.size();
        a.apart = numbers_of<const int64_t>(columns, "apart", a.apart_count);
        for (int64_t i = 0; i < a.apart_count; ++i) {
            if (a.apart[i] < 0 || a.apart[i] >= columns_) throw std::invalid_argument("apart: expected columns.");
        }
        a.count = to.sizes[1];
        a.found = numbers_of<int64_t>(to, "found", a.rows * a.count);
        a.scores = numbers_of<float>(scores, "scores", a.rows * a.count);
        a.apart_scores = numbers_of<float>(apart_scores, "apart_scores", a.rows * a.apart_count);
        const LikeliestKernels& kernels = select().likeliest;
        const int64_t groups = kernels.groups(columns_);
        const int parts = static_cast<int>(std::min<int64_t>(parts_of(a.rows, threads), groups));
        const Room<float> sums(groups * a.rows * 2), part_scores(parts * a.rows * a.count);
        const Room<int64_t> part_found(parts * a.rows * a.count);
        a.sums = sums.get();
        a.part_scores = part_scores.get();
        a.part_found = part_found.get();
        int came = 1;  // a team may have fewer
        nb::gil_scoped_release release;
        run_together(parts, [&](int part, int all) {
            kernels.run(a, Share{part, all, nullptr});
            if (part == 0) came = all;
        });
        kernels.join(a, came);
    }

private:
    View rows_of(nb::handle in) const {
        View x;
        if (!view_of(in, false, x) || x.axes != 2 || x.sizes[1] != depth_) {
            throw std::invalid_argument("in: expected an array of two axes, whose rows have the matrix's depth.");
        }
        return x;
    }

    int parts_of(int64_t rows, int threads) const {
        return rows * columns_ * depth_ < 100'000 || threads < 1 ? 1 : threads;
    }

    int64_t columns_, depth_;
    Room<float> weight_, bias_;
};

}  // namespace

void bind_matrix(nb::module_& m) {
    using namespace nb::literals;
    nb::class_<Matrix>(m, "Matrix")
        .def(nb::init<nb::handle, nb::handle>(), "weight"_a, "bias"_a.none())
        .def("product", &Matrix::product, "in"_a, "out"_a, "out_stride"_a, "threads"_a)
        .def("likeliest", &Matrix::likeliest, "in"_a, "apart"_a, "found"_a, "scores"_a, "apart_scores"_a, "threads"_a);
}

}  // namespace rekur
