#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>

#include "arrays.hpp"
#include "gil.hpp"
#include "profile.hpp"
#include "profile_state.hpp"
#include "provenance_arrays.hpp"
#include "registry.hpp"

#include <pybind11/stl.h>

namespace textassay::bindings {

namespace {

struct TypeColumns {
    std::vector<uint8_t> token_bytes;
    std::vector<int64_t> token_offsets{0};
    std::vector<uint64_t> counts, documents, peaks;

    void push_back(const TypeEntry& entry, const TokenKey& key) {
        token_bytes.insert(token_bytes.end(), key.bytes, key.bytes + key.size);
        token_offsets.push_back(static_cast<int64_t>(token_bytes.size()));
        counts.push_back(entry.count);
        documents.push_back(entry.documents);
        peaks.push_back(entry.peak);
    }
    py::dict to_dict() && {
        py::dict dict;
        dict["token_bytes"] = to_array(std::move(token_bytes));
        dict["token_offsets"] = to_array(std::move(token_offsets));
        dict["counts"] = to_array(std::move(counts));
        dict["document_frequencies"] = to_array(std::move(documents));
        dict["peaks"] = to_array(std::move(peaks));
        return dict;
    }
};

template <typename T>
using Column = py::array_t<T, py::array::c_style>;

// Calls take(TypeCount) for each row; the arrays stay alive and unchanged meanwhile.
template <typename Take>
void for_each_type(const py::dict& types, Take take) {
    const auto bytes = types["token_bytes"].cast<Column<uint8_t>>();
    const auto offsets = types["token_offsets"].cast<Column<int64_t>>();
    if (offsets.ndim() != 1 || offsets.size() < 1) throw std::invalid_argument("token_offsets: wanted n + 1 elements");
    const size_t size = static_cast<size_t>(offsets.size()) - 1;
    const auto counts = types["counts"].cast<Column<uint64_t>>();
    const auto documents = types["document_frequencies"].cast<Column<uint64_t>>();
    const auto peaks = types["peaks"].cast<Column<uint64_t>>();
    const uint64_t *count = column(counts, size, "counts"), *document = column(documents, size, "document_frequencies"),
                   *peak = column(peaks, size, "peaks");
    const int64_t* offset = offsets.data();
    for (size_t i = 0; i < size; ++i) {
        if (offset[i] < 0 || offset[i + 1] <= offset[i] || offset[i + 1] > bytes.size() || peak[i] > UINT32_MAX)
            throw std::invalid_argument("types, row " + std::to_string(i) + ": wanted ascending token_offsets within token_bytes and a peak below 2^32");
        const TokenKey key = exact_key(bytes.data() + offset[i], static_cast<uint32_t>(offset[i + 1] - offset[i]));
        take({key, hash_of(key.low, key.high), count[i], document[i], static_cast<uint32_t>(peak[i])});
    }
}

Signal known_signal(const ProfileState& state, const std::string& name) {
    const Signal signal = signal_named(name);
    const auto& mine = state.profile().signals;
    if (signal < kDocumentSignals && std::find(mine.begin(), mine.end(), signal) == mine.end())
        throw std::invalid_argument("signal \"" + name + "\": this profile does not hold it");
    if (signal == kAllSignals) throw std::invalid_argument("signal \"" + name + "\": unknown");
    return signal;
}

py::dict signal_state(const ProfileState& state, const std::string& name) {
    const auto& one = state.profile().distributions[known_signal(state, name)];
    py::dict dict;
    dict["bins"] = to_array(std::vector<uint64_t>(one.bins));
    dict["nulls"] = one.nulls;
    dict["sum"] = to_int(one.sum);
    dict["sum_squares"] = to_int(one.sum_squares);
    return dict;
}

void add_signal(ProfileState& state, const std::string& name, const py::dict& added) {
    auto& one = state.change().distributions[known_signal(state, name)];
    const auto bins = added["bins"].cast<Column<uint64_t>>();
    const uint64_t* bin = column(bins, one.bins.size(), ("bins of " + name).c_str());
    for (size_t i = 0; i < one.bins.size(); ++i) one.bins[i] += bin[i];
    one.nulls += added["nulls"].cast<uint64_t>();
    one.sum += static_cast<__int128>(from_int(added["sum"].cast<py::int_>()));
    one.sum_squares += from_int(added["sum_squares"].cast<py::int_>());
}

constexpr std::pair<const char*, uint64_t Totals::*> kTotals[] = {
    {"n_documents", &Totals::documents}, {"n_tokens", &Totals::tokens},       {"n_bytes", &Totals::bytes},
    {"n_chars", &Totals::chars},         {"n_sentences", &Totals::sentences}, {"n_replaced", &Totals::replaced},
    {"n_batches", &Totals::batches},
};

py::dict totals(const ProfileState& state) {
    py::dict dict;
    for (const auto& [name, member] : kTotals) dict[name] = state.profile().totals.*member;
    return dict;
}

void add_totals(ProfileState& state, const py::dict& added) {
    for (const auto& [name, member] : kTotals) state.change().totals.*member += added[name].cast<uint64_t>();
}

py::dict types(ProfileState& state, const std::optional<py::bytes>& after, size_t limit) {
    TypeColumns columns;
    std::string behind;
    if (after) behind = *after;
    {
        const GilRelease release;
        const auto& sorted = state.sorted();
        size_t begin = 0;
        if (after) {
            const TokenKey key = exact_key(reinterpret_cast<const uint8_t*>(behind.data()), static_cast<uint32_t>(behind.size()));
            begin = static_cast<size_t>(
                std::upper_bound(sorted.begin(), sorted.end(), key,
                                 [](const TokenKey& k, const Histogram::Sorted& s) {
                                     return token_less(k, s.table->key(*s.entry));
                                 }) - sorted.begin());
        }
        for (size_t i = begin; i < std::min(sorted.size(), begin + std::min(limit, sorted.size())); ++i)
            columns.push_back(*sorted[i].entry, sorted[i].table->key(*sorted[i].entry));
    }
    return std::move(columns).to_dict();
}

py::dict top(const ProfileState& state, size_t k) {
    TypeColumns columns;
    {
        const GilRelease release;
        std::vector<std::pair<const TypeEntry*, TokenKey>> best;
        state.profile().histogram.visit([&](const TypeEntry& entry, const TokenKey& key) { best.emplace_back(&entry, key); });
        const auto more = [](const auto& a, const auto& b) {
            return a.first->count != b.first->count ? a.first->count > b.first->count : token_less(a.second, b.second);
        };
        k = std::min(k, best.size());
        std::partial_sort(best.begin(), best.begin() + static_cast<ptrdiff_t>(k), best.end(), more);
        for (size_t i = 0; i < k; ++i) columns.push_back(*best[i].first, best[i].second);
    }
    return std::move(columns).to_dict();
}

py::tuple count_of_counts(const ProfileState& state) {
    std::vector<uint64_t> few(1 << 16), many, distinct, types;  // most counts are small: those are not sorted
    const auto append = [&](uint64_t count, uint64_t number) {
        distinct.push_back(count);
        types.push_back(number);
    };
    {
        const GilRelease release;
        state.profile().histogram.visit([&](const TypeEntry& entry, const TokenKey&) {
            if (entry.count < few.size()) ++few[entry.count];
            else many.push_back(entry.count);
        });
        for (size_t count = 0; count < few.size(); ++count)
            if (few[count] != 0) append(count, few[count]);
        std::sort(many.begin(), many.end());
        for (size_t i = 0, next; i < many.size(); i = next) {
            next = static_cast<size_t>(std::upper_bound(many.begin() + static_cast<ptrdiff_t>(i), many.end(), many[i]) - many.begin());
            append(many[i], next - i);
        }
    }
    return py::make_tuple(to_array(std::move(distinct)), to_array(std::move(types)));
}

void add_types(ProfileState& state, const py::dict& added) {
    std::vector<TypeCount> list;
    for_each_type(added, [&](const TypeCount& type) { list.push_back(type); });
    Profile& profile = state.change();
    const GilRelease release;
    profile.histogram.add(list);
}

py::object bounded(const ProfileState& state) {
    const BoundedTypes* types = state.profile().histogram.bounded();
    if (types == nullptr) return py::none();
    std::vector<std::pair<const TypeEntry*, TokenKey>> frequent;
    for (size_t i = 0; i < types->frequent.size(); ++i) {
        const TypeEntry& entry = types->frequent.entry(i);
        frequent.emplace_back(&entry, types->frequent.key(entry));
    }
    std::sort(frequent.begin(), frequent.end(), [](const auto& a, const auto& b) { return token_less(a.second, b.second); });
    TypeColumns columns;
    for (const auto& [entry, key] : frequent) columns.push_back(*entry, key);
    const py::ssize_t rows = BoundedTypes::kRows, width = static_cast<py::ssize_t>(types->width);
    py::dict dict;
    dict["level"] = state.profile().histogram.level();
    dict["floor_level"] = types->floor_level;
    dict["width"] = types->width;
    dict["count_sketch"] = to_array(std::vector<uint64_t>(types->counts)).reshape({rows, width});
    dict["document_sketch"] = to_array(std::vector<uint64_t>(types->documents)).reshape({rows, width});
    dict["frequent"] = std::move(columns).to_dict();
    return dict;
}

void add_bounded(ProfileState& state, const py::dict& added) {
    Profile& profile = state.change();
    BoundedTypes types(profile.histogram.max_types());
    const auto sketch = [&](const char* name, std::vector<uint64_t>& into) {
        const auto array = added[name].cast<Column<uint64_t>>();
        if (array.ndim() != 2 || array.shape(0) != BoundedTypes::kRows || static_cast<uint64_t>(array.shape(1)) != types.width)
            throw std::invalid_argument(std::string(name) + ": wanted shape (4, " + std::to_string(types.width) + ")");
        std::copy_n(array.data(), into.size(), into.begin());
    };
    sketch("count_sketch", types.counts);
    sketch("document_sketch", types.documents);
    const auto level = added["level"].cast<uint32_t>(), floor_level = added["floor_level"].cast<uint32_t>();
    if (level < 1 || level > 63 || floor_level > 31) throw std::invalid_argument("level: wanted 1 to 63, and floor_level 0 to 31");
    types.floor_level = floor_level;
    for_each_type(added["frequent"].cast<py::dict>(), [&](const TypeCount& type) {
        types.frequent.add({type.key, type.hash, 0, 0, type.peak});
    });
    const GilRelease release;
    profile.histogram.merge_bounded(types, level);
}

void merge(ProfileState& state, const ProfileState& other) {
    if (state.profile().signals != other.profile().signals) throw std::invalid_argument("merge: wanted the same signals");
    if (state.profile().histogram.max_types() != other.profile().histogram.max_types())
        throw std::invalid_argument("merge: wanted the same max_types");
    const std::shared_ptr<const ProfileState> copy = &state == &other ? std::make_shared<ProfileState>(state) : nullptr;
    const Profile& source = copy ? copy->profile() : other.profile();
    Profile& target = state.change();
    const GilRelease release;
    target.merge(source);
}

}  // namespace

std::vector<Signal> signals_named(const std::vector<std::string>& names) {
    std::vector<Signal> signals;
    for (const std::string& name : names) {
        const Signal signal = signal_named(name);
        if (signal >= kDocumentSignals) throw std::invalid_argument("signal \"" + name + "\": unknown");
        if (std::find(signals.begin(), signals.end(), signal) != signals.end())
            throw std::invalid_argument("signal \"" + name + "\": named twice");
        signals.push_back(signal);
    }
    return signals;
}

void check_limits(uint64_t batch_tokens, uint64_t max_types) {
    if (batch_tokens < 1 || batch_tokens > uint64_t{1} << 25)
        throw std::invalid_argument("batch_tokens: wanted 1 to 2^25, got " + std::to_string(batch_tokens));
    if (max_types < 1 || max_types > uint64_t{1} << 36)
        throw std::invalid_argument("max_types: wanted 1 to 2^36, got " + std::to_string(max_types));
}

void register_profile(py::module_& module) {
    py::class_<ProfileState, std::shared_ptr<ProfileState>>(module, "ProfileState")
        .def(py::init([](const std::vector<std::string>& signals, uint64_t max_types) {
                 check_limits(1, max_types);
                 return std::make_shared<ProfileState>(std::make_unique<Profile>(signals_named(signals), max_types));
             }), py::arg("signals"), py::arg("max_types") = uint64_t{1} << 24)
        .def_property_readonly("signals", [](const ProfileState& state) {
            py::list names;
            for (const Signal signal : state.profile().signals) names.append(std::string(kSignals[signal].name));
            return py::tuple(names);
        })
        .def_property_readonly("max_types", [](const ProfileState& state) { return state.profile().histogram.max_types(); })
        .def_property_readonly("n_types", [](const ProfileState& state) { return state.profile().histogram.size(); })
        .def_property_readonly("level", [](const ProfileState& state) { return state.profile().histogram.level(); })
        .def("totals", &totals)
        .def("add_totals", &add_totals, py::arg("totals"))
        .def("signal", &signal_state, py::arg("name"))
        .def("add_signal", &add_signal, py::arg("name"), py::arg("state"))
        .def("types", &types, py::arg("after") = py::none(), py::arg("limit") = size_t{1} << 20)
        .def("top", &top, py::arg("k"))
        .def("count_of_counts", &count_of_counts)
        .def("add_types", &add_types, py::arg("types"))
        .def("bounded", &bounded)
        .def("add_bounded", &add_bounded, py::arg("bounded"))
        .def("provenance", &provenance_tables)
        .def("add_provenance", &add_provenance, py::arg("tables"))
        .def("merge", &merge, py::arg("other"))
        .def("copy", [](const ProfileState& state) { return std::make_shared<ProfileState>(state); });
}

}  // namespace textassay::bindings
