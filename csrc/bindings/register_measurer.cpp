#include <cmath>

#include "arrays.hpp"
#include "gil.hpp"
#include "measurer.hpp"
#include "profile_state.hpp"
#include "registry.hpp"

#include <pybind11/stl.h>

namespace textassay::bindings {

namespace {

using Data = py::array_t<uint8_t, py::array::c_style>;
using Offsets = py::array_t<int64_t, py::array::c_style>;

std::vector<TextSpan> spans(const Data& data, const Offsets& offsets) {
    if (data.ndim() != 1 || offsets.ndim() != 1 || offsets.size() < 1)
        throw std::invalid_argument("data, offsets: wanted 1-D arrays, offsets of n + 1 elements");
    std::vector<TextSpan> texts;
    const int64_t* offset = offsets.data();
    for (py::ssize_t i = 0; i + 1 < offsets.size(); ++i) {
        if (offset[i] < 0 || offset[i + 1] < offset[i] || offset[i + 1] > data.size())
            throw std::invalid_argument("offsets, element " + std::to_string(i) + ": wanted ascending offsets within the data");
        texts.push_back({data.data() + offset[i], static_cast<size_t>(offset[i + 1] - offset[i])});
    }
    return texts;
}

// What Python sees: the measurer, and its batches gathered.
struct PythonMeasurer {
    MeasureConfig config;
    Measurer measurer;
    std::vector<BatchRow> rows;

    py::dict run(const Data& data, const Offsets& offsets, bool counting) {
        const std::vector<TextSpan> texts = spans(data, offsets);
        DocumentColumns columns;
        {
            // The arrays are held by the caller; nobody may write to them meanwhile, as with numpy's own functions.
            const GilRelease release;
            columns = counting ? measurer.update(texts) : measurer.measure(texts);
        }
        return to_dict(std::move(columns), config, false);
    }
};

}  // namespace

py::dict to_dict(DocumentColumns&& columns, const MeasureConfig& config, bool with_origin) {
    py::dict dict;
    for (size_t i = 0; i < config.signals.size(); ++i) {
        const SignalTraits& traits = kSignals[config.signals[i]];
        const py::str name{std::string(traits.name)};
        if (traits.is_integer) {
            dict[name] = to_array(std::move(columns.integers[i]));
        } else {
            dict[name] = to_array(std::move(columns.floats[i]));
        }
    }
    dict["n_replaced"] = to_array(std::move(columns.replaced));
    if (!with_origin) return dict;
    dict["byte_offset"] = to_array(std::move(columns.byte_offset));
    dict["line"] = to_array(std::move(columns.line));
    dict["id_bytes"] = to_array(std::move(columns.id_bytes));
    dict["id_offsets"] = to_array(std::move(columns.id_offsets));
    dict["id_null"] = to_bool_array(columns.id_null);
    if (config.words) {
        dict["words"] = to_array(std::move(columns.words));
        dict["word_offsets"] = to_array(std::move(columns.word_offsets));
    }
    if (columns.labels.empty()) return dict;
    dict["provenance"] = to_array(std::move(columns.labels));
    dict["provenance_reason_bytes"] = to_array(std::move(columns.reason_bytes));
    dict["provenance_reason_offsets"] = to_array(std::move(columns.reason_offsets));
    return dict;
}

py::dict to_dict(const std::vector<BatchRow>& rows) {
    py::dict dict;
    const auto integers = [&](const char* name, uint64_t BatchRow::*member) {
        std::vector<int64_t> values;
        for (const BatchRow& row : rows) values.push_back(static_cast<int64_t>(row.*member));
        dict[name] = to_array(std::move(values));
    };
    const auto floats = [&](const char* name, double BatchRow::*member) {
        std::vector<double> values;
        for (const BatchRow& row : rows) values.push_back(row.*member);
        dict[name] = to_array(std::move(values));
    };
    integers("batch", &BatchRow::batch);
    integers("first_document", &BatchRow::first_document);
    integers("n_documents", &BatchRow::documents);
    integers("n_tokens", &BatchRow::tokens);
    integers("n_types", &BatchRow::types);
    floats("entropy_bits", &BatchRow::entropy_bits);
    floats("entropy_mm_bits", &BatchRow::entropy_mm_bits);
    floats("type_token_ratio", &BatchRow::type_token_ratio);
    floats("mattr", &BatchRow::mattr);
    return dict;
}

void register_measurer(py::module_& module) {
    py::class_<PythonMeasurer>(module, "Measurer")
        .def(py::init([](const std::vector<std::string>& signals, const std::string& tokens,
                         const std::vector<std::vector<std::string>>& markers, const PythonAnchor* anchor, std::shared_ptr<Detector> detector, uint64_t batch_tokens,
                         uint64_t max_types, unsigned threads, const py::object& encoder) {
                 check_limits(batch_tokens, max_types);
                 MeasureConfig config = measure_config(signals, tokens, markers, anchor, std::move(detector), encoder);
                 return new PythonMeasurer{config, Measurer(config, batch_tokens, max_types, threads), {}};
             }),
             py::arg("signals"), py::kw_only(), py::arg("tokens") = "word",
             py::arg("markers") = std::vector<std::vector<std::string>>{}, py::arg("anchor") = py::none(),
             py::arg("detector") = py::none(),
             py::arg("batch_tokens") = uint64_t{1} << 20, py::arg("max_types") = uint64_t{1} << 24, py::arg("threads") = 1u,
             py::arg("encoder") = py::none(), py::keep_alive<1, 5>())
        .def("measure", [](PythonMeasurer& m, const Data& data, const Offsets& offsets) { return m.run(data, offsets, false); },
             py::arg("data"), py::arg("offsets"))
        .def("update", [](PythonMeasurer& m, const Data& data, const Offsets& offsets) { return m.run(data, offsets, true); },
             py::arg("data"), py::arg("offsets"))
        .def("profile", [](PythonMeasurer& m) {
            const GilRelease release;
            return std::make_shared<ProfileState>(m.measurer.profile());
        })
        .def("batches", [](PythonMeasurer& m) {
            for (BatchRow& row : m.measurer.take_batches()) m.rows.push_back(row);
            return to_dict(m.rows);
        });
}

}  // namespace textassay::bindings
