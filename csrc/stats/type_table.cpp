#include "type_table.hpp"

#include <algorithm>

namespace textassay {

const TypeEntry* TypeTable::find(const TokenKey& key) const {
    if (slots_.empty()) return nullptr;
    for (size_t slot = hash_of(key.low, key.high) & mask_;; slot = (slot + 1) & mask_) {
        const uint32_t stored = slots_[slot];
        if (stored == 0) return nullptr;
        if (same(entry(stored - 1), key)) return &entry(stored - 1);
    }
}

TypeEntry& TypeTable::find_or_add(const TokenKey& key, uint64_t hash) {
    if (4 * (size_ + 1) > 3 * slots_.size()) grow();
    size_t slot = hash & mask_;
    for (;; slot = (slot + 1) & mask_) {
        const uint32_t stored = slots_[slot];
        if (stored == 0) break;
        TypeEntry& entry = entry_at(stored - 1);
        if (same(entry, key)) return entry;
    }
    if (size_ == pages_.size() * kPage) pages_.emplace_back(new TypeEntry[kPage]);
    TypeEntry& entry = entry_at(size_++);
    slots_[slot] = static_cast<uint32_t>(size_);
    entry = {key.low, key.high, 0, 0, 0, key.size};
    if (key.is_long()) {
        entry.high = long_bytes_.size();
        long_bytes_.insert(long_bytes_.end(), key.bytes, key.bytes + key.size);
    }
    return entry;
}

void TypeTable::grow() {
    slots_.assign(std::max<size_t>(64, 2 * slots_.size()), 0);
    mask_ = slots_.size() - 1;
    for (size_t i = 0; i < size_; ++i) {
        const TypeEntry& e = entry(i);
        size_t slot = hash_of(e.low, e.size > kInlineBytes ? 0 : e.high) & mask_;
        while (slots_[slot] != 0) slot = (slot + 1) & mask_;
        slots_[slot] = static_cast<uint32_t>(i + 1);
    }
}

void TypeTable::clear() {
    std::fill(slots_.begin(), slots_.end(), 0);
    size_ = 0;
    long_bytes_.clear();
}

}  // namespace textassay
