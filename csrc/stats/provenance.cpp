#include "provenance.hpp"

#include <algorithm>

#include "code_point.hpp"

namespace textassay {

namespace {

// As much of a name as is kept: whole characters.
std::string_view cut(std::string_view name) {
    if (name.size() <= ProvenanceTable::kMaxNameBytes) return name;
    size_t end = ProvenanceTable::kMaxNameBytes;
    while (unicode::is_continuation(static_cast<uint8_t>(name[end]))) --end;
    return name.substr(0, end);
}

constexpr size_t kMonthBytes = 7;  // YYYY-MM

}  // namespace

bool Automaton::accepts(uint32_t start, std::string_view text) const {
    uint32_t state = start;
    for (const char byte : text) {
        state = transitions[state * width + classes[static_cast<uint8_t>(byte)]];
        if (state < kFirstState) break;
    }
    return accepting[state] != 0;
}

bool ProvenanceRules::holds(const Rule& rule, std::span<const FieldValue> values) const {
    for (const Condition& condition : rule.conditions) {
        const FieldValue& value = values[condition.field];
        const bool matches = value.present && automaton.accepts(condition.start, value.text);
        if (matches == condition.negated) return false;
    }
    return true;
}

const ProvenanceRules::Rule* ProvenanceRules::first_that_holds(size_t input, std::span<const FieldValue> values) const {
    const uint8_t* const for_input = applies.data() + input * rules.size();
    for (size_t i = 0; i < rules.size(); ++i)
        if (for_input[i] != 0 && holds(rules[i], values)) return &rules[i];
    return nullptr;
}

Provenance ProvenanceRules::find(size_t input, std::span<const FieldValue> values, bool is_suspected) const {
    Provenance found{default_label, {}, {}, {}};
    if (source >= 0) found.source = cut(values[static_cast<size_t>(source)].text);
    if (date >= 0) {
        const std::string_view text = values[static_cast<size_t>(date)].text;
        if (automaton.accepts(date_start, text)) found.month = text.substr(0, kMonthBytes);
    }
    if (const Rule* const rule = first_that_holds(input, values)) {
        found.label = rule->label;
        found.reason = rule->generator < 0 ? std::string_view(rule->name) : cut(values[static_cast<size_t>(rule->generator)].text);
    } else if (is_suspected && !suspicion.empty()) {
        found.label = Label::kSyntheticSuspected;
        found.reason = suspicion;
    }
    return found;
}

bool ProvenanceTable::keeps(std::string_view name) const {
    if (level_ == 0) return true;
    return level_ < 64 && token_hash(reinterpret_cast<const uint8_t*>(name.data()), name.size()) >> (64 - level_) == 0;
}

LabelCounts& ProvenanceTable::counts_of(std::string_view name) {
    if (name.empty()) return unnamed_;
    const auto found = named_.find(name);
    if (found != named_.end()) return found->second;
    if (!keeps(name)) return others_;
    LabelCounts& counts = named_[std::string(name)];
    if (named_.size() <= kMaxNames) return counts;
    while (named_.size() > kMaxNames) raise_level(level_ + 1);
    return counts_of(name);  // it may have gone itself
}

void ProvenanceTable::add(std::string_view name, Label label, const LabelledSum& sum) {
    counts_of(name).sums[static_cast<size_t>(label)].merge(sum);
}

void ProvenanceTable::add(std::string_view name, const LabelCounts& counts) { counts_of(name).merge(counts); }

void ProvenanceTable::raise_level(uint32_t level) {
    if (level <= level_) return;
    level_ = level;
    for (auto entry = named_.begin(); entry != named_.end();) {
        if (keeps(entry->first)) {
            ++entry;
        } else {
            others_.merge(entry->second);
            entry = named_.erase(entry);
        }
    }
}

void ProvenanceTable::merge(const ProvenanceTable& other) {
    raise_level(other.level_);
    unnamed_.merge(other.unnamed_);
    others_.merge(other.others_);
    for (const auto& [name, counts] : other.named_) add(name, counts);
}

void ProvenanceTable::clear() {
    named_.clear();
    unnamed_ = {};
    others_ = {};
}

std::vector<std::pair<std::string_view, const LabelCounts*>> ProvenanceTable::sorted() const {
    std::vector<std::pair<std::string_view, const LabelCounts*>> entries;
    for (const auto& [name, counts] : named_) entries.emplace_back(name, &counts);
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    return entries;
}

void ProvenanceTables::take(ProvenanceTables& block) {
    merge(block);
    const auto reset = [](ProvenanceTable& emptied, const ProvenanceTable& whole) {
        emptied.clear();
        emptied.raise_level(whole.level());
    };
    reset(block.sources, sources);
    reset(block.months, months);
    reset(block.reasons, reasons);
}

}  // namespace textassay
