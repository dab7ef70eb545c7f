// Windows of a series as a network of forecasts reads them: what rekur.features.window_arrays has in NumPy, for one
// series at a time. Steps count from the first of the values that are given.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels.h"

namespace rekur {

using Numbers = std::vector<double>;

enum class Divisor { one, series, window, deviation };

// A linear map from the last steps of a scaled window to the scaled horizon; weights (groups, steps, horizon).
struct PlainRidge {
    bool log = false;
    int64_t location = 1, steps = 1, groups = 1;
    Divisor divisor = Divisor::one;
    const float* weights = nullptr;
    Numbers sums;  // of the weights over the steps, (groups, horizon)
};

struct WindowSetting {
    int64_t lookback = 1, plain_lookback = 2, horizon = 1, segment = 1, season = 1, between = 1, backtests = 0;
    std::vector<int64_t> periods;  // of the naive forecasts
    std::vector<PlainRidge> ridges;
    int64_t mean_first = 0, mean_last = 0;  // ridges whose mean is a candidate
    const double* usual = nullptr;          // errors on training windows, (groups, K); null for none
    int64_t usual_groups = 0;
    const double* levels = nullptr;  // of each channel in training, (channels, 4): rekur.features.usual_levels
    int64_t channels = 0;
    bool non_negative = false, beyond = true, logs = false, gaps = false;
    double power = 1.0;
    double share = 0.0, largest_log = 0.0, largest_input = 0.0, largest_candidate = 0.0, rounding = 0.0, small = 0.0;

    int64_t candidates() const { return static_cast<int64_t>(ridges.size() + periods.size()) + 1; }
    int64_t slots() const { return between * std::max<int64_t>(backtests - 1, 0) + 1; }  // of remembered errors
    int64_t rows() const { return lookback / segment; }
    int64_t row() const { return segment * (gaps ? 4 : 3); }
    int64_t segments() const { return horizon / segment; }
    int64_t among_usual() const { return channels ? 5 + channels : 0; }
    int64_t segment_row() const {
        return segments() + 2 + among_usual() + 3 * candidates() + 2 * segment * candidates() + segment;
    }
};

// The errors of the candidates at earlier origins, which belong to Python: an origin u has the slot u mod slots.
struct ErrorMemory {
    int64_t* origins;
    double* errors;
};

inline double mean_of(const double* x, int64_t count) {
    double sum = 0.0;
    for (int64_t i = 0; i < count; ++i) sum += x[i];
    return sum / static_cast<double>(count);
}

inline double deviation_of(const double* x, int64_t count, double mean) {
    double sum = 0.0;
    for (int64_t i = 0; i < count; ++i) sum += (x[i] - mean) * (x[i] - mean);
    return std::sqrt(sum / static_cast<double>(count));
}

inline double cut_at(double x, double largest) { return std::min(std::max(x, -largest), largest); }

// A series up to its last value; the first of its values is missing only where there is none before it.
class WindowOfSeries {
public:
    // end: the number of the step behind the last value, by which errors are remembered.
    WindowOfSeries(const WindowSetting& setting, const double* values, int64_t count, int64_t end, int64_t group)
        : s_(setting), raw_(values), count_(count), end_(end), group_(group), filled_(values, values + count) {
        while (first_ < count && std::isnan(values[first_])) ++first_;
        std::fill(filled_.begin(), filled_.begin() + first_, values[first_]);
        for (int64_t j = first_ + 1; j < count; ++j) {
            if (std::isnan(values[j])) filled_[static_cast<size_t>(j)] = filled_[static_cast<size_t>(j) - 1];
        }
    }

    // Writes (rows, row) and (segments, segment_row) numbers, level and scale.
    void read(const ErrorMemory& memory, float* steps, float* ahead, double* told) const {
        const int64_t L = s_.lookback;
        Numbers values(static_cast<size_t>(L));
        window(count_, L, values.data());
        const double level = values.back(), scale = scale_of(values), unit = scale > 0 ? scale : 1.0;
        const Standard standard = standard_of(values);
        write_steps(values, standard, level, unit, steps);
        write_ahead(values, standard, level, unit, memory, ahead);
        told[0] = level;
        told[1] = scale;
    }

private:
    struct Standard {
        Numbers values;  // or logarithms
        double shift, location, spread;
    };

