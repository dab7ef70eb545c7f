// What Python gives a kernel: arrays and numbers are checked here; below, nothing is.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels.h"
#include "layout.h"
#include "view.h"

namespace rekur {

// An array's numbers, at least so many: taken where they are, never converted, since what is written must be the caller's.
template <class T>
T* numbers_of(const View& found, const char* name, int64_t size) {
    if (!found.of<T>() || !found.contiguous()) {
        throw std::invalid_argument(std::string(name) + ": expected a contiguous array of the kernel's own dtype.");
    }
    if (found.size() < size) {
        throw std::invalid_argument(std::string(name) + ": got " + std::to_string(found.size()) +
                                    " numbers; expected " + std::to_string(size) + ".");
    }
    return static_cast<T*>(found.data);
}

template <class T>
T* numbers_of(nb::handle object, const char* name, int64_t size) {
    View found;  // of something else: none of any dtype
    view_of(object, !std::is_const_v<T>, found);
    return numbers_of<T>(found, name, size);
}

// What one call is given.
class Given {
public:
    explicit Given(const nb::dict& values) : values_(values) {}

    template <class T>
    T* array(const char* name, int64_t size, bool needed = false) const {
        const nb::handle one = find(name);
        if (!one.is_valid()) {
            if (needed) throw std::invalid_argument(std::string(name) + ": got none; expected an array.");
            return nullptr;
        }
        return numbers_of<T>(one, name, size);
    }

    // What has a name, or nothing; None is nothing.
    nb::handle find(const char* name) const {
        PyObject* found = PyDict_GetItemString(values_.ptr(), name);
        return found == Py_None ? nb::handle() : nb::handle(found);
    }
    bool has(const char* name) const { return find(name).is_valid(); }
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
        View found;
        const nb::handle one = find(name);
        return one.is_valid() && view_of(one, false, found) && found.of<int64_t>() ? found.size() : 0;
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
