#include "anchor.hpp"

#include "arrays.hpp"
#include "byte_kernels.hpp"
#include "gil.hpp"
#include "registry.hpp"

namespace textassay::bindings {

namespace {

template <typename T>
using Column = py::array_t<T, py::array::c_style>;

template <typename T>
Column<T> section(const py::dict& arrays, const char* name) {
    const py::object array = arrays[name];
    if (!py::isinstance<Column<T>>(array)) throw std::invalid_argument(std::string(name) + ": wanted a C-contiguous array of another type");
    const auto column = py::reinterpret_borrow<Column<T>>(array);
    if (column.ndim() != 1) throw std::invalid_argument(std::string(name) + ": wanted a 1-D array");
    return column;
}

bool is_power_of_two(py::ssize_t size) { return size > 0 && (size & (size - 1)) == 0; }

uint64_t buckets_of(const Column<uint64_t>& table, const std::string& name) {
    if (table.ndim() != 1 || table.size() < 8 || table.size() % 8 != 0 || table.size() / 8 > UINT32_MAX)
        throw std::invalid_argument(name + ": wanted buckets of 8 entries, from one on");
    return static_cast<uint64_t>(table.size() / 8);
}

// Whatever the numbers inside the arrays are, no look-up leaves them.
std::shared_ptr<const Anchor> view(const py::dict& arrays, uint32_t n_modelled, uint32_t tail_begin, uint32_t tail_end) {
    auto anchor = std::make_shared<Anchor>();
    const auto bytes = section<uint8_t>(arrays, "token_bytes");
    const auto offsets = section<uint64_t>(arrays, "token_offsets");
    const auto slots = section<uint32_t>(arrays, "word_slots");
    if (offsets.size() < 4 || offsets.size() > UINT32_MAX) throw std::invalid_argument("token_offsets: wanted 4 to 2^32 - 1 elements");
    if (!is_power_of_two(slots.size())) throw std::invalid_argument("word_slots: wanted a power of two of elements");
    anchor->token_bytes = bytes.data();
    anchor->n_token_bytes = static_cast<uint64_t>(bytes.size());
    anchor->token_offsets = offsets.data();
    anchor->n_words = static_cast<uint32_t>(offsets.size() - 1);
    anchor->slots = slots.data();
    anchor->slot_mask = static_cast<uint64_t>(slots.size() - 1);
    if (n_modelled < 3 || n_modelled > anchor->n_words) throw std::invalid_argument("n_modelled: wanted 3 to the number of words");
    if (tail_begin > tail_end || tail_end > anchor->n_words) throw std::invalid_argument("tail: wanted ascending word numbers");
    anchor->n_modelled = n_modelled;
    anchor->tail_begin = tail_begin;
    anchor->tail_end = tail_end;
    if (arrays.contains("fingerprints")) {
        const auto fingerprints = section<uint64_t>(arrays, "fingerprints");
        anchor->fingerprints = fingerprints.data();
        anchor->n_fingerprints = static_cast<uint64_t>(fingerprints.size());
    }
    if (!arrays.contains("unigrams")) return anchor;
    const auto unigrams = section<uint64_t>(arrays, "unigrams");
    if (static_cast<uint64_t>(unigrams.size()) != n_modelled) throw std::invalid_argument("unigrams: wanted one a modelled word");
    anchor->unigrams = unigrams.data();
    anchor->order = 1;
    for (unsigned order = 2; order <= Anchor::kMaxOrder; ++order) {
        const std::string name = "ngrams_" + std::to_string(order);
        if (!arrays.contains(name.c_str())) break;
        const auto table = section<uint64_t>(arrays, name.c_str());
        anchor->tables[order] = {table.data(), buckets_of(table, name)};
        anchor->order = order;
    }
    return anchor;
}

// Puts entries into a table of find_entries; returns how many did not fit, since one with the same tag is in the way.
uint64_t fill_table(Column<uint64_t> table, const Column<uint64_t>& hashes, const Column<uint64_t>& values) {
    const uint64_t buckets = buckets_of(table, "table"), entries_in_all = 8 * buckets;
    const uint64_t *hash = hashes.data(), *value = column(values, static_cast<size_t>(hashes.size()), "values");
    uint64_t* const entries = table.mutable_data();
    constexpr int kValueBits = 64 - kernels::kTagBits;
    const auto size = static_cast<size_t>(hashes.size());
    const GilRelease release;
    uint64_t lost = 0;
    for (size_t i = 0; i < size; ++i) {
        const uint64_t tag = hash[i] >> kValueBits;
        uint64_t at = 8 * kernels::bucket_of(hash[i], buckets), seen = 0;
        while (seen < entries_in_all && entries[at] != 0 && entries[at] >> kValueBits != tag) {
            at = at + 1 == entries_in_all ? 0 : at + 1;
            ++seen;
        }
        if (seen == entries_in_all || entries[at] != 0) {
            ++lost;
        } else {
            entries[at] = tag << kValueBits | value[i];
        }
    }
    return lost;
}

}  // namespace

void register_anchor(py::module_& module) {
    py::class_<PythonAnchor>(module, "Anchor")
        .def(py::init([](const py::dict& arrays, uint32_t n_modelled, uint32_t tail_begin, uint32_t tail_end) {
                 return PythonAnchor{view(arrays, n_modelled, tail_begin, tail_end), arrays};
             }), py::arg("arrays"), py::kw_only(), py::arg("n_modelled"), py::arg("tail_begin") = 0, py::arg("tail_end") = 0);
    module.def("fill_table", &fill_table, py::arg("table").noconvert(), py::arg("hashes"), py::arg("values"));
}

}  // namespace textassay::bindings
