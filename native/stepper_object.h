// The stepper: weights packed once, states in an arena that Python owns.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels.h"
#include "stepper_pack.h"
#include "stepper_row.h"
#include "team.h"

namespace rekur {

namespace nb = nanobind;

template <class T, int axes>
using Shaped = nb::ndarray<T, nb::ndim<axes>, nb::c_contig, nb::device::cpu>;

inline Kind step_kind(const std::string& name) {
    if (name == "tanh") return Kind::tanh_rnn;
    if (name == "relu") return Kind::relu_rnn;
    if (name == "lstm") return Kind::lstm;
    if (name == "gru") return Kind::gru;
    throw std::invalid_argument("kind: got '" + name + "'; expected one of tanh, relu, lstm, gru.");
}

inline Precision step_precision(const std::string& name) {
    if (name == "float32") return Precision::float32;
    if (name == "bfloat16") return Precision::bfloat16;
    if (name == "int8") return Precision::int8;
    throw std::invalid_argument("precision: got '" + name + "'; expected one of float32, bfloat16, int8.");
}

constexpr int64_t long_work = 500'000;  // multiply-adds: below, neither the interpreter is let go nor a thread woken

class Stepper {
public:
    // layers: (kind, weight_ih, weight_hh, bias), the bias in the order of the gates' sums.
    Stepper(const nb::list& layers, const std::string& precision) : precision_(step_precision(precision)) {
        for (nb::handle layer : layers) add(nb::cast<nb::tuple>(layer));
        if (layers_.empty()) throw std::invalid_argument("layers: got none; expected one or more.");
    }

    // A second stepper with the same packed weights, and an arena of its own that use() is to bring; the caller's.
    Stepper* twin() const {
        auto* other = new Stepper(precision_);
        other->layers_ = layers_;
        other->packed_ = packed_;
        other->width_ = width_;
        other->work_ = work_;
        return other;
    }

    Stepper(const Stepper&) = delete;
    Stepper& operator=(const Stepper&) = delete;

    int64_t width() const { return width_; }
    bool busy() const { return busy_; }

    // Takes an arena (slots, width) that stays where it is, and the row that step_one() gives back each time.
    void use(Shaped<float, 2> arena, const nb::object& row) {
        const auto output = nb::cast<Shaped<float, 1>>(row, false);
        if (static_cast<int64_t>(arena.shape(1)) != width_ || static_cast<int64_t>(output.shape(0)) != output_size()) {
            throw std::invalid_argument("arena or output: expected other sizes.");
        }
        slots_ = static_cast<int64_t>(arena.shape(0));
        seen_.assign(static_cast<size_t>(slots_), 0);
        round_ = 0;
        arena_ = arena;
        output_ = output;
        output_object_ = row;
        if (scratch_.empty()) scratch_.push_back(lines(scratch_size(step_rows)));
    }

    // The row of outputs, overwritten by the next call; None where the arguments are not as they should be.
    nb::object step_one(nb::handle slot, nb::handle x) {
        const int64_t number = PyLong_CheckExact(slot.ptr()) ? PyLong_AsLongLong(slot.ptr()) : -1;
        if (number < 0 || number >= slots_ || busy_) {
            PyErr_Clear();
            return nb::none();
        }
        const float* row = row_data(numpy_, x.ptr(), input_size());
        if (!row) return nb::none();
        run(&number, 1, row, output_.data(), scratch_[0].get());
        turn_ = !turn_;
        return output_object_;
    }

    // -1, or the first place in slots that names no slot or one for the second time; then nothing was changed.
    int64_t step(Shaped<const int64_t, 1> slots, Shaped<const float, 2> x, Shaped<float, 2> out, int threads) {
        const auto rows = static_cast<int64_t>(slots.shape(0));
        if (static_cast<int64_t>(x.shape(0)) != rows || static_cast<int64_t>(out.shape(0)) != rows ||
            static_cast<int64_t>(x.shape(1)) != input_size() || static_cast<int64_t>(out.shape(1)) != output_size()) {
            throw std::invalid_argument("x or out: expected other sizes.");
        }
        if (busy_) throw std::runtime_error("stepper: got a step while another is under way; expected one at a time.");
        ++round_;
        for (int64_t row = 0; row < rows; ++row) {
            const int64_t slot = slots.data()[row];
            if (slot < 0 || slot >= slots_ || seen_[static_cast<size_t>(slot)] == round_) return row;
            seen_[static_cast<size_t>(slot)] = round_;
        }
        if (rows == 0) return -1;
        if (rows * work_ < long_work) {
            run(slots.data(), rows, x.data(), out.data(), scratch_[0].get());
        } else {
            run_long(slots.data(), rows, x.data(), out.data(), threads);
        }
        turn_ = !turn_;
        return -1;
    }

