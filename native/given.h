// What Python gives a kernel: arrays and numbers are checked here; below, nothing is.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels.h"
#include "layout.h"

namespace rekur {

namespace nb = nanobind;

template <class T>
using Array = nb::ndarray<T, nb::c_contig, nb::device::cpu>;
template <class T>
using Maybe = std::optional<Array<T>>;

template <class T>
T* checked(const Array<T>& array, int64_t size, const char* name) {
    if (static_cast<int64_t>(array.size()) < size) {
        throw std::invalid_argument(std::string(name) + ": got " + std::to_string(array.size()) +
                                    " numbers; expected " + std::to_string(size) + ".");
    }
    return array.data();
}

template <class T>
T* checked(const Maybe<T>& array, int64_t size, const char* name) {
    return array ? checked(*array, size, name) : nullptr;
}

// What one call is given. Arrays are taken as they are, never converted: what is written into must be the caller's.
class Given {
public:
    explicit Given(const nb::dict& values) : values_(values) {}

    template <class T>
    T* array(const char* name, int64_t size, bool needed = false) const {
        if (!values_.contains(name)) {
            if (needed) throw std::invalid_argument(std::string(name) + ": got none; expected an array.");
            return nullptr;
        }
        Array<T> found;
        if (!nb::try_cast(values_[name], found, false)) {
            throw std::invalid_argument(std::string(name) + ": expected a contiguous array of the kernel's own dtype.");
        }
        return checked(found, size, name);
    }

    bool has(const char* name) const { return values_.contains(name); }
    int64_t whole(const char* name) const { return nb::cast<int64_t>(values_[name]); }
    double number(const char* name) const { return nb::cast<double>(values_[name]); }
    std::string word(const char* name) const { return nb::cast<std::string>(values_[name]); }
    std::vector<int64_t> list(const char* name) const {
        std::vector<int64_t> found;
        for (nb::handle one : nb::cast<nb::list>(values_[name])) found.push_back(nb::cast<int64_t>(one));
        return found;
    }
    // How many numbers an int64 array has, none where it is missing or another thing.
    int64_t numbers(const char* name) const {
        Array<const int64_t> found;
        if (!values_.contains(name) || !nb::try_cast(values_[name], found, false)) return 0;
        return static_cast<int64_t>(found.size());
    }
    int64_t size(const char* name) const { return static_cast<int64_t>(nb::len(nb::handle(values_[name]))); }

private:
    nb::dict values_;
};

inline Layout layout_of(const Given& given) {
    Layout at{};
    at.steps = given.size("first");
    at.first = given.array<const int64_t>("first", at.steps, true);
    at.active = given.array<const int64_t>("active", at.steps, true);
    at.stride = given.has("stride") ? given.whole("stride") : 1;
    at.rows = given.whole("rows");
    return at;
}

// Places that the layout reaches, so that no array is shorter.
inline int64_t places_of(const Layout& at) {
    if (at.stride < 1) {
        throw std::invalid_argument("stride: got " + std::to_string(at.stride) + "; expected 1 or more.");
    }
    int64_t most = 0, before = at.rows;
    for (int64_t t = 0; t < at.steps; before = at.active[t++]) {
        if (at.active[t] < 1 || at.active[t] > before || at.first[t] < 0) {
            throw std::invalid_argument("active: expected rows from 1 to " + std::to_string(at.rows) + ", falling.");
        }
        const int64_t end = at.place(t, at.active[t] - 1) + 1;
        most = end > most ? end : most;
    }
    return most;
}

// Memory on a cache line's border.
template <class S>
using Buffer = std::unique_ptr<S[], void (*)(S*)>;

template <class S>
Buffer<S> buffer(int64_t size) {
    auto* data = static_cast<S*>(::operator new[](static_cast<size_t>(size) * sizeof(S), std::align_val_t{64}));
    return {data, [](S* p) { ::operator delete[](p, std::align_val_t{64}); }};
}

template <class S>
Buffer<S> packed(const Packing& how, const S* weight) {
    auto to = buffer<S>(how.size());
    pack(how, weight, to.get());
    return to;
}

}  // namespace rekur
