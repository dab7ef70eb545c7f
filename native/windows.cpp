// Windows of series as Python sees them. What is given is checked here; in windows.h nothing is.
#include "windows.h"

#include <nanobind/stl/string.h>

#include "given.h"

namespace rekur {
namespace {

Divisor divisor_named(const std::string& name) {
    constexpr const char* names[] = {"one", "series", "window", "deviation"};
    for (int number = 0; number < 4; ++number) {
        if (name == names[number]) return static_cast<Divisor>(number);
    }
    throw std::invalid_argument("divisor: got '" + name + "'; expected one that windows know.");
}

// Makes the windows of any number of series; it never changes.
class Windows {
public:
    explicit Windows(const nb::dict& values) : kept_(values) {
        const Given given(values);
        s_.lookback = given.whole("lookback");
        s_.plain_lookback = given.whole("plain_lookback");
        s_.horizon = given.whole("horizon");
        s_.segment = given.whole("segment");
        s_.season = given.whole("season");
        s_.between = given.whole("between");
        s_.backtests = given.whole("backtests");
        s_.periods = given.list("periods");
        s_.mean_first = given.whole("mean_first");
        s_.mean_last = given.whole("mean_last");
        for (const auto& [name, to] : {std::pair{"non_negative", &s_.non_negative}, {"beyond", &s_.beyond},
                                       {"logs", &s_.logs}, {"gaps", &s_.gaps}}) {
            *to = given.whole(name) != 0;
        }
        for (const auto& [name, to] : {std::pair{"power", &s_.power}, {"share", &s_.share}, {"rounding", &s_.rounding},
                                       {"largest_log", &s_.largest_log}, {"largest_input", &s_.largest_input},
                                       {"largest_candidate", &s_.largest_candidate}, {"small", &s_.small}}) {
            *to = given.number(name);
        }
        check_sizes();
        for (nb::handle one : nb::cast<nb::list>(values["ridges"])) add(Given(nb::cast<nb::dict>(one)));
        const auto count = static_cast<int64_t>(s_.ridges.size());
        if (s_.mean_first < 0 || s_.mean_last < 0 || s_.mean_first >= count || s_.mean_last >= count) {
            throw std::invalid_argument("ridges: expected those whose mean is a candidate.");
        }
        s_.usual_groups = given.whole("usual_groups");
        s_.channels = given.whole("channels");
        if (s_.channels > 0) s_.levels = given.array<const double>("levels", 4 * s_.channels, true);
        if (s_.usual_groups > 0) s_.usual = given.array<const double>("usual", s_.usual_groups * s_.candidates(), true);
    }

    Windows(const Windows&) = delete;
    Windows& operator=(const Windows&) = delete;

    int64_t slots() const { return s_.slots(); }

    // Writes the window behind values (T,), which end with one, and its level and scale.
    void read(nb::handle values, int64_t end, int64_t group, nb::handle origins, nb::handle errors, nb::handle steps,
              nb::handle ahead, nb::handle told) const {
        View given;
        if (!view_of(values, false, given) || given.axes != 1 || given.size() < 1 || given.size() > end || group < 0) {
            throw std::invalid_argument("values, end or group: expected values of one axis, no more than end, and 0 or more.");
        }
        const int64_t count = given.size();
        const auto* from = numbers_of<const double>(given, "values", count);
        if (std::isnan(from[count - 1])) throw std::invalid_argument("values: got none at the end; expected one there.");
        const ErrorMemory memory{numbers_of<int64_t>(origins, "origins", s_.slots()),
                                 numbers_of<double>(errors, "errors", s_.slots() * s_.candidates())};
        WindowOfSeries(s_, from, count, end, group)
            .read(memory, numbers_of<float>(steps, "steps", s_.rows() * s_.row()),
                  numbers_of<float>(ahead, "ahead", s_.segments() * s_.segment_row()),
                  numbers_of<double>(told, "told", 2));
    }

private:
    void check_sizes() const {
        const int64_t L = s_.plain_lookback;
        bool whole = s_.lookback > 0 && L > 1 && s_.horizon > 0 && s_.segment > 0 && s_.season > 0 && s_.season < L &&
                     s_.between > 0 && s_.backtests >= 0 && !s_.periods.empty();
        whole = whole && s_.lookback % s_.segment == 0 && s_.horizon % s_.segment == 0;
        for (const int64_t period : s_.periods) whole = whole && period > 0 && period <= L;
        if (!whole) throw std::invalid_argument("windows: expected other sizes.");
    }

    void add(const Given& given) {
        PlainRidge ridge;
        ridge.log = given.whole("log") != 0;
        ridge.location = given.whole("location");
        ridge.steps = given.whole("steps");
        ridge.groups = given.whole("groups");
        ridge.divisor = divisor_named(given.word("divisor"));
        const int64_t L = s_.plain_lookback, H = s_.horizon;
        if (ridge.location < 1 || ridge.location > L || ridge.steps < 1 || ridge.steps > L || ridge.groups < 1) {
            throw std::invalid_argument("ridge: expected other sizes.");
        }
        ridge.weights = given.array<const float>("weights", ridge.groups * ridge.steps * H, true);
        ridge.sums.assign(static_cast<size_t>(ridge.groups * H), 0.0);
        for (int64_t row = 0; row < ridge.groups * ridge.steps; ++row) {
            double* sums = ridge.sums.data() + row / ridge.steps * H;
            for (int64_t h = 0; h < H; ++h) sums[h] += ridge.weights[row * H + h];
        }
        s_.ridges.push_back(std::move(ridge));
    }

    nb::object kept_;  // the arrays live as long as this does
    WindowSetting s_;
};

}  // namespace

void bind_windows(nb::module_& m) {
    using namespace nb::literals;
    nb::class_<Windows>(m, "Windows")
        .def(nb::init<const nb::dict&>(), "values"_a)
        .def_prop_ro("slots", &Windows::slots)
        .def("read", &Windows::read, "values"_a, "end"_a, "group"_a, "origins"_a, "errors"_a, "steps"_a, "ahead"_a,
             "told"_a);
}

}  // namespace rekur
