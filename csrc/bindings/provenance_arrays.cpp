#include "provenance_arrays.hpp"

#include "gil.hpp"

#include <algorithm>
#include <cstring>

#include <pybind11/stl.h>

namespace textassay::bindings {

namespace {

template <typename T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;

constexpr std::pair<const char*, ProvenanceTable ProvenanceTables::*> kTables[] = {
    {"sources", &ProvenanceTables::sources},
    {"months", &ProvenanceTables::months},
    {"reasons", &ProvenanceTables::reasons},
};

constexpr py::ssize_t kSums = 3;  // of a label
static_assert(sizeof(LabelCounts) == kLabels * kSums * sizeof(uint64_t));

void check(bool fits, const char* wanted) {
    if (!fits) throw std::invalid_argument(std::string("provenance: wanted ") + wanted);
}

Label label_of(int64_t number) {
    check(number >= 0 && number < static_cast<int64_t>(kLabels), "labels from 0 to 3");
    return static_cast<Label>(number);
}

Automaton automaton_of(const py::dict& given) {
    Automaton automaton;
    const auto classes = given["classes"].cast<Array<uint8_t>>();
    const auto transitions = given["transitions"].cast<Array<uint16_t>>();
    const auto accepting = given["accepting"].cast<Array<uint8_t>>();
    check(classes.ndim() == 1 && classes.size() == 256, "a class for each byte");
    check(transitions.ndim() == 2 && accepting.ndim() == 1 && accepting.size() == transitions.shape(0),
          "a row of transitions for each state");
    std::copy_n(classes.data(), 256, automaton.classes.begin());
    automaton.width = static_cast<size_t>(transitions.shape(1));
    automaton.transitions.assign(transitions.data(), transitions.data() + transitions.size());
    automaton.accepting.assign(accepting.data(), accepting.data() + accepting.size());
    const auto states = automaton.accepting.size();
    check(std::all_of(automaton.classes.begin(), automaton.classes.end(), [&](size_t c) { return c < automaton.width; }) &&
              std::all_of(automaton.transitions.begin(), automaton.transitions.end(), [&](size_t s) { return s < states; }),
          "transitions within the automaton");
    return automaton;
}

LabelCounts counts_at(const uint64_t* numbers) {
    LabelCounts counts;
    std::memcpy(static_cast<void*>(&counts), numbers, sizeof counts);
    return counts;
}

LabelCounts one_of(const py::dict& table, const char* name) {
    const auto array = table[name].cast<Array<uint64_t>>();
    check(array.ndim() == 2 && array.shape(0) == kLabels && array.shape(1) == kSums, "unnamed and others of shape (4, 3)");
    return counts_at(array.data());
}

py::array_t<uint64_t> to_array(const LabelCounts& counts) {
    py::array_t<uint64_t> array({py::ssize_t{kLabels}, kSums});
    std::memcpy(array.mutable_data(), &counts, sizeof counts);
    return array;
}

py::dict to_dict(const ProvenanceTable& table) {
    const auto entries = table.sorted();
    std::vector<uint8_t> bytes;
    std::vector<int64_t> offsets{0};
    py::array_t<uint64_t> counts({static_cast<py::ssize_t>(entries.size()), py::ssize_t{kLabels}, kSums});
    uint64_t* out = counts.mutable_data();
    for (const auto& [name, sums] : entries) {
        bytes.insert(bytes.end(), name.begin(), name.end());
        offsets.push_back(static_cast<int64_t>(bytes.size()));
        std::memcpy(out, sums, sizeof *sums);
        out += kLabels * kSums;
    }
    py::dict dict;
    dict["level"] = table.level();
    dict["unnamed"] = to_array(table.unnamed());
    dict["others"] = to_array(table.others());
    dict["name_bytes"] = bindings::to_array(std::move(bytes));
    dict["name_offsets"] = bindings::to_array(std::move(offsets));
    dict["counts"] = counts;
    return dict;
}

void add_table(ProvenanceTable& table, const py::dict& added) {
    const auto level = added["level"].cast<uint32_t>();
    const LabelCounts unnamed = one_of(added, "unnamed"), others = one_of(added, "others");
    const auto bytes = added["name_bytes"].cast<Array<uint8_t>>();
    const auto offsets = added["name_offsets"].cast<Array<int64_t>>();
    const auto counts = added["counts"].cast<Array<uint64_t>>();
    check(level <= 64, "a level up to 64");
    check(offsets.ndim() == 1 && counts.ndim() == 3 && counts.shape(0) == offsets.size() - 1 && counts.shape(1) == kLabels &&
              counts.shape(2) == kSums,
          "counts of shape (n, 4, 3) for n names");
    const int64_t* offset = offsets.data();
    for (py::ssize_t i = 0; i < counts.shape(0); ++i)
        check(offset[i] >= 0 && offset[i] < offset[i + 1] && offset[i + 1] <= bytes.size() &&
                  offset[i + 1] - offset[i] <= static_cast<int64_t>(ProvenanceTable::kMaxNameBytes),
              "names of 1 to 256 bytes");
    const GilRelease release;
    table.raise_level(level);
    table.add({}, unnamed);
    table.add_others(others);
    for (py::ssize_t i = 0; i < counts.shape(0); ++i)
        table.add({reinterpret_cast<const char*>(bytes.data()) + offset[i], static_cast<size_t>(offset[i + 1] - offset[i])},
                  counts_at(counts.data() + i * static_cast<py::ssize_t>(kLabels) * kSums));
}

}  // namespace

std::shared_ptr<const ProvenanceRules> provenance_rules(const py::dict& given, size_t inputs) {
    auto made = std::make_shared<ProvenanceRules>();
    ProvenanceRules& rules = *made;
    rules.fields = given["fields"].cast<std::vector<std::vector<std::string>>>();
    const auto n_fields = static_cast<int64_t>(rules.fields.size());
    const auto field = [&](int64_t number, int64_t least) {
        check(number >= least && number < n_fields, "numbers of fields that are there");
        return static_cast<int>(number);
    };
    rules.source = field(given["source"].cast<int64_t>(), -1);
    rules.date = field(given["date"].cast<int64_t>(), -1);
    rules.default_label = label_of(given["default"].cast<int64_t>());
    rules.suspicion = given["suspicion"].cast<std::string>();
    rules.automaton = automaton_of(given);
    const auto start = [&](int64_t state) {
        check(state >= 0 && static_cast<size_t>(state) < rules.automaton.accepting.size(), "patterns that begin in the automaton");
        return static_cast<uint32_t>(state);
    };
    rules.date_start = start(given["date_start"].cast<int64_t>());
    const auto names = given["names"].cast<std::vector<std::string>>();
    const auto labels = given["labels"].cast<std::vector<int64_t>>(), generators = given["generators"].cast<std::vector<int64_t>>(),
               ends = given["condition_ends"].cast<std::vector<int64_t>>();
    const auto conditions = given["conditions"].cast<Array<int64_t>>();
    check(labels.size() == names.size() && generators.size() == names.size() && ends.size() == names.size() &&
              conditions.ndim() == 2 && conditions.shape(1) == 3,
          "a label, name, generator and conditions for each rule");
    int64_t next = 0;
    for (size_t i = 0; i < names.size(); ++i) {
        rules.rules.push_back({label_of(labels[i]), field(generators[i], -1), names[i], {}});
        check(ends[i] >= next && ends[i] <= conditions.shape(0), "ascending ends of conditions");
        for (; next < ends[i]; ++next) {
            const int64_t* one = conditions.data() + 3 * next;
            rules.rules.back().conditions.push_back({static_cast<uint32_t>(field(one[0], 0)), start(one[1]), one[2] != 0});
        }
    }
    const auto applies = given["applies"].cast<Array<uint8_t>>();
    check(static_cast<size_t>(applies.size()) == inputs * names.size(), "a mark for each input and rule");
    rules.applies.assign(applies.data(), applies.data() + applies.size());
    return made;
}

py::dict provenance_tables(const ProfileState& state) {
    py::dict dict;
    for (const auto& [name, table] : kTables) dict[name] = to_dict(state.profile().provenance.*table);
    return dict;
}

void add_provenance(ProfileState& state, const py::dict& added) {
    for (const auto& [name, table] : kTables) add_table(state.change().provenance.*table, added[name].cast<py::dict>());
}

}  // namespace textassay::bindings
