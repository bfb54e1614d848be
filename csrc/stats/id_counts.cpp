#include "id_counts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "fixed_log.hpp"

namespace textassay {

namespace {

// Smaller vocabularies are read off whole; of larger ones, and of an unknown one, only as much as a batch reaches.
constexpr uint64_t kReadWhole = uint64_t{1} << 17;

// Ids that are read off together.
constexpr uint64_t kBlock = 16;

// Negative ids become large ones, beyond any vocabulary.
template <typename Id>
uint64_t widened(Id id) {
    return static_cast<uint64_t>(static_cast<int64_t>(id));
}

// The number of ids that `Id` can tell apart, from 0 on: no counter is needed for more.
template <typename Id>
constexpr uint64_t kRange = sizeof(Id) < 8 ? uint64_t{1} << std::numeric_limits<Id>::digits : ~uint64_t{0};

// The greatest id of those inside, plus one. In numbers as wide as the ids, so that the compiler takes several at once.
template <typename Id>
uint64_t reach_of(const Id* ids, size_t size, uint64_t vocabulary) {
    using Unsigned = std::make_unsigned_t<Id>;
    const auto last = static_cast<Unsigned>(vocabulary - 1);
    Unsigned greatest = 0;
    for (size_t i = 0; i < size; ++i) {
        const auto id = static_cast<Unsigned>(ids[i]);
        const Unsigned inside = id <= last ? id : 0;
        greatest = std::max(greatest, inside);
    }
    return uint64_t{greatest} + 1;
}

// Two counters an id, in turn: equal ids in a row would wait for one, twice as long. Side by side in one word, they take no more
// cache lines than one counter of 64 bits; four, or separate tables, cost natural text more than they save (measured: 0.35 ns a token
// for two, 0.40 to 0.43 for four; all ids equal: 1.0 and 0.56, with one counter 1.9).
template <typename Slot>
void add(const Slot* slots, size_t size, uint32_t* counters) {
    size_t i = 0;
    for (; i + 4 <= size; i += 4) {
        ++counters[2 * uint64_t{slots[i]}];
        ++counters[2 * uint64_t{slots[i + 1]} + 1];
        ++counters[2 * uint64_t{slots[i + 2]}];
        ++counters[2 * uint64_t{slots[i + 3]} + 1];
    }
    for (; i < size; ++i) ++counters[2 * uint64_t{slots[i]}];
}

// All ids that are not below `outside` count there. In two steps, since the compiler takes several ids at once in the first, and a
// counter's address that is known late holds up the counters behind it in the second (measured: 0.5 against 1.2 ns a token).
template <typename Id>
void add_clamped(const Id* ids, size_t size, uint32_t outside, uint32_t* counters) {
    constexpr size_t kPiece = 1024;
    uint32_t slots[kPiece];
    for (size_t begin = 0; begin < size; begin += kPiece) {
        const size_t piece = std::min(kPiece, size - begin);
        for (size_t i = 0; i < piece; ++i) {
            const uint64_t id = widened(ids[begin + i]);
            const auto low = static_cast<uint32_t>(id), high = static_cast<uint32_t>(id >> 32);
            const uint32_t mask = high == 0 && low < outside ? ~uint32_t{0} : 0;
            slots[i] = (low & mask) | (outside & ~mask);
        }
        add(slots, piece, counters);
    }
}

template <typename Id>
int64_t first_outside(const Id* ids, size_t size, uint64_t vocabulary) {
    return std::find_if(ids, ids + size, [vocabulary](Id id) { return widened(id) >= vocabulary; }) - ids;
}

void describe(IdBatch& batch, uint64_t log_sum) {
    batch.entropy_bits = batch.tokens == 0 ? std::nan("") : entropy_bits(batch.tokens, log_sum);
}

}  // namespace

IdCounter::IdCounter(uint64_t vocabulary, bool keep_totals)
    : vocabulary_(vocabulary), keep_totals_(keep_totals), totals_(keep_totals ? vocabulary + kBlock : 0) {}

std::vector<uint64_t> IdCounter::totals() const {
    return {totals_.begin(), totals_.begin() + static_cast<ptrdiff_t>(keep_totals_ ? vocabulary_ : 0)};
}

// No count of counts: c log2 c of all small counts lies in a table of 32 KiB anyway, and the many equal counts would wait for one
// counter again. What pays off is to pass by blocks of ids that did not occur: most of them, in a small batch.
template <bool kTotals>
void IdCounter::read_off(uint64_t inside, IdBatch& batch) {
    uint64_t log_sum = 0, types = 0;
    for (uint64_t block = 0; block < inside; block += kBlock) {
        uint32_t* const counters = &counters_[2 * block];
        uint32_t any = 0;
        for (uint64_t i = 0; i < 2 * kBlock; ++i) any |= counters[i];
        if (any == 0) continue;
        for (uint64_t id = block; id < block + kBlock; ++id) {
            const uint64_t count = count_of(id);
            types += count > 0;
            log_sum += log2_times_tabled(count);
            if (kTotals) totals_[id] += count;
        }
        std::fill_n(counters, 2 * kBlock, 0);
    }
    batch.types = types;
    describe(batch, log_sum);
}

template <typename Id>
IdBatch IdCounter::count(const Id* ids, size_t size) {
    IdBatch batch;
    uint64_t inside = std::min(vocabulary_, kRange<Id>);  // ids below may occur, and are no mistake
    if (inside > kReadWhole) inside = reach_of(ids, size, inside);
    if (inside > kDense) return count_by_sorting(ids, size);
    // Short unsigned ids have a counter each anyway; of others those outside share one.
    constexpr bool kIsShort = sizeof(Id) <= 2 && std::is_unsigned_v<Id>;
    const uint64_t slots = kIsShort ? kRange<Id> : inside + 1;
    if (counters_.size() < 2 * (slots + kBlock)) counters_.resize(2 * (slots + kBlock));
    if constexpr (kIsShort)
        add(ids, size, counters_.data());
    else
        add_clamped(ids, size, static_cast<uint32_t>(inside), counters_.data());
    for (uint64_t slot = inside; slot < slots; ++slot) batch.outside += count_of(slot);
    std::fill_n(&counters_[2 * inside], 2 * (slots - inside), 0);
    batch.tokens = size - batch.outside;
    if (batch.outside > 0) batch.first_outside = first_outside(ids, size, vocabulary_);
    keep_totals_ ? read_off<true>(inside, batch) : read_off<false>(inside, batch);
    return batch;
}

template <typename Id>
IdBatch IdCounter::count_by_sorting(const Id* ids, size_t size) {
    IdBatch batch;
    sorted_.clear();
    for (size_t i = 0; i < size; ++i)
        if (widened(ids[i]) < vocabulary_) sorted_.push_back(widened(ids[i]));
    std::sort(sorted_.begin(), sorted_.end());
    uint64_t log_sum = 0;
    for (size_t begin = 0, end; begin < sorted_.size(); begin = end) {
        for (end = begin + 1; end < sorted_.size() && sorted_[end] == sorted_[begin];) ++end;
        ++batch.types;
        log_sum += log2_times_tabled(end - begin);
    }
    batch.tokens = sorted_.size();
    batch.outside = size - batch.tokens;
    if (batch.outside > 0) batch.first_outside = first_outside(ids, size, vocabulary_);
    describe(batch, log_sum);
    return batch;
}

template IdBatch IdCounter::count(const int8_t*, size_t);
template IdBatch IdCounter::count(const uint8_t*, size_t);
template IdBatch IdCounter::count(const int16_t*, size_t);
template IdBatch IdCounter::count(const uint16_t*, size_t);
template IdBatch IdCounter::count(const int32_t*, size_t);
template IdBatch IdCounter::count(const uint32_t*, size_t);
template IdBatch IdCounter::count(const int64_t*, size_t);
template IdBatch IdCounter::count(const uint64_t*, size_t);

}  // namespace textassay
