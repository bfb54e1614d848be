// The types of one block of text: token -> a small dense number. It lives as long as the block, so it stays in the cache, and
// the corpus histogram hears of a type once per batch instead of once per token.
#pragma once

#include <cstdint>
#include <vector>

#include "token_key.hpp"

namespace textassay {

struct VocabularyEntry {
    uint64_t low, high;       // TokenKey
    uint32_t last;            // position of its last occurrence in the block's token stream
    uint32_t document_count;  // occurrences in the current document, if `last` lies in it
    uint32_t long_offset;     // of a long token: where its bytes begin in the long bytes
    uint16_t marker;          // its number in the marker lexicon, 0 for none
    uint16_t size;            // of a token that is not long
};
static_assert(sizeof(VocabularyEntry) == 32, "two to a cache line");

class Vocabulary {
   public:
    Vocabulary() { clear(); }

    static constexpr uint32_t kAbsent = ~uint32_t{0};

    // The number of the token with this key and hash_of(low, high), or kAbsent. `bytes` and `size` are looked at only if it is long.
    uint32_t find(uint64_t low, uint64_t high, uint64_t hash, const uint8_t* bytes, uint32_t size) const {
        for (size_t slot = hash & mask_;; slot = (slot + 1) & mask_) {
            const uint32_t stored = slots_[slot];
            if (stored == 0) return kAbsent;
            const VocabularyEntry& entry = entries_[stored - 1];
            if (((entry.low ^ low) | (entry.high ^ high)) == 0 &&
                (!is_long_mark(high) || std::memcmp(long_bytes_.data() + entry.long_offset, bytes, size) == 0))
                return stored - 1;
        }
    }
    // Adds a type that is absent; the next number. Its entry's other fields are zero.
    uint32_t add(const TokenKey& key, uint64_t hash);

    void prefetch_slot(uint64_t hash) const { __builtin_prefetch(&slots_[hash & mask_]); }
    // Once the slot is in the cache.
    void prefetch_entry(uint64_t hash) const {
        __builtin_prefetch(entries_.data() + slots_[hash & mask_] - 1, 1);
    }

    VocabularyEntry& operator[](uint32_t id) { return entries_[id]; }
    const VocabularyEntry& operator[](uint32_t id) const { return entries_[id]; }
    VocabularyEntry* data() { return entries_.data(); }
    uint32_t size() const { return static_cast<uint32_t>(entries_.size()); }

    // The view lives until the next add.
    TokenKey key(uint32_t id) const {
        const VocabularyEntry& entry = entries_[id];
        if (is_long_mark(entry.high))
            return {entry.low, entry.high, long_bytes_.data() + entry.long_offset, static_cast<uint32_t>(entry.high)};
        return {entry.low, entry.high, reinterpret_cast<const uint8_t*>(&entry), entry.size};
    }

    // Forgets all types, and memory beyond what a common block needs.
    void clear();

   private:
    static constexpr size_t kSlots = size_t{1} << 16;

    void grow();

    std::vector<uint32_t> slots_;  // number + 1, 0 for empty; a power of two, at most half full
    size_t mask_ = 0;
    std::vector<VocabularyEntry> entries_;
    std::vector<uint8_t> long_bytes_;  // of one block: less than 4 GiB
};

}  // namespace textassay
