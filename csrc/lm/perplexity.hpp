// A document's words under an anchor's model.
#pragma once

#include <cstdint>
#include <vector>

#include "anchor.hpp"

namespace textassay {

// Word numbers of sentences, each between <s> and </s>; before them some of <s>, so that one may look back from anywhere.
struct WordStream {
    static constexpr size_t kLead = Anchor::kMaxOrder;

    std::vector<uint32_t> words;
    uint64_t unknown = 0, rare = 0;  // tokens that the model doesn't know; tokens in the anchor's tail

    // From the type numbers of a document's tokens; `numbers` has the word of each type. A sentence takes what is left, the last one
    // all of it: where a word straddles the end of a sentence, the lengths need not add up to `tokens`.
    void gather(const Anchor& anchor, const uint32_t* types, size_t tokens, const uint32_t* numbers,
                const std::vector<uint64_t>& lengths);
};

class PerplexityMeter {
 public:
    explicit PerplexityMeter(const Anchor& anchor) : anchor_(anchor) {}

    // The cost of all words and sentence ends.
    int64_t cost(const WordStream& stream);

 private:
    static constexpr size_t kChunk = 256;
    // Entries of one order that end at the chunk's words, from index 1 on; index 0 is the last of the chunk before.
    using Entries = std::array<uint64_t, kChunk + 1>;

    void look_up_bigrams(const uint32_t* words, size_t size);
    size_t lengthen(const uint32_t* words, unsigned order, size_t candidates);
    void look_up(unsigned order, size_t candidates, size_t size);
    template <unsigned kOrder>
    int64_t sum(const uint32_t* words, size_t size) const;

    const Anchor& anchor_;
    std::array<Entries, Anchor::kMaxOrder + 1> entries_{};  // by order
    // Of the n-grams looked up: which word they end at, and what they are.
    std::array<uint32_t, kChunk + 1> places_{};
    std::array<uint64_t, kChunk + 1> hashes_{}, found_{};
};

// 2^(cost / tokens), at most 2^30; the same on every machine.
double perplexity_of(int64_t cost, uint64_t tokens);

}  // namespace textassay
