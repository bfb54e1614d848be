#include "vocabulary.hpp"

namespace textassay {

uint32_t StableBytes::append(const uint8_t* bytes, uint32_t size) {
    uint32_t page = page_of(static_cast<uint32_t>(size_));
    while (size_ + size > begin_of(page + 1)) size_ = begin_of(++page);  // no token lies in two pages
    if (!pages_[page]) pages_[page].reset(new uint8_t[uint64_t{kFirstPage} << page]);
    const uint32_t offset = static_cast<uint32_t>(size_);
    std::memcpy(pages_[page].get() + (size_ - begin_of(page)), bytes, size);
    size_ += size;
    return offset;
}

Vocabulary::Vocabulary() { use_slots(kSlots); }

uint32_t Vocabulary::add(const TokenKey& key, uint64_t hash) {
    if (2 * (size_t{size_} + 1) > mask_) use_slots(2 * (mask_ + 1));
    size_t slot = hash & mask_;
    while (slots_[slot] != 0) slot = (slot + 1) & mask_;
    VocabularyEntry& entry = entries_[size_];
    entry = {key.low, stored(key.high), 0, 0, 0, static_cast<uint16_t>(key.size)};
    if (key.is_long()) entry.long_offset = long_bytes_.append(key.bytes, key.size);
    slots_[slot] = size_;
    return size_++;
}

void Vocabulary::use_slots(size_t slots) {
    auto memory = std::make_shared<LargeMemory>(slots * sizeof(uint32_t) + slots / 2 * sizeof(VocabularyEntry));
    slots_ = memory->at<uint32_t>(0);
    mask_ = slots - 1;
    auto* const entries = memory->at<VocabularyEntry>(slots * sizeof(uint32_t));
    if (entries_ != nullptr) {
        std::copy_n(entries_, size_, entries);
    } else {
        entries[kAbsent] = {~uint64_t{0}, ~uint64_t{0}, 0, 0, 0, 0};  // no key: the mark of a long token has a 32-bit size
    }
    entries_ = entries;
    memory_ = std::move(memory);
    for (uint32_t id = 1; id < size_; ++id) {
        const TokenKey token = key(id);
        size_t slot = hash_of(token.low, token.high) & mask_;
        while (slots_[slot] != 0) slot = (slot + 1) & mask_;
        slots_[slot] = id;
    }
}

}  // namespace textassay
