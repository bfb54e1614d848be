// Rows that a Python object reads.
#pragma once

#include <memory>

#include "arrays.hpp"
#include "rows.hpp"

namespace textassay::bindings {

// The reader asks for the GIL whenever it calls `object`, and may be used and destroyed without it. `object` is what
// _native.pyi calls a RowReader; `n_columns` are the columns that its `read` has to return.
std::unique_ptr<RowReader> python_row_reader(py::object object, size_t n_columns);

}  // namespace textassay::bindings
