#include "trigrams.hpp"

#include <algorithm>
#include <bit>

#include "token_key.hpp"

namespace textassay {

void Trigrams::prepare(size_t trigrams) {
    const size_t wanted = std::bit_ceil(std::max<size_t>(64, 2 * trigrams));
    slots_.assign(wanted, {});
    if (slots_.capacity() > 8 * wanted && slots_.capacity() > 1 << 16) slots_.shrink_to_fit();
    mask_ = wanted - 1;
}

uint64_t Trigrams::count_one(uint32_t first, uint32_t second, uint32_t third) {
    size_t at = hash_of(static_cast<uint64_t>(first) << 32 | second, third) & mask_;
    for (;; at = (at + 1) & mask_) {
        Slot& slot = slots_[at];
        if (slot.count == 0) slot = {first, second, third, 0};
        if (slot.first == first && slot.second == second && slot.third == third) return ++slot.count;
    }
}

}  // namespace textassay