    // One step of the first slot, for those in C++ who know that the sizes are right.
    void step_first(const float* x, float* out) {
        const int64_t first = 0;
        run(&first, 1, x, out, scratch_[0].get());
        turn_ = !turn_;
    }

    bool ready() const { return slots_ > 0; }
    int64_t input_size() const { return layers_.front().input.depth; }
    int64_t output_size() const { return layers_.back().hidden; }

private:
    explicit Stepper(Precision precision) : precision_(precision) {}

    void add(const nb::tuple& given) {
        const Kind kind = step_kind(nb::cast<std::string>(given[0]));
        const auto weight_ih = nb::cast<Shaped<const float, 2>>(given[1]);
        const auto weight_hh = nb::cast<Shaped<const float, 2>>(given[2]);
        const auto bias = nb::cast<Shaped<const float, 1>>(given[3]);
        const bool gru = kind == Kind::gru, simple = !gru && kind != Kind::lstm;
        const int64_t gates = gru ? 3 : simple ? 1 : 4, sums = simple ? 1 : 4;
        const auto hidden = static_cast<int64_t>(weight_hh.shape(1)), depth = static_cast<int64_t>(weight_ih.shape(1));
        const bool fits = layers_.empty() || depth == output_size();
        if (!fits || static_cast<int64_t>(weight_hh.shape(0)) != gates * hidden ||
            static_cast<int64_t>(weight_ih.shape(0)) != gates * hidden ||
            static_cast<int64_t>(bias.shape(0)) != sums * hidden || hidden < 1 || depth < 1) {
            throw std::invalid_argument("weights: expected other sizes.");
        }
        const StepKernels& kernels = select().step;
        const int units = simple ? kernels.units : 1, lanes = kernels.lanes;
        const auto packed = [&](int64_t pieces, int64_t k, const float* from, Precision how) -> const StepWeights& {
            packed_->push_back(StepPacker({pieces, hidden, k, k, 1, units, lanes}, how)(from));
            return packed_->back().view;
        };
        StepLayer layer{};
        layer.kind = kind;
        layer.hidden = hidden;
        layer.state = width_;
        layer.input = packed(gates, depth, weight_ih.data(), precision_);
        layer.recurrent = packed(gates, hidden, weight_hh.data(), precision_);
        layer.bias = reinterpret_cast<const float*>(packed(sums, 1, bias.data(), Precision::float32).packed);
        layers_.push_back(layer);
        width_ += padded(hidden, state_pad) * (kind == Kind::lstm ? 2 : 1);
        work_ += gates * hidden * (hidden + depth);
    }

    int64_t scratch_size(int64_t rows) const {
        int64_t hidden = 0, depth = 0, columns = 0;
        for (const StepLayer& layer : layers_) {
            hidden = std::max(hidden, layer.hidden);
            depth = std::max({depth, layer.hidden, layer.input.depth});
            columns = std::max(columns, layer.input.columns);
        }
        return StepScratch(hidden, depth, columns, rows).size;
    }

    void run(const int64_t* slots, int64_t rows, const float* x, float* out, char* scratch) const {
        select().step.run({layers_.data(), static_cast<int64_t>(layers_.size()), precision_, arena_.data(), width_,
                           slots, rows, x, out, scratch, turn_});
    }

    void run_long(const int64_t* slots, int64_t rows, const float* x, float* out, int threads) {
        const int64_t most = std::max<int64_t>(1, std::min(rows, rows * work_ / long_work));
        const int parts = static_cast<int>(std::min<int64_t>(std::max(threads, 1), most));
        while (static_cast<int>(scratch_.size()) < parts) scratch_.push_back(lines(scratch_size(step_rows)));
        struct Mark {
            bool& busy;
            explicit Mark(bool& flag) : busy(flag) { busy = true; }
            ~Mark() { busy = false; }
        } mark(busy_);
        nb::gil_scoped_release release;  // let go after the mark is set, and taken back before it is cleared
        run_together(parts, [&](int part, int of) {
            const int64_t from = rows * part / of, to = rows * (part + 1) / of;
            run(slots + from, to - from, x + from * input_size(), out + from * output_size(),
                scratch_[static_cast<size_t>(part)].get());
        });
    }

    NumpyTypes numpy_ = NumpyTypes::find();
    Precision precision_;
    std::vector<StepLayer> layers_;
    // shared with twins, so it is never changed later
    std::shared_ptr<std::vector<PackedStep>> packed_ = std::make_shared<std::vector<PackedStep>>();
    int64_t width_ = 0, work_ = 0, slots_ = 0;
    Shaped<float, 2> arena_;
    Shaped<float, 1> output_;
    nb::object output_object_;
    std::vector<Lines> scratch_;
    std::vector<int64_t> seen_;  // the round in which a slot was last stepped, to find one that is named twice
    int64_t round_ = 0;
    bool busy_ = false, turn_ = false;
};

}  // namespace rekur
