// Provenance: the label of a document, by rules over its metadata, and what is counted by label.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "token_key.hpp"

namespace textassay {

enum class Label : uint8_t { kHumanVerified, kHumanUnverified, kSyntheticKnown, kSyntheticSuspected };
inline constexpr size_t kLabels = 4;

// A field of a record, as a rule sees it.
struct FieldValue {
    bool present = false;
    std::string_view text;
};

// All patterns of all rules in one table, made by patterns.py: a pattern is the state in which it begins.
struct Automaton {
    static constexpr uint32_t kFirstState = 2;  // 0 rejects and 1 accepts whatever follows

    std::array<uint8_t, 256> classes;
    size_t width = 0;  // of a row of transitions
    std::vector<uint16_t> transitions;
    std::vector<uint8_t> accepting;

    bool accepts(uint32_t start, std::string_view text) const;
};

// Views of the rules or of the record's values; empty: none.
struct Provenance {
    Label label;
    std::string_view reason, source, month;
};

struct ProvenanceRules {
    struct Condition {
        uint32_t field, start;
        bool negated;
    };
    struct Rule {
        Label label;
        int generator;  // the field whose value is the reason; -1: the name is
        std::string name;
        std::vector<Condition> conditions;
    };

    // The document's label: that of the first rule whose conditions all hold; without one, what the detector suspects. `input`
    // is the number of its file.
    Provenance find(size_t input, std::span<const FieldValue> values, bool is_suspected) const;

    std::vector<std::vector<std::string>> fields;  // paths of the values
    int source = -1, date = -1;                    // of the fields, those of the tables
    uint32_t date_start = 0;                       // the pattern of a date
    Label default_label = Label::kHumanUnverified;
    std::string suspicion;  // the reason that a suspected document gets; empty: suspicions are left alone
    std::vector<Rule> rules;
    std::vector<uint8_t> applies;  // by input and rule: whether the rule is for the input
    Automaton automaton;

   private:
    bool holds(const Rule& rule, std::span<const FieldValue> values) const;
    const Rule* first_that_holds(size_t input, std::span<const FieldValue> values) const;
};

struct LabelledSum {
    uint64_t documents = 0, tokens = 0, bytes = 0;

    void merge(const LabelledSum& other) {
        documents += other.documents;
        tokens += other.tokens;
        bytes += other.bytes;
    }
};

struct LabelCounts {
    std::array<LabelledSum, kLabels> sums{};

    void merge(const LabelCounts& other) {
        for (size_t i = 0; i < kLabels; ++i) sums[i].merge(other.sums[i]);
    }
};

// Counts by a name that the corpus chooses, so of bounded size. Names whose hash lies below 2^(64 - level) are kept, the level is
// the least with which they are at most kMaxNames, and all others are one sum: neither order nor cuts show.
class ProvenanceTable {
   public:
    static constexpr size_t kMaxNames = 65'536, kMaxNameBytes = 256;

    // No name at all is an empty one.
    void add(std::string_view name, Label label, const LabelledSum& sum);
    void add(std::string_view name, const LabelCounts& counts);
    void add_others(const LabelCounts& counts) { others_.merge(counts); }
    void raise_level(uint32_t level);
    void merge(const ProvenanceTable& other);
    // Empty, but on the same level: what is to be merged into a table that has reached it holds no more than that will keep.
    void clear();

    uint32_t level() const { return level_; }
    const LabelCounts& unnamed() const { return unnamed_; }
    const LabelCounts& others() const { return others_; }
    std::vector<std::pair<std::string_view, const LabelCounts*>> sorted() const;

   private:
    struct Hash {
        using is_transparent = void;
        size_t operator()(std::string_view name) const {
            return hash_bytes(reinterpret_cast<const uint8_t*>(name.data()), name.size());
        }
    };

    LabelCounts& counts_of(std::string_view name);
    bool keeps(std::string_view name) const;

    std::unordered_map<std::string, LabelCounts, Hash, std::equal_to<>> named_;
    LabelCounts unnamed_, others_;
    uint32_t level_ = 0;
};

struct ProvenanceTables {
    ProvenanceTable sources, months, reasons;

    void add(const Provenance& found, const LabelledSum& sum) {
        sources.add(found.source, found.label, sum);
        months.add(found.month, found.label, sum);
        reasons.add(found.reason, found.label, sum);
    }
    void merge(const ProvenanceTables& other) {
        sources.merge(other.sources);
        months.merge(other.months);
        reasons.merge(other.reasons);
    }
    // Adds all that `block` holds, which is empty then.
    void take(ProvenanceTables& block);
};

}  // namespace textassay
