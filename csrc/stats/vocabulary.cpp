#include "vocabulary.hpp"

#include <algorithm>

namespace textassay {

void Vocabulary::clear() {
    if (slots_.size() > 4 * kSlots || slots_.empty()) {  // a huge document was here
        std::vector<uint32_t>(kSlots).swap(slots_);
        std::vector<VocabularyEntry>().swap(entries_);
        std::vector<uint8_t>().swap(long_bytes_);
        entries_.reserve(kSlots / 2);
        mask_ = kSlots - 1;
    } else {
        std::fill(slots_.begin(), slots_.end(), 0);
    }
    entries_.clear();
    long_bytes_.clear();
}

uint32_t Vocabulary::add(const TokenKey& key, uint64_t hash) {
    if (2 * (entries_.size() + 1) > slots_.size()) grow();
    size_t slot = hash & mask_;
    while (slots_[slot] != 0) slot = (slot + 1) & mask_;
    VocabularyEntry entry{key.low, key.high, 0, 0, 0, 0, static_cast<uint16_t>(key.size)};
    if (key.is_long()) {
        entry.long_offset = static_cast<uint32_t>(long_bytes_.size());
        long_bytes_.insert(long_bytes_.end(), key.bytes, key.bytes + key.size);
    }
    entries_.push_back(entry);
    slots_[slot] = static_cast<uint32_t>(entries_.size());
    return static_cast<uint32_t>(entries_.size() - 1);
}

void Vocabulary::grow() {
    slots_.assign(2 * slots_.size(), 0);
    mask_ = slots_.size() - 1;
    for (uint32_t id = 0; id < entries_.size(); ++id) {
        size_t slot = hash_of(entries_[id].low, entries_[id].high) & mask_;
        while (slots_[slot] != 0) slot = (slot + 1) & mask_;
        slots_[slot] = id + 1;
    }
}

}  // namespace textassay