    void window(int64_t origin, int64_t length, double* out) const {
        for (int64_t i = 0, j = origin - length; i < length; ++i, ++j) out[i] = filled_[static_cast<size_t>(j < 0 ? 0 : j)];
    }

    bool is_missing(int64_t step) const { return step < 0 || std::isnan(raw_[step]); }

    // The mean absolute difference over a period of the last values before an origin; 0 without any.
    double mean_difference(int64_t origin, int64_t period, int64_t length) const {
        double sum = 0.0;
        int64_t found = 0;
        for (int64_t j = std::max(origin - length, period); j < origin; ++j) {
            const double each = std::fabs(raw_[j] - raw_[j - period]);
            if (std::isnan(each)) continue;
            sum += each;
            ++found;
        }
        return found ? sum / static_cast<double>(found) : 0.0;
    }

    double plain_scale(int64_t origin) const {
        const int64_t steps = s_.beyond ? 2 * s_.plain_lookback : std::max<int64_t>(1, s_.plain_lookback - s_.season);
        return mean_difference(origin, s_.season, steps);
    }

    // The candidates at an origin, (K, H).
    void candidates(int64_t origin, double scale, double* out) const {
        const int64_t L = s_.plain_lookback, H = s_.horizon;
        Numbers values(static_cast<size_t>(L)), logs, z(static_cast<size_t>(L)), of_logs;
        window(origin, L, values.data());
        for (int64_t i = 0; i < L; ++i) z[static_cast<size_t>(i)] = values[static_cast<size_t>(i)] - values.back();
        double shift = 0.0;
        if (std::any_of(s_.ridges.begin(), s_.ridges.end(), [](const PlainRidge& each) { return each.log; })) {
            double level = 0.0;
            for (const double each : values) level += std::max(each, 0.0);
            level /= static_cast<double>(L);
            shift = s_.share * (level > 0 ? level : 1.0);
            logs = of_logs = Numbers(static_cast<size_t>(L));
            for (size_t i = 0; i < logs.size(); ++i) logs[i] = std::log(std::max(values[i], 0.0) + shift);
            for (size_t i = 0; i < logs.size(); ++i) of_logs[i] = logs[i] - logs.back();
        }
        double* to = out;
        for (const PlainRidge& ridge : s_.ridges) {
            forecast(ridge, ridge.log ? of_logs : z, ridge.log ? logs.back() : values.back(), scale, shift, to);
            to += H;
        }
        for (const int64_t period : s_.periods) {
            for (int64_t h = 0; h < H; ++h) *to++ = values[static_cast<size_t>(L - period + h % period)];
        }
        for (int64_t h = 0; h < H; ++h) *to++ = (out[s_.mean_first * H + h] + out[s_.mean_last * H + h]) / 2;
        if (s_.non_negative) std::for_each(out, to, [](double& each) { each = std::max(each, 0.0); });
    }

    // What a ridge makes of a window less its last value, (H,).
    void forecast(const PlainRidge& ridge, const Numbers& z, double last, double scale, double shift, double* out) const {
        const auto L = static_cast<int64_t>(z.size());
        const int64_t group = std::min(group_, ridge.groups - 1), H = s_.horizon;
        const double location = mean_of(z.data() + L - ridge.location, ridge.location);
        double divisor = 1.0;
        if (ridge.divisor == Divisor::series) divisor = scale;
        if (ridge.divisor == Divisor::deviation) divisor = deviation_of(z.data(), L, mean_of(z.data(), L));
        if (ridge.divisor == Divisor::window) {
            divisor = 0.0;
            for (int64_t i = s_.season; i < L; ++i) {
                divisor += std::fabs(z[static_cast<size_t>(i)] - z[static_cast<size_t>(i - s_.season)]);
            }
            divisor /= static_cast<double>(L - s_.season);
        }
        if (!(divisor > 0)) divisor = 1.0;
        select().step.ridge(z.data() + L - ridge.steps, ridge.weights + group * ridge.steps * H, out, ridge.steps, H);
        const double* sums = ridge.sums.data() + group * H;
        for (int64_t h = 0; h < H; ++h) {
            const double scaled = out[h] - location * sums[h];  // times the divisor
            if (ridge.log) {
                const double bound = cut_at(scaled / divisor, s_.largest_log);
                out[h] = std::exp(bound * divisor + location + last) - shift;
            } else {
                out[h] = scaled + location + last;
            }
        }
    }

