#include <simdjson.h>

#include <stdexcept>
#include <string>

#include "arrays.hpp"
#include "byte_kernels.hpp"
#include "code_point.hpp"
#include "error.hpp"
#include "frames.hpp"
#include "registry.hpp"
#include "signals.hpp"

namespace textassay::bindings {

namespace {

// From the numbers: SIMDJSON_VERSION has quotation marks in some releases and none in others.
std::string simdjson_version() {
    return std::to_string(simdjson::SIMDJSON_VERSION_MAJOR) + "." + std::to_string(simdjson::SIMDJSON_VERSION_MINOR) + "." +
           std::to_string(simdjson::SIMDJSON_VERSION_REVISION);
}

py::dict backend_info() {
    py::dict info;
    info["backend"] = "native";
    info["kernels"] = kernels::active().name;
    info["zstd"] = zstd_version();
    info["simdjson"] = simdjson_version();
    info["simdjson_kernels"] = simdjson::get_active_implementation()->name();
    info["zlib"] = zlib_library_version();
    info["unicode"] = unicode::kUnicodeVersion;
    return info;
}

py::tuple available_kernels() {
    py::list names;
    for (const kernels::KernelSet* const* set = kernels::available(); *set != nullptr; ++set) names.append((*set)->name);
    return py::tuple(names);
}

py::tuple names(size_t begin, size_t end, bool integers_only) {
    py::list list;
    for (size_t i = begin; i < end; ++i)
        if (!integers_only || kSignals[i].is_integer) list.append(std::string(kSignals[i].name));
    return py::tuple(list);
}

}  // namespace

void register_backend(py::module_& module) {
    // An unknown TEXTASSAY_KERNELS is told at import, before anything runs.
    kernels::active();
    module.attr("SIGNALS") = names(0, kDocumentSignals, false);
    module.attr("INTEGER_SIGNALS") = names(0, kDocumentSignals, true);
    module.attr("BATCH_SIGNALS") = names(kDocumentSignals, kAllSignals, false);
    module.def("backend_info", &backend_info);
    module.def("available_kernels", &available_kernels);
    module.def("use_kernels", [](const std::string& name) { kernels::use(name.c_str()); }, py::arg("name"));
    py::register_exception_translator([](std::exception_ptr pointer) {
        try {
            if (pointer) std::rethrow_exception(pointer);
        } catch (const ScanError& error) {
            const std::string place = error.path.empty() ? "" : error.path + ": ";
            py::set_error(PyExc_ValueError, (place + error.what()).c_str());
        } catch (const SystemError& error) {
            const py::str path = py::reinterpret_steal<py::str>(PyUnicode_DecodeFSDefault(error.path.c_str()));
            py::set_error(PyExc_OSError, py::make_tuple(error.code().value(), error.code().message(), path));
        } catch (const std::system_error& error) {  // no more threads
            py::set_error(PyExc_OSError, py::make_tuple(error.code().value(), error.code().message()));
        }
    });
}

}  // namespace textassay::bindings
