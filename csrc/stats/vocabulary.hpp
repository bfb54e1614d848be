// The types that one worker has seen lately: token -> a small dense number, the same from block to block, so that batches can
// count by number and the corpus histogram hears of a type once a batch instead of once a token. One thread writes; others
// may read through a View, since no token that was added ever moves or changes.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>

#include "large_memory.hpp"
#include "token_key.hpp"

namespace textassay {

// One load, one comparison, one load and one store a token.
struct VocabularyEntry {
    uint64_t low, high;    // TokenKey; of a long token `high` is changed, so that it never equals a key at once
    uint64_t occurrences;  // below: position of the last one in the worker's token stream; above: count | kAnchor
    uint32_t long_offset;  // of a long token: where its bytes begin in the long bytes
    uint16_t marker;       // its number in the marker lexicon, 0 for none
    uint16_t size;         // of a token that is not long

    // Set in `occurrences` of a token that anchors a marker phrase. Counts stay below.
    static constexpr uint64_t kAnchor = uint64_t{1} << 63;
    uint32_t count() const { return static_cast<uint32_t>(occurrences >> 32); }
};
static_assert(sizeof(VocabularyEntry) == 32, "two to a cache line");

// Bytes that never move: page p holds those at offsets from kFirstPage * (2^p - 1) on.
class StableBytes {
   public:
    // Less than 4 GiB in all.
    uint32_t append(const uint8_t* bytes, uint32_t size);
    uint64_t size() const { return size_; }
    const uint8_t* at(uint32_t offset) const {
        const uint32_t page = page_of(offset);
        return pages_[page].get() + (offset - begin_of(page));
    }

   private:
    static constexpr uint32_t kFirstPage = 4096, kPages = 20;
    static uint32_t page_of(uint32_t offset) { return 31 - static_cast<uint32_t>(__builtin_clz(offset / kFirstPage + 1)); }
    static uint64_t begin_of(uint32_t page) { return kFirstPage * ((uint64_t{1} << page) - 1); }

    std::array<std::unique_ptr<uint8_t[]>, kPages> pages_;
    uint64_t size_ = 0;
};

class Vocabulary {
   public:
    Vocabulary();

    // Numbers begin at 1; entry 0 equals no token.
    static constexpr uint32_t kAbsent = 0;

    // What a loop over many tokens keeps in registers. Valid until the next add.
    struct Table {
        const uint32_t* slots;
        size_t mask;
        VocabularyEntry* entries;

        void prefetch_slot(uint64_t hash) const { __builtin_prefetch(slots + (hash & mask)); }
        // Once the slot is in the cache.
        void prefetch_entry(uint64_t hash) const { __builtin_prefetch(entries + slots[hash & mask], 1); }
        // Whether that is the number of a token, and it is short. For others there is find().
        bool holds(uint32_t id, const uint64_t key[2]) const { return equal_16(&entries[id], key); }
    };
    Table table() { return {slots_, mask_, entries_}; }

    // The number of the token with this key and hash_of(low, high), or kAbsent. `bytes` and `size` are looked at only if it is long.
    uint32_t find(uint64_t low, uint64_t high, uint64_t hash, const uint8_t* bytes, uint32_t size) const {
        for (size_t slot = hash & mask_;; slot = (slot + 1) & mask_) {
            const uint32_t id = slots_[slot];
            if (id == kAbsent) return kAbsent;
            const VocabularyEntry& entry = entries_[id];
            if (entry.low != low || entry.high != stored(high)) continue;
            if (!is_long_mark(high) || std::memcmp(long_bytes_.at(entry.long_offset), bytes, size) == 0) return id;
        }
    }
    // Adds a type that is absent; the next number. Its entry's other fields are zero.
    uint32_t add(const TokenKey& key, uint64_t hash);

    VocabularyEntry& operator[](uint32_t id) { return entries_[id]; }
    const VocabularyEntry& operator[](uint32_t id) const { return entries_[id]; }
    uint32_t size() const { return size_; }  // the first number that is not given
    uint64_t long_bytes() const { return long_bytes_.size(); }

    // The view lives as long as the vocabulary.
    TokenKey key(uint32_t id) const { return key_of(entries_[id]); }

    // The types so far, for other threads.
    class View {
       public:
        View() = default;
        explicit View(std::shared_ptr<const Vocabulary> vocabulary)
            : vocabulary_(std::move(vocabulary)),
              memory_(vocabulary_->memory_),
              entries_(vocabulary_->entries_),
              size_(vocabulary_->size_) {}

        TokenKey key(uint32_t id) const { return vocabulary_->key_of(entries_[id]); }
        uint32_t size() const { return size_; }  // the first number that is not known
        explicit operator bool() const { return vocabulary_ != nullptr; }
        bool same_vocabulary(const View& other) const { return vocabulary_ == other.vocabulary_; }

       private:
        std::shared_ptr<const Vocabulary> vocabulary_;
        std::shared_ptr<const LargeMemory> memory_;  // entries move when the vocabulary grows; the old ones stay for us
        const VocabularyEntry* entries_ = nullptr;
        uint32_t size_ = 0;
    };

   private:
    static constexpr size_t kSlots = size_t{1} << 17;

    // 0xFE is no more UTF-8 than 0xFF is.
    static uint64_t stored(uint64_t high) { return is_long_mark(high) ? high ^ uint64_t{1} << 56 : high; }

    TokenKey key_of(const VocabularyEntry& entry) const {
        if (entry.high >> 56 == 0xFE) {
            const uint32_t size = static_cast<uint32_t>(entry.high);
            return {entry.low, long_mark(size), long_bytes_.at(entry.long_offset), size};
        }
        return {entry.low, entry.high, reinterpret_cast<const uint8_t*>(&entry), entry.size};
    }
    void use_slots(size_t slots);

    std::shared_ptr<LargeMemory> memory_;
    uint32_t* slots_ = nullptr;  // numbers, 0 for empty; a power of two, at most half full
    size_t mask_ = 0;
    VocabularyEntry* entries_ = nullptr;  // half as many as there are slots
    uint32_t size_ = 1;
    StableBytes long_bytes_;
};

}  // namespace textassay
