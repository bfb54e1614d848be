// Counts of word 3-grams for an anchor's model.
#pragma once

#include <cstdint>
#include <vector>

#include "perplexity.hpp"
#include "sorted_runs.hpp"

namespace textassay {

// (first, middle, last) and its count, sorted by middle, first, last. The first words of sentences are 2-grams: middle is <s>, and
// first is nothing.
struct NgramCount {
    uint64_t middle_first;
    uint64_t last_count;

    static constexpr uint32_t kNoWord = 0xFFFFFFFF;
    bool same_ngram(const NgramCount& other) const {
        return middle_first == other.middle_first && last_count >> 32 == other.last_count >> 32;
    }
};

// Of one worker.
class NgramCounter {
   public:
    explicit NgramCounter(SortedRuns& runs) : runs_(runs) {}

    void add(const WordStream& stream);
    // After the last document.
    void finish();

   private:
    void combine();

    SortedRuns& runs_;
    std::vector<NgramCount> counts_;
};

}  // namespace textassay
