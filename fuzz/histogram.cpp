// The state of a profile: types, names and distributions, added in one piece or in several that are merged in any order, are the same
// to the last counter; and what they are is what docs/semantics.md says, by the letter.
#include "histogram.hpp"

#include <bit>
#include <map>
#include <set>

#include "provenance.hpp"
#include "signals.hpp"
#include "target.hpp"

namespace textassay::fuzz {

namespace {

struct Added {
    std::string token;
    uint64_t count, documents;
    uint32_t peak;
    auto operator<=>(const Added&) const = default;
};

const uint8_t* bytes_of(const std::string& text) { return reinterpret_cast<const uint8_t*>(text.data()); }
uint64_t hash_of_token(const std::string& token) { return token_hash(bytes_of(token), token.size()); }
bool is_kept(uint64_t hash, uint32_t level) { return level == 0 || (level < 64 && hash >> (64 - level) == 0); }

// Lists of types, as batches hand them over; each token once.
std::vector<std::vector<Added>> read_batches(Choices& choices) {
    std::vector<std::vector<Added>> batches(1);
    while (!choices.done() && batches.size() <= 12) {
        const uint8_t what = choices.byte();
        std::map<std::string, Added> batch;
        const auto add = [&](const std::string& token, uint64_t count) {
            const uint64_t documents = 1 + count % 3;
            batch[token] = {token, count, documents, static_cast<uint32_t>(std::min<uint64_t>(count, UINT32_MAX))};
        };
        if (what < 64) {  // many that differ in a number
            const uint64_t first = choices.number(2), many = 16 * (1 + what);
            const unsigned size = 1 + static_cast<unsigned>(choices.below(40));
            for (uint64_t i = first; i < first + many; ++i) add(std::to_string(i) + std::string(size, 'x'), 1 + i * i % (1 + choices.below(4) * 50));
        } else {
            for (size_t types = what % 32; types > 0; --types) {
                const size_t size = 1 + choices.below(choices.byte() % 8 == 0 ? 60 : 3);
                std::string token;
                while (token.size() < size) token.push_back(static_cast<char>('a' + choices.below(4)));
                add(token, 1 + choices.number(choices.byte() % 16 == 0 ? 6 : 1));
            }
        }
        std::vector<Added> list;
        for (const auto& [token, one] : batch) list.push_back(one);
        batches.push_back(std::move(list));
    }
    return batches;
}

void add(Histogram& histogram, const std::vector<Added>& batch) {
    std::vector<TypeCount> types;
    for (const Added& one : batch) {
        const TokenKey key = exact_key(bytes_of(one.token), static_cast<uint32_t>(one.token.size()));
        types.push_back({key, hash_of(key.low, key.high), one.count, one.documents, one.peak});
    }
    histogram.add(types);
}

// All that a profile's file would hold of it.
struct State {
    uint32_t level = 0, floor_level = 0;
    std::vector<Added> sample, frequent;
    std::vector<uint64_t> counts, documents;
    bool operator==(const State&) const = default;
};

State state_of(const Histogram& histogram) {
    State state;
    state.level = histogram.level();
    const auto added = [](const TypeEntry& entry, const TokenKey& key) {
        return Added{{reinterpret_cast<const char*>(key.bytes), key.size}, entry.count, entry.documents, entry.peak};
    };
    for (const Histogram::Sorted& one : histogram.sorted()) state.sample.push_back(added(*one.entry, one.table->key(*one.entry)));
    REQUIRE(std::is_sorted(state.sample.begin(), state.sample.end(), [](const Added& a, const Added& b) { return a.token < b.token; }));
    REQUIRE(state.sample.size() == histogram.size());
    if (const BoundedTypes* const bounded = histogram.bounded()) {
        state.floor_level = bounded->floor_level;
        state.counts = bounded->counts;
        state.documents = bounded->documents;
        for (size_t i = 0; i < bounded->frequent.size(); ++i) {
            const TypeEntry& entry = bounded->frequent.entry(i);
            state.frequent.push_back(added(entry, bounded->frequent.key(entry)));
        }
        std::sort(state.frequent.begin(), state.frequent.end());
    }
    return state;
}

// By the letter: from the sums of all batches, which have no order.
State wanted_of(const std::vector<std::vector<Added>>& batches, uint64_t max_types) {
    std::map<std::string, Added> sums;
    for (const auto& batch : batches)
        for (const Added& one : batch) {
            Added& sum = sums.emplace(one.token, Added{one.token, 0, 0, 0}).first->second;
            sum = {one.token, sum.count + one.count, sum.documents + one.documents, std::max(sum.peak, one.peak)};
        }
    State state;
    const auto kept = [&] { return static_cast<uint64_t>(std::count_if(sums.begin(), sums.end(), [&](const auto& s) { return is_kept(hash_of_token(s.first), state.level); })); };
    while (kept() > max_types) ++state.level;
    std::vector<Added> others;
    for (const auto& [token, sum] : sums) (is_kept(hash_of_token(token), state.level) ? state.sample : others).push_back(sum);
    if (state.level == 0) return state;
    const uint64_t width = std::clamp<uint64_t>(std::bit_ceil((max_types + 15) / 16), 1 << 10, 1 << 20);
    state.counts.resize(4 * width);
    state.documents.resize(4 * width);
    for (const Added& one : others) {
        const uint64_t hash = hash_of_token(one.token), step = hash * 0x9e3779b97f4a7c15u | 1;
        for (uint64_t row = 0; row < 4; ++row) {
            const uint64_t cell = row * width + ((hash + row * step) >> 20 & (width - 1));
            state.counts[cell] += one.count;
            state.documents[cell] += one.documents;
        }
    }
    const auto frequent = [&](const Added& one) { return one.peak >> state.floor_level != 0; };
    while (static_cast<uint64_t>(std::count_if(others.begin(), others.end(), frequent)) > std::max<uint64_t>(1024, max_types / 16)) ++state.floor_level;
    for (const Added& one : others)
        if (frequent(one)) state.frequent.push_back({one.token, 0, 0, one.peak});
    return state;
}

// The batches in pieces of a shuffled order, each counted apart and then merged, twice over.
State merged_state(const std::vector<std::vector<Added>>& batches, uint64_t max_types, Sequence& sequence) {
    std::vector<std::unique_ptr<Histogram>> parts;
    for (size_t n = 1 + sequence.below(4); n > 0; --n) parts.push_back(std::make_unique<Histogram>(max_types));
    for (const auto& batch : batches) add(*parts[sequence.below(parts.size())], batch);
    while (parts.size() > 1) {
        const size_t from = sequence.below(parts.size());
        std::swap(parts[from], parts.back());
        const Histogram copy(*parts.back());
        REQUIRE(state_of(copy) == state_of(*parts.back()));
        parts.pop_back();
        parts[sequence.below(parts.size())]->merge(copy);
    }
    return state_of(*parts[0]);
}

std::vector<std::tuple<std::string, size_t, uint64_t, uint64_t, uint64_t>> rows_of(const ProvenanceTable& table) {
    std::vector<std::tuple<std::string, size_t, uint64_t, uint64_t, uint64_t>> rows;
    const auto append = [&](const std::string& name, const LabelCounts& counts) {
        for (size_t i = 0; i < kLabels; ++i) rows.emplace_back(name, i, counts.sums[i].documents, counts.sums[i].tokens, counts.sums[i].bytes);
    };
    append("", table.unnamed());
    append("", table.others());
    for (const auto& [name, counts] : table.sorted()) append(std::string(name), *counts);
    return rows;
}

// Names of any level, counted at once or apart.
void check_names(const std::vector<std::vector<Added>>& batches, Sequence& sequence) {
    ProvenanceTable whole, parts[3];
    const uint32_t level = static_cast<uint32_t>(sequence.below(4));
    parts[0].raise_level(level);
    whole.raise_level(level);
    for (const auto& batch : batches)
        for (const Added& one : batch) {
            const std::string name = one.token.substr(0, one.token.size() - (one.count % 16 == 0 ? one.token.size() : 0));
            const Label label = static_cast<Label>(one.count % kLabels);
            whole.add(name, label, {one.documents, one.count, one.peak});
            parts[sequence.below(3)].add(name, label, {one.documents, one.count, one.peak});
        }
    const size_t first = sequence.below(3);
    ProvenanceTable& sum = parts[first];
    sum.merge(parts[(first + 2) % 3]);
    sum.merge(parts[(first + 1) % 3]);
    REQUIRE(sum.level() == whole.level());
    REQUIRE(rows_of(sum) == rows_of(whole));
    for (const auto& [name, counts] : sum.sorted()) REQUIRE(is_kept(hash_of_token(std::string(name)), level));
}

// Values of all sizes that a signal may have: below 2^31.
void check_distributions(const std::vector<std::vector<Added>>& batches, Sequence& sequence) {
    SignalHistograms whole, parts[2];
    for (const auto& batch : batches)
        for (const Added& one : batch) {
            const Signal signal = static_cast<Signal>(one.count % kAllSignals);
            SignalHistograms& part = parts[sequence.below(2)];
            if (kSignals[signal].is_integer) {
                whole.add(signal, one.count);
                part.add(signal, one.count);
            } else {
                const double value = one.peak % 7 == 0 ? std::nan("") : (static_cast<double>(one.peak >> 1) - 8) / static_cast<double>(one.documents);
                whole.add(signal, value);
                part.add(signal, value);
            }
        }
    parts[0].merge(parts[1]);
    for (size_t i = 0; i < kAllSignals; ++i) {
        const SignalHistograms::One &one = parts[0][static_cast<Signal>(i)], &other = whole[static_cast<Signal>(i)];
        REQUIRE(one.bins == other.bins && one.nulls == other.nulls && one.sum == other.sum && one.sum_squares == other.sum_squares);
    }
}

}  // namespace

}  // namespace textassay::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
    using namespace textassay::fuzz;
    static constexpr uint64_t kMaxTypes[] = {1 << 16, 1, 2, 16, 100, 1000, 20'000, 3};
    Choices choices(input, size);
    const uint64_t max_types = kMaxTypes[choices.below(8)];
    Sequence sequence(choices.number(2));
    const auto batches = read_batches(choices);
    const State wanted = wanted_of(batches, max_types);
    textassay::Histogram whole(max_types);
    for (const auto& batch : batches) add(whole, batch);
    REQUIRE(state_of(whole) == wanted);
    REQUIRE(merged_state(batches, max_types, sequence) == wanted);
    check_names(batches, sequence);
    check_distributions(batches, sequence);
    return 0;
}
