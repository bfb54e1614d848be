#pragma once

#include <pybind11/pybind11.h>

#include "batches.hpp"
#include "documents.hpp"

namespace textassay::bindings {

namespace py = pybind11;

void register_backend(py::module_& module);
void register_text(py::module_& module);
void register_profile(py::module_& module);
void register_measurer(py::module_& module);
void register_scan(py::module_& module);
void register_simulation(py::module_& module);
void register_anchor(py::module_& module);
void register_decompressor(py::module_& module);
void register_detector(py::module_& module);
void register_id_counts(py::module_& module);

// An anchor, and the arrays that it looks into.
struct PythonAnchor {
    std::shared_ptr<const Anchor> anchor;
    py::dict arrays;
};

// Shared by Measurer and Scan. `anchor`, `detector` and `encoder` may be None.
MeasureConfig measure_config(const std::vector<std::string>& signals, const std::string& tokens,
                             const std::vector<std::vector<std::string>>& markers, const PythonAnchor* anchor,
                             std::shared_ptr<Detector> detector, const py::object& encoder);
void check_limits(uint64_t batch_tokens, uint64_t max_types);
py::dict to_dict(DocumentColumns&& columns, const MeasureConfig& config, bool with_origin);
py::dict to_dict(const std::vector<BatchRow>& rows);
std::vector<Signal> signals_named(const std::vector<std::string>& names);

}  // namespace textassay::bindings
