// Counts of word 3-grams for an anchor's model, sorted runs on disk: memory is bounded whatever the text.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "perplexity.hpp"

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

// Where the runs of all workers go.
class NgramRuns {
   public:
    NgramRuns(std::string folder, size_t memory_of_worker) : folder_(std::move(folder)), capacity_(memory_of_worker / sizeof(NgramCount)) {}

    size_t capacity() const { return capacity_ < kLeast ? kLeast : capacity_; }
    // Throws std::system_error.
    void write(const std::vector<NgramCount>& run);

   private:
    static constexpr size_t kLeast = size_t{1} << 16;

    const std::string folder_;
    const size_t capacity_;
    std::atomic<uint64_t> next_{0};
};

// Of one worker.
class NgramCounter {
   public:
    explicit NgramCounter(NgramRuns& runs) : runs_(runs) {}

    void add(const WordStream& stream);
    // After the last document.
    void finish();

   private:
    void combine();

    NgramRuns& runs_;
    std::vector<NgramCount> counts_;
};

}  // namespace textassay
