// C++ vectors to numpy arrays without a copy, and numpy arrays to views.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace textassay::bindings {

namespace py = pybind11;

// The array owns what the vector owned.
template <typename T>
py::array_t<T> to_array(std::vector<T>&& values) {
    auto* owner = new std::vector<T>(std::move(values));
    py::capsule release(owner, [](void* p) { delete static_cast<std::vector<T>*>(p); });
    return py::array_t<T>(static_cast<py::ssize_t>(owner->size()), owner->data(), release);
}

inline py::array_t<bool> to_bool_array(const std::vector<uint8_t>& values) {
    py::array_t<bool> array(static_cast<py::ssize_t>(values.size()));
    bool* out = array.mutable_data();
    for (size_t i = 0; i < values.size(); ++i) out[i] = values[i] != 0;
    return array;
}

inline const uint8_t* bytes_of(const py::bytes& bytes, size_t& size) {
    char* data;
    py::ssize_t length;
    if (PyBytes_AsStringAndSize(bytes.ptr(), &data, &length) != 0) throw py::error_already_set();
    size = static_cast<size_t>(length);
    return reinterpret_cast<const uint8_t*>(data);
}

inline py::bytes to_bytes(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

// Python integers have no limit; the sums have 128 bits.
inline py::int_ to_int(unsigned __int128 value) {
    const py::int_ high(static_cast<uint64_t>(value >> 64)), low(static_cast<uint64_t>(value));
    return py::int_((high << py::int_(64)) | low);
}
inline py::int_ to_int(__int128 value) {
    if (value >= 0) return to_int(static_cast<unsigned __int128>(value));
    return py::int_(-to_int(-static_cast<unsigned __int128>(value)));
}
// Modulo 2^128.
inline unsigned __int128 from_int(const py::int_& value) {
    const py::int_ mask(~uint64_t{0});
    const auto low = (value & mask).cast<uint64_t>();
    const auto high = ((value >> py::int_(64)) & mask).cast<uint64_t>();
    return static_cast<unsigned __int128>(high) << 64 | low;
}

template <typename T>
const T* column(const py::array_t<T, py::array::c_style>& array, size_t size, const char* name) {
    if (array.ndim() != 1 || static_cast<size_t>(array.size()) != size)
        throw std::invalid_argument(std::string(name) + ": wanted a 1-D array of " + std::to_string(size) + " elements");
    return array.data();
}

}  // namespace textassay::bindings
