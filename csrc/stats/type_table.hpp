// token -> count, document frequency, peak: an open-addressing table over dense entries. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "token_key.hpp"

namespace textassay {

// What is added for one type.
struct TypeCount {
    TokenKey key;
    uint64_t hash;  // hash_of(key.low, key.high)
    uint64_t count;
    uint64_t documents;
    uint32_t peak;  // the greatest count in one batch, at most 2^32 - 1
};

struct TypeEntry {
    uint64_t low, high;  // TokenKey; of a long token `high` is its offset in the long bytes
    uint64_t count, documents;
    uint32_t peak;
    uint32_t size;
};

class TypeTable {
   public:
    // Adds counts; the peak becomes the greater one. Returns whether the type is new.
    bool add(const TypeCount& type) {
        TypeEntry& entry = find_or_add(type.key, type.hash);
        const bool added = entry.count == 0 && entry.documents == 0 && entry.peak == 0;
        entry.count += type.count;
        entry.documents += type.documents;
        if (type.peak > entry.peak) entry.peak = type.peak;
        return added;
    }

    // Adds types[order[i]], or types[i] without an order, for i in [0, size); returns how many are new.
    size_t add_all(const TypeCount* types, size_t size, const uint32_t* order = nullptr);

    void prefetch_slot(uint64_t hash) const {
        if (!slots_.empty()) __builtin_prefetch(&slots_[hash & mask_]);
    }
    // Once the slot is in the cache.
    void prefetch_entry(uint64_t hash) const {
        if (slots_.empty()) return;
        const uint32_t stored = slots_[hash & mask_];
        if (stored != 0) __builtin_prefetch(&entry(stored - 1), 1);
    }

    // Makes room for that many types.
    void reserve(size_t types);

    size_t size() const { return size_; }
    const TypeEntry& entry(size_t i) const { return pages_[i / kPage][i % kPage]; }
    TokenKey key(const TypeEntry& entry) const {
        if (entry.size > kInlineBytes) return {entry.low, long_mark(entry.size), long_bytes_.data() + entry.high, entry.size};
        return {entry.low, entry.high, reinterpret_cast<const uint8_t*>(&entry), entry.size};
    }

    // Keeps the entries for which `keep(entry, key)` is true, and hands the others to it just so.
    template <typename Keep>
    void retain(Keep keep) {
        TypeTable kept;
        for (size_t i = 0; i < size_; ++i) {
            const TypeEntry& e = entry(i);
            const TokenKey k = key(e);
            if (keep(e, k)) kept.add({k, hash_of(k.low, k.high), e.count, e.documents, e.peak});
        }
        *this = std::move(kept);
    }

   private:
    static constexpr size_t kPage = 512;  // entries are never moved: no peak of memory when a table grows

    TypeEntry& entry_at(size_t i) { return pages_[i / kPage][i % kPage]; }
    TypeEntry& find_or_add(const TokenKey& key, uint64_t hash);
    bool same(const TypeEntry& entry, const TokenKey& key) const {
        if (entry.low != key.low || entry.size != key.size) return false;
        if (!key.is_long()) return entry.high == key.high;
        return std::memcmp(long_bytes_.data() + entry.high, key.bytes, key.size) == 0;
    }
    void resize_slots(size_t slots);

    std::vector<uint32_t> slots_;  // index + 1, 0 for empty; a power of two, at most 3/4 full
    size_t mask_ = 0;
    size_t size_ = 0;
    std::vector<std::unique_ptr<TypeEntry[]>> pages_;
    std::vector<uint8_t> long_bytes_;
};

}  // namespace textassay
