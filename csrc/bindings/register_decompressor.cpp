#include <pybind11/stl.h>

#include <memory>
#include <variant>

#include "arrays.hpp"
#include "error.hpp"
#include "frames.hpp"
#include "gil.hpp"
#include "registry.hpp"

namespace textassay::bindings {

namespace {

// A file as a scan decodes it.
class Decompressor {
   public:
    // Throws ScanError if the file can't be read.
    Decompressor(const SourceName& name, int max_window_log)
        : source_(name), decoder_(open_decoder(source_, max_window_log)) {
        if (!source_.failure().empty() && source_.available() == 0) throw ScanError(source_.failure(), 0);
    }

    size_t read_into(py::array_t<uint8_t, py::array::c_style>& memory) {
        if (memory.ndim() != 1 || !memory.writeable()) throw std::invalid_argument("memory: wanted a 1-D array that can be written to");
        uint8_t* out = memory.mutable_data();
        const auto room = static_cast<size_t>(memory.size());
        const GilRelease release;  // whoever calls holds `memory`, and no other thread uses this object
        if (is_over_ || room == 0) return 0;
        const Decoded decoded = decoder_->decode(out, room);
        is_over_ = decoded.end || !decoded.damage.empty();
        damage_ = source_.failure().empty() ? decoded.damage : source_.failure();
        return decoded.bytes;
    }

    const std::string& damage() const { return damage_; }

   private:
    Source source_;
    std::unique_ptr<Decoder> decoder_;
    std::string damage_;
    bool is_over_ = false;
};

std::unique_ptr<Decompressor> open(const std::variant<int, py::bytes>& source, int max_window_log) {
    if (max_window_log < 10 || max_window_log > 31)
        throw std::invalid_argument("max_window_log: wanted 10 to 31, got " + std::to_string(max_window_log));
    const int* descriptor = std::get_if<int>(&source);
    const SourceName name = descriptor != nullptr ? SourceName{{}, *descriptor} : SourceName{std::get<py::bytes>(source), -1};
    try {
        return std::make_unique<Decompressor>(name, max_window_log);
    } catch (const ScanError& error) {
        PyErr_SetString(PyExc_OSError, error.what());
        throw py::error_already_set();
    }
}

}  // namespace

void register_decompressor(py::module_& module) {
    py::class_<Decompressor>(module, "Decompressor")
        .def(py::init(&open), py::arg("source"), py::kw_only(), py::arg("max_window_log") = 27)
        .def("read_into", &Decompressor::read_into, py::arg("memory").noconvert())
        .def_property_readonly("damage", &Decompressor::damage);
}

}  // namespace textassay::bindings
