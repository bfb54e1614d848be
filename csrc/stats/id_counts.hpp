// Counts of token ids, a batch at a time, and what is read off them. Made for memory speed: ids are read once, where they lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace textassay {

struct IdBatch {
    uint64_t tokens = 0, types = 0, outside = 0;  // `outside`: ids that are negative or not below the vocabulary's size
    int64_t first_outside = -1;                   // its place in the batch
    double entropy_bits = 0;                      // NaN where no token is left
};

class IdCounter {
   public:
    // Ids beyond have no counter each: a batch that holds one is sorted.
    static constexpr uint64_t kDense = uint64_t{1} << 22;
    // Keeps N H below 2^31 (docs/semantics.md), and counters within 32 bits.
    static constexpr size_t kMaxBatch = size_t{1} << 26;

    // With `keep_totals` the counts of all batches are added up by id; `vocabulary` is at most kDense then.
    IdCounter(uint64_t vocabulary, bool keep_totals);

    // `size` is at most kMaxBatch. Id: any integer type of 8 to 64 bits.
    template <typename Id>
    IdBatch count(const Id* ids, size_t size);

    // Occurrences of each id in all batches so far; empty without `keep_totals`.
    std::vector<uint64_t> totals() const;

   private:
    template <typename Id>
    IdBatch count_by_sorting(const Id* ids, size_t size);
    template <bool kTotals>
    void read_off(uint64_t inside, IdBatch& batch);
    uint64_t count_of(uint64_t slot) const { return uint64_t{counters_[2 * slot]} + counters_[2 * slot + 1]; }

    const uint64_t vocabulary_;
    const bool keep_totals_;
    std::vector<uint32_t> counters_;  // two of each id; behind the last those of ids outside, then a block more. Zero between batches.
    std::vector<uint64_t> totals_;  // by id, and a block more
    std::vector<uint64_t> sorted_;  // scratch
};

}  // namespace textassay
