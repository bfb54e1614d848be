#include "id_counts.hpp"

#include <mutex>
#include <optional>

#include "arrays.hpp"
#include "gil.hpp"
#include "registry.hpp"

namespace textassay::bindings {

namespace {

constexpr uint64_t kMaxVocabulary = uint64_t{1} << 62;

struct PythonIdCounter {
    IdCounter counter;
    std::mutex mutex;  // calls from several threads wait for each other

    PythonIdCounter(uint64_t vocab_size, bool totals) : counter(checked(vocab_size, totals), totals) {}

    static uint64_t checked(uint64_t vocab_size, bool totals) {
        const uint64_t most = totals ? IdCounter::kDense : kMaxVocabulary;
        if (vocab_size == 0 || vocab_size > most)
            throw std::invalid_argument("vocab_size: wanted 1 to " + std::to_string(most) + ", got " + std::to_string(vocab_size));
        return vocab_size;
    }
};

void check_ends(const int64_t* ends, size_t size, size_t n_ids) {
    int64_t begin = 0;
    for (size_t i = 0; i < size; begin = ends[i++])
        if (ends[i] < begin || static_cast<uint64_t>(ends[i] - begin) > IdCounter::kMaxBatch)
            throw std::invalid_argument("ends: wanted rising places, at most 2^26 apart; batch " + std::to_string(i) + " has " +
                                        std::to_string(begin) + " to " + std::to_string(ends[i]));
    if (static_cast<size_t>(begin) != n_ids)
        throw std::invalid_argument("ends: wanted " + std::to_string(n_ids) + " as the last, got " + std::to_string(begin));
}

template <typename Id>
void measure_ids(PythonIdCounter& self, const py::array& ids, const int64_t* ends, std::vector<IdBatch>& batches) {
    const auto* data = static_cast<const Id*>(ids.data());
    // `ids` and `ends` are the caller's, who holds them; counters are ours, one call at a time.
    const GilRelease release;
    const std::lock_guard lock(self.mutex);
    int64_t begin = 0;
    for (size_t i = 0; i < batches.size(); begin = ends[i++])
        batches[i] = self.counter.count(data + begin, static_cast<size_t>(ends[i] - begin));
}

using MeasureIds = void (*)(PythonIdCounter&, const py::array&, const int64_t*, std::vector<IdBatch>&);

MeasureIds measure_ids_of(const py::array& ids) {
    static constexpr MeasureIds kSigned[] = {measure_ids<int8_t>, measure_ids<int16_t>, measure_ids<int32_t>, measure_ids<int64_t>};
    static constexpr MeasureIds kUnsigned[] = {measure_ids<uint8_t>, measure_ids<uint16_t>, measure_ids<uint32_t>, measure_ids<uint64_t>};
    const char kind = ids.dtype().kind();
    if (kind != 'i' && kind != 'u') throw py::type_error("token ids: wanted an array of integers");
    const py::ssize_t size = ids.itemsize();
    const bool is_plain = ids.ndim() == 1 && (ids.size() < 2 || ids.strides(0) == size) &&
                          reinterpret_cast<uintptr_t>(ids.data()) % static_cast<size_t>(size) == 0 && ids.dtype().attr("isnative").cast<bool>();
    if (!is_plain) throw std::invalid_argument("token ids: wanted a 1-D array, contiguous, aligned and of native byte order");
    return (kind == 'i' ? kSigned : kUnsigned)[__builtin_ctzll(static_cast<size_t>(size))];
}

template <typename T, typename Figure>
py::array_t<T> figures(const std::vector<IdBatch>& batches, Figure figure) {
    std::vector<T> values;
    values.reserve(batches.size());
    for (const IdBatch& batch : batches) values.push_back(static_cast<T>(batch.*figure));
    return to_array(std::move(values));
}

py::dict measure(PythonIdCounter& self, const py::array& ids, const py::array_t<int64_t, py::array::c_style>& ends) {
    const MeasureIds measure_them = measure_ids_of(ids);
    const size_t size = static_cast<size_t>(ends.size());
    const int64_t* const places = column(ends, size, "ends");
    check_ends(places, size, static_cast<size_t>(ids.size()));
    std::vector<IdBatch> batches(size);
    measure_them(self, ids, places, batches);
    py::dict found;
    found["n_tokens"] = figures<int64_t>(batches, &IdBatch::tokens);
    found["n_types"] = figures<int64_t>(batches, &IdBatch::types);
    found["n_outside"] = figures<int64_t>(batches, &IdBatch::outside);
    found["first_outside"] = figures<int64_t>(batches, &IdBatch::first_outside);
    found["entropy_bits"] = figures<double>(batches, &IdBatch::entropy_bits);
    return found;
}

py::array_t<uint64_t> totals(PythonIdCounter& self) {
    const std::lock_guard lock(self.mutex);
    return to_array(self.counter.totals());
}

}  // namespace

void register_id_counts(py::module_& module) {
    py::class_<PythonIdCounter>(module, "IdCounter")
        .def(py::init<uint64_t, bool>(), py::arg("vocab_size"), py::kw_only(), py::arg("totals") = false)
        .def("measure", &measure, py::arg("ids"), py::arg("ends"))
        .def("totals", &totals);
}

}  // namespace textassay::bindings
