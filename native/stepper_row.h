// Rows and tokens that Python gives, found in nanoseconds: NumPy's buffers take longer than a small step.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>

namespace rekur {

// How an array begins. NumPy's own headers read these fields inline in every module, so that they stay where they are.
struct NumpyArray {
    PyObject_HEAD
    char* data;
    int axes;
    Py_ssize_t* sizes;
    Py_ssize_t* strides;
    PyObject* base;
    PyObject* dtype;
    int flags;
};

// NumPy's array type, its float32 and its int64, of which there is one each.
struct NumpyTypes {
    PyObject* array = nullptr;
    PyObject* float32 = nullptr;
    PyObject* int64 = nullptr;

    static NumpyTypes find() {
        const nanobind::object numpy = nanobind::module_::import_("numpy");
        NumpyTypes types;
        types.array = nanobind::object(numpy.attr("ndarray")).release().ptr();  // kept for good, as NumPy keeps them
        types.float32 = numpy.attr("dtype")("float32").release().ptr();
        types.int64 = numpy.attr("dtype")("int64").release().ptr();
        return types;
    }
};

// An array of a dtype that is plain: contiguous, aligned, with so many axes; null for anything else.
inline const NumpyArray* plain_array(const NumpyTypes& types, PyObject* object, PyObject* dtype, int axes) {
    constexpr int contiguous = 0x0001, aligned = 0x0100;
    if (reinterpret_cast<PyObject*>(Py_TYPE(object)) != types.array) return nullptr;
    const auto* array = reinterpret_cast<const NumpyArray*>(object);
    const bool plain = (array->flags & (contiguous | aligned)) == (contiguous | aligned);
    return array->dtype == dtype && array->axes == axes && plain ? array : nullptr;
}

// Where the numbers of a plain float32 array of one axis and this size are; null for anything else.
inline const float* row_data(const NumpyTypes& types, PyObject* object, int64_t size) {
    const NumpyArray* array = plain_array(types, object, types.float32, 1);
    return array && array->sizes[0] == size ? reinterpret_cast<const float*>(array->data) : nullptr;
}

}  // namespace rekur
