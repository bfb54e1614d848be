#include <pybind11/pybind11.h>

#include "registry.hpp"

PYBIND11_MODULE(_native, module, pybind11::mod_gil_not_used()) {
    namespace bindings = textassay::bindings;
    bindings::register_backend(module);
    bindings::register_text(module);
    bindings::register_profile(module);
    bindings::register_anchor(module);
    bindings::register_decompressor(module);
    bindings::register_detector(module);
    bindings::register_id_counts(module);
    bindings::register_measurer(module);
    bindings::register_scan(module);
    bindings::register_simulation(module);
}
