#include "type_table.hpp"

#include <algorithm>
#include <bit>

namespace textassay {

TypeEntry& TypeTable::find_or_add(const TokenKey& key, uint64_t hash) {
    if (4 * (size_ + 1) > 3 * slots_.size()) resize_slots(std::max<size_t>(64, 2 * slots_.size()));
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

size_t TypeTable::add_all(const TypeCount* types, size_t size, const uint32_t* order) {
    constexpr size_t kSlotsAhead = 24, kEntriesAhead = 12;
    const auto type = [&](size_t i) -> const TypeCount& { return types[order != nullptr ? order[i] : i]; };
    size_t added = 0;
    for (size_t i = 0; i < size; ++i) {
        if (i + kSlotsAhead < size) prefetch_slot(type(i + kSlotsAhead).hash);
        if (i + kEntriesAhead < size) prefetch_entry(type(i + kEntriesAhead).hash);
        added += add(type(i));
    }
    return added;
}

void TypeTable::reserve(size_t types) {
    const size_t wanted = std::bit_ceil(types + types / 2);
    if (wanted > slots_.size()) resize_slots(wanted);
}

void TypeTable::resize_slots(size_t slots) {
    slots_.assign(slots, 0);
    mask_ = slots - 1;
    for (size_t i = 0; i < size_; ++i) {
        const TypeEntry& e = entry(i);
        size_t slot = hash_of(e.low, e.size > kInlineBytes ? long_mark(e.size) : e.high) & mask_;
        while (slots_[slot] != 0) slot = (slot + 1) & mask_;
        slots_[slot] = static_cast<uint32_t>(i + 1);
    }
}

}  // namespace textassay
