// The types of one block of text: token -> a small dense number. It lives as long as the block, so it stays in the cache, and
// the corpus histogram hears of a type once per batch instead of once per token.
#pragma once

#include <cstdint>
#include <vector>

#include "token_key.hpp"

namespace textassay {

struct VocabularyEntry {
    uint64_t low, high;       // TokenKey; of a long token `high` is its offset in the long bytes
    uint32_t size;            // of the token in bytes
    uint32_t last;            // position of its last occurrence in the block's token stream
    uint32_t document_count;  // occurrences in the current document, if `last` lies in it
    uint16_t marker;          // its number in the marker lexicon, 0 for none
    uint16_t characters;      // code points, at most 65535
};

class Vocabulary {
   public:
    Vocabulary() { clear(); }

    // The number of `key`; a new type gets the next one, its entry's other fields zero. `added` tells.
    uint32_t find_or_add(const TokenKey& key, bool& added) {
        const uint64_t hash = hash_of(key.low, key.high);
        added = false;
        for (size_t slot = hash & mask_;; slot = (slot + 1) & mask_) {
            const uint32_t stored = slots_[slot];
            if (stored == 0) {
                added = true;
                return add(key, hash, slot);
            }
            const VocabularyEntry& entry = entries_[stored - 1];
            if (entry.low == key.low && entry.size == key.size &&
                (key.is_long() ? same_long_bytes(entry, key) : entry.high == key.high))
                return stored - 1;
        }
    }

    void prefetch(const TokenKey& key) const { __builtin_prefetch(&slots_[hash_of(key.low, key.high) & mask_]); }

    VocabularyEntry& operator[](uint32_t id) { return entries_[id]; }
    const VocabularyEntry& operator[](uint32_t id) const { return entries_[id]; }
    VocabularyEntry* data() { return entries_.data(); }
    uint32_t size() const { return static_cast<uint32_t>(entries_.size()); }

    // The view lives until the next find_or_add.
    TokenKey key(uint32_t id) const {
        const VocabularyEntry& entry = entries_[id];
        if (entry.size > kInlineBytes) return {entry.low, 0, long_bytes_.data() + entry.high, entry.size};
        return {entry.low, entry.high, reinterpret_cast<const uint8_t*>(&entry), entry.size};
    }

    // Forgets all types, and memory beyond what a common block needs.
    void clear();

   private:
    static constexpr size_t kSlots = size_t{1} << 16;

    bool same_long_bytes(const VocabularyEntry& entry, const TokenKey& key) const {
        return std::memcmp(long_bytes_.data() + entry.high, key.bytes, key.size) == 0;
    }
    uint32_t add(const TokenKey& key, uint64_t hash, size_t slot);
    void grow();

    std::vector<uint32_t> slots_;  // number + 1, 0 for empty; a power of two, at most half full
    size_t mask_ = 0;
    std::vector<VocabularyEntry> entries_;
    std::vector<uint8_t> long_bytes_;
};

static_assert(sizeof(VocabularyEntry) == 32, "two to a cache line");

}  // namespace textassay
