// An anchor as a scan sees it: the words of verified human text, which of them are rare, and how likely each is behind others.
// Views into a mapped file that nobody changes; shared by all threads.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "byte_kernels.hpp"
#include "token_key.hpp"

namespace textassay {

// A cost is -log2 of a probability in units of 2^-kCostBits bits; a backoff's can be negative, so it is stored kBackoffBias higher.
inline constexpr int kCostBits = 13;
inline constexpr int64_t kBackoffBias = int64_t{8} << kCostBits;

// An n-gram of a table: kTagBits of its hash, 18 bits of its cost, 18 of its backoff's. Zero is no entry.
inline constexpr int kEntryCostBits = 18;
static_assert(kernels::kTagBits + 2 * kEntryCostBits == 64);
inline constexpr uint64_t kEntryMask = (uint64_t{1} << kEntryCostBits) - 1;
inline int64_t cost_of(uint64_t entry) { return static_cast<int64_t>(entry >> kEntryCostBits & kEntryMask); }
inline int64_t backoff_of(uint64_t entry) {
    return entry == 0 ? 0 : static_cast<int64_t>(entry & kEntryMask) - kBackoffBias;
}

// Hashes of n-grams, from the last word backwards. Both are bijections of what they add.
inline uint64_t bigram_hash(uint32_t first, uint32_t last) {
    return finish_hash(static_cast<uint64_t>(first) << 32 | last);
}
inline uint64_t longer_hash(uint64_t hash, uint32_t word_before) {
    return finish_hash(hash ^ (word_before + uint64_t{1}) * 0x9E3779B97F4A7C15u);
}

struct Anchor {
    static constexpr uint32_t kUnknown = 0, kBegin = 1, kEnd = 2;  // <unk>, <s>, </s>; words follow, the most frequent first
    static constexpr unsigned kMaxOrder = 5;

    // Words by number: token_bytes[token_offsets[i], token_offsets[i + 1]).
    const uint8_t* token_bytes = nullptr;
    const uint64_t* token_offsets = nullptr;
    uint64_t n_token_bytes = 0;
    uint32_t n_words = 0;
    // By token_hash: numbers, 0 for empty; a power of two, never full.
    const uint32_t* slots = nullptr;
    uint64_t slot_mask = 0;

    uint32_t n_modelled = 0;                // the model knows words below this number; others are <unk>
    uint32_t tail_begin = 0, tail_end = 0;  // numbers of the rare words

    unsigned order = 0;                    // 0: no model
    const uint64_t* unigrams = nullptr;    // cost << 32 | biased backoff, of each modelled word
    struct Table {
        const uint64_t* entries = nullptr;
        uint64_t buckets = 0;  // of 8 entries
    };
    std::array<Table, kMaxOrder + 1> tables{};  // by order, from 2 on

    // Of its documents, ascending; none: the anchor was made without them.
    const uint64_t* fingerprints = nullptr;
    uint64_t n_fingerprints = 0;

    int64_t unigram_cost(uint32_t word) const { return static_cast<int64_t>(unigrams[word] >> 32); }
    int64_t unigram_backoff(uint32_t word) const { return static_cast<int64_t>(unigrams[word] & 0xFFFFFFFF) - kBackoffBias; }

    // The number of a word, or kUnknown. What the file says is not trusted: nothing is read outside it.
    uint32_t number_of(const TokenKey& key) const {
        for (uint64_t slot = token_hash(key.bytes, key.size) & slot_mask, seen = 0; seen <= slot_mask; slot = (slot + 1) & slot_mask, ++seen) {
            const uint32_t word = slots[slot];
            if (word == kUnknown || word >= n_words) return kUnknown;
            const uint64_t begin = token_offsets[word], end = token_offsets[word + 1];
            if (begin > end || end > n_token_bytes || end - begin != key.size) continue;
            if (std::memcmp(token_bytes + begin, key.bytes, key.size) == 0) return word;
        }
        return kUnknown;
    }
};

}  // namespace textassay
