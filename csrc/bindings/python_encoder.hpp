// Ids of texts from a Python object.
#pragma once

#include <memory>

#include "arrays.hpp"
#include "encoder.hpp"

namespace textassay::bindings {

// `object` is what _native.pyi calls a TextEncoder; the GIL is taken for each call. None: nullptr.
std::shared_ptr<const TextEncoder> python_encoder(const py::object& object);

}  // namespace textassay::bindings
