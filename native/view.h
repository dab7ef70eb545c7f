// Where the numbers of an array stand that Python holds, and how they lie. What holds it keeps it alive.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <stdexcept>

namespace rekur {

namespace nb = nanobind;

struct View {
    static constexpr int most = 8;  // axes
    void* data = nullptr;
    nb::dlpack::dtype type{};
    bool on_cpu = false;
    int axes = 0;
    int64_t sizes[most]{}, strides[most]{};

    template <class T>
    bool of() const {
        return on_cpu && type == nb::dtype<std::remove_const_t<T>>();
    }

    int64_t size() const {
        int64_t all = 1;
        for (int i = 0; i < axes; ++i) all *= sizes[i];
        return all;
    }

    bool contiguous() const {
        int64_t next = 1;
        for (int i = axes - 1; i >= 0; next *= sizes[i--]) {
            if (sizes[i] != 1 && strides[i] != next && size() > 0) return false;
        }
        return true;
    }
};

// What a library's tensors offer for being looked at without the making of an object: DLPack's DLPackExchangeAPI.
struct Exchange {
    struct {
        uint32_t major, minor;
    } version;
    void *older, *allocate, *own, *to_python;
    int (*look)(void* tensor, nb::dlpack::dltensor* to);
    void* stream;
};

// The one of an object's type, or null.
inline const Exchange* exchange_of(nb::handle object) {
    static PyObject* const name = PyUnicode_InternFromString("__dlpack_c_exchange_api__");
    PyObject* capsule = PyObject_GetAttr(reinterpret_cast<PyObject*>(Py_TYPE(object.ptr())), name);
    const void* found = capsule ? PyCapsule_GetPointer(capsule, "dlpack_exchange_api") : nullptr;
    Py_XDECREF(capsule);  // its type has it still
    if (!found) PyErr_Clear();
    const auto* exchange = static_cast<const Exchange*>(found);
    return exchange && exchange->version.major == 1 && exchange->look ? exchange : nullptr;
}

template <class Found>
bool take_view(const Found& found, View& to) {
    if (found.ndim() > View::most) return false;
    to.data = const_cast<void*>(static_cast<const void*>(found.data()));
    to.type = found.dtype();
    to.on_cpu = found.device_type() == nb::device::cpu::value;
    to.axes = static_cast<int>(found.ndim());
    for (int i = 0; i < to.axes; ++i) {
        to.sizes[i] = static_cast<int64_t>(found.shape(i));
        to.strides[i] = found.stride(i);
    }
    return true;
}

// Refuses an array of numbers without memory, such as a fake tensor or one of the device "meta". Nothing is ever mapped to
// the lowest addresses, at which a view into such an array seems to lie.
inline void check_memory(const View& found) {
    constexpr uintptr_t lowest = 1 << 16;
    if (found.size() > 0 && reinterpret_cast<uintptr_t>(found.data) < lowest) {
        throw std::invalid_argument("array: got one without memory; expected numbers. Is it a fake or a meta tensor?");
    }
}

// Tells whether an object is an array that can be looked at, or `written`, where it is.
inline bool find_view(nb::handle object, bool written, View& to) {
    if (const Exchange* exchange = exchange_of(object)) {
        nb::dlpack::dltensor found;
        if (exchange->look(object.ptr(), &found) != 0) throw nb::python_error();
        if (found.ndim > View::most) return false;
        to.data = static_cast<char*>(found.data) + found.byte_offset;
        to.type = found.dtype;
        to.on_cpu = found.device.device_type == nb::device::cpu::value;
        to.axes = found.ndim;
        int64_t next = 1;
        for (int i = to.axes - 1; i >= 0; next *= to.sizes[i--]) {
            to.sizes[i] = found.shape[i];
            to.strides[i] = found.strides ? found.strides[i] : next;
        }
        return true;
    }
    // tensors of a library without it are handed on only where they are not part of what is differentiated
    const nb::object plain = nb::hasattr(object, "detach") ? object.attr("detach")() : nb::borrow(object);
    nb::ndarray<> writable;
    nb::ndarray<nb::ro> readable;
    if (written) return nb::try_cast(plain, writable, false) && take_view(writable, to);
    return nb::try_cast(plain, readable, false) && take_view(readable, to);
}

// Tells whether an object is an array that can be read, or `written`, where it is.
inline bool view_of(nb::handle object, bool written, View& to) {
    if (!find_view(object, written, to)) return false;
    check_memory(to);
    return true;
}

}  // namespace rekur