    // The mean absolute errors of the candidates at an origin, (K,); NaN where no truth is observed.
    void errors_at(int64_t origin, double* out) const {
        const int64_t H = s_.horizon, K = s_.candidates();
        Numbers forecasts(static_cast<size_t>(K * H));
        candidates(origin, plain_scale(origin), forecasts.data());
        for (int64_t k = 0; k < K; ++k) {
            double sum = 0.0;
            int64_t found = 0;
            for (int64_t h = 0; h < H; ++h) {
                const double truth = raw_[origin + h];
                if (std::isnan(truth)) continue;
                sum += std::fabs(forecasts[static_cast<size_t>(k * H + h)] - truth);
                ++found;
            }
            out[k] = found ? sum / static_cast<double>(found) : std::numeric_limits<double>::quiet_NaN();
        }
    }

    // The backtest error of each candidate, (K,). What was carried into the first value belongs to this window alone.
    Numbers backtest(const ErrorMemory& memory, double scale) const {
        const int64_t K = s_.candidates(), reach = s_.season + 2 * s_.plain_lookback;
        Numbers sums(static_cast<size_t>(K), 0.0), own(static_cast<size_t>(K));
        int64_t found = 0;
        for (int64_t i = 0; s_.beyond && i < s_.backtests; ++i) {
            const int64_t origin = count_ - s_.horizon - s_.between * i, number = end_ - count_ + origin;
            if (origin <= first_ + s_.season) break;
            const int64_t slot = number % s_.slots();
            double* errors = memory.errors + slot * K;
            if (origin <= reach) {
                errors_at(origin, errors = own.data());
            } else if (memory.origins[slot] != number) {
                errors_at(origin, errors);
                memory.origins[slot] = number;
            }
            if (std::isnan(errors[0])) continue;
            for (int64_t k = 0; k < K; ++k) sums[static_cast<size_t>(k)] += errors[k];
            ++found;
        }
        for (int64_t k = 0; k < K; ++k) {
            double& each = sums[static_cast<size_t>(k)];
            if (found) {
                each /= static_cast<double>(found);
            } else {
                each = (scale > 0 ? scale : 1.0) * (s_.usual ? s_.usual[std::min(group_, s_.usual_groups - 1) * K + k] : 1.0);
            }
        }
        return sums;
    }

    // The scale of the window; 0 where that is only rounding.
    double scale_of(const Numbers& values) const {
        double largest = 0.0, scale = 0.0;
        for (const double each : values) largest = std::max(largest, std::fabs(each));
        for (const int64_t period : {int64_t{1}, s_.season}) {
            const int64_t steps = s_.beyond ? s_.lookback : std::max<int64_t>(1, s_.lookback - period);
            const double difference = mean_difference(count_, period, steps);
            if (difference > s_.rounding * largest) scale = difference;
        }
        return scale;
    }

    Standard standard_of(const Numbers& values) const {
        Standard found{values, 0.0, 0.0, 1.0};
        for (const double each : values) found.shift += std::max(each, 0.0);
        found.shift *= s_.share / static_cast<double>(values.size());
        if (!(found.shift > 0)) found.shift = 1.0;
        if (s_.logs) {
            for (double& each : found.values) each = std::log(std::max(each, 0.0) + found.shift);
        }
        const auto count = static_cast<int64_t>(values.size());
        found.location = mean_of(found.values.data(), count);
        const double spread = deviation_of(found.values.data(), count, found.location);
        if (spread > s_.rounding * std::fabs(found.location)) found.spread = spread;
        return found;
    }

    float input(double x) const { return static_cast<float>(cut_at(x, s_.largest_input)); }

    void write_steps(const Numbers& values, const Standard& standard, double level, double unit, float* steps) const {
        const int64_t M = s_.segment, L = s_.lookback;
        int64_t latest = -1;
        for (int64_t i = 0; i < L; ++i) {
            float* to = steps + i / M * s_.row() + i % M;
            const auto at = static_cast<size_t>(i);
            const bool missing = is_missing(count_ - L + i);
            if (!missing) latest = i;
            to[0] = input((standard.values[at] - standard.location) / standard.spread);
            to[M] = input(std::asinh((values[at] - level) / unit));
            to[2 * M] = missing ? 1.0f : 0.0f;
            if (!s_.gaps) continue;
            const double since = missing ? std::log1p(static_cast<double>(i - latest)) : 0.0;
            to[3 * M] = static_cast<float>(since / std::log1p(static_cast<double>(L)));
        }
    }

