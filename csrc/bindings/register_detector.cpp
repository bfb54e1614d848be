#include "detector.hpp"

#include <pybind11/stl.h>

#include <algorithm>

#include "arrays.hpp"
#include "registry.hpp"

namespace textassay::bindings {

namespace {

using Terms = std::vector<std::tuple<std::string, double, double, double, double>>;
using Bands = std::vector<std::pair<uint64_t, double>>;

Detector::Value value_named(const std::string& name) {
    static constexpr std::pair<const char*, Detector::Value> kValues[] = {{"score", Detector::kScore},
                                                                          {"score_by_length", Detector::kScoreByLength},
                                                                          {"length", Detector::kLength},
                                                                          {"marker_rate", Detector::kMarkerRate},
                                                                          {"burstiness", Detector::kBurstiness}};
    for (const auto& [known, value] : kValues)
        if (name == known) return value;
    throw std::invalid_argument("term \"" + name + "\": unknown");
}

std::shared_ptr<Detector> make(const py::array_t<int8_t, py::array::c_style>& weights, const Terms& terms, double intercept,
                               std::vector<double> logits, std::vector<double> probabilities, const Bands& bands) {
    auto detector = std::make_shared<Detector>();
    const int8_t* const first = column(weights, Detector::kBuckets, "weights");
    detector->weights.assign(first, first + Detector::kBuckets);
    for (const auto& [name, low, high, centre, coefficient] : terms)
        detector->terms.push_back({value_named(name), low, high, centre, coefficient});
    if (logits.size() < 2 || logits.size() != probabilities.size() ||
        std::adjacent_find(logits.begin(), logits.end(), std::greater_equal<>()) != logits.end())
        throw std::invalid_argument("logits, probabilities: wanted pairs, at least two, of rising logits");
    detector->intercept = intercept;
    detector->logits = std::move(logits);
    detector->probabilities = std::move(probabilities);
    for (const auto& [from_words, threshold] : bands) detector->bands.push_back({from_words, threshold});
    if (bands.empty()) throw std::invalid_argument("bands: wanted at least one");
    return detector;
}

}  // namespace

void register_detector(py::module_& module) {
    py::class_<Detector, std::shared_ptr<Detector>>(module, "Detector")
        .def(py::init(&make), py::arg("weights"), py::kw_only(), py::arg("terms"), py::arg("intercept"), py::arg("logits"),
             py::arg("probabilities"), py::arg("bands"));
}

}  // namespace textassay::bindings