    void write_ahead(const Numbers& values, const Standard& standard, double level, double unit,
                     const ErrorMemory& memory, float* ahead) const {
        const int64_t M = s_.segment, H = s_.horizon, K = s_.candidates();
        const auto count = static_cast<size_t>(K);
        const double scale = plain_scale(count_);
        Numbers forecasts(static_cast<size_t>(K * H));
        candidates(count_, scale, forecasts.data());
        const Numbers errors = backtest(memory, scale), weights = weights_of(errors);
        double error = 0.0, size = 0.0;
        Numbers relative(count);
        for (size_t k = 0; k < count; ++k) error += weights[k] * (relative[k] = std::max(errors[k] / unit, s_.rounding));
        error = std::max(error, s_.rounding);
        for (const double each : values) size += std::fabs(each);
        const double share = std::log(unit / (size / static_cast<double>(values.size()) + unit));
        std::vector<float> statics{input(share), input(std::log(standard.spread))};
        for (size_t k = 0; k < count; ++k) statics.push_back(input(-(relative[k] = std::log(relative[k])) / 4));
        for (size_t k = 0; k < count; ++k) statics.push_back(input(share + relative[k]));
        for (const double each : among_usual(values, unit)) statics.push_back(input(each));
        for (int64_t a = 0; a < s_.segments(); ++a) {
            float* to = ahead + a * s_.segment_row();
            for (int64_t place = 0; place < s_.segments(); ++place) *to++ = place == a ? 1.0f : 0.0f;
            to = std::copy(statics.begin(), statics.end(), to);
            float* distances = to + M * K;
            for (int64_t h = a * M; h < a * M + M; ++h) {
                for (int64_t k = 0; k < K; ++k) {
                    const double each = forecasts[static_cast<size_t>(k * H + h)];
                    const double turned = s_.logs ? std::log(std::max(each, 0.0) + standard.shift) : each;
                    *to++ = input((turned - standard.location) / standard.spread);
                    *distances++ = static_cast<float>(cut_at((each - level) / unit, s_.largest_candidate));
                }
            }
            to = distances;
            for (size_t k = 0; k < count; ++k) *to++ = static_cast<float>(std::log(std::max(weights[k], 1e-12)));
            std::fill(to, to + M, static_cast<float>(error));
        }
    }

    // Where values lie among those that their channel had in training; zeros for other channels.
    Numbers among_usual(Numbers values, double unit) const {
        Numbers found(static_cast<size_t>(s_.among_usual()), 0.0);
        if (group_ >= s_.channels) return found;
        const double* usual = s_.levels + 4 * group_;
        const auto count = static_cast<int64_t>(values.size());
        for (double& each : values) {
            each = ((s_.logs ? std::log(std::max(each, 0.0) + usual[0]) : each) - usual[1]) / usual[2];
        }
        const double mean = mean_of(values.data(), count);
        const int64_t season = std::min(s_.season, count);
        found[0] = values.back();
        found[1] = mean_of(values.data() + count - season, season);
        found[2] = mean;
        found[3] = std::log(std::max(deviation_of(values.data(), count, mean), s_.small));
        found[4] = std::log(std::max(unit / usual[3], s_.small));
        found[static_cast<size_t>(5 + group_)] = 1.0;
        return found;
    }

    // The weight of each candidate by its error; where errors are 0, only those count.
    Numbers weights_of(const Numbers& errors) const {
        const double largest = *std::max_element(errors.begin(), errors.end());
        const double floor = 1e-9 * (largest > 0 ? largest : 1.0);
        const double least = std::max(*std::min_element(errors.begin(), errors.end()), floor);
        Numbers weights(errors);
        double sum = 0.0;
        for (double& each : weights) sum += each = std::pow(least / std::max(each, floor), s_.power);
        for (double& each : weights) each /= sum;
        return weights;
    }

    const WindowSetting& s_;
    const double* raw_;
    int64_t count_, end_, group_, first_ = 0;
    Numbers filled_;
};

}  // namespace rekur
