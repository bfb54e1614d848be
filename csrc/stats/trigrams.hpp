// The most frequent word 3-gram of a document.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace textassay {

class Trigrams {
   public:
    struct Top {
        uint64_t count = 0;       // 0: fewer than three tokens
        uint64_t characters = 0;  // code points of its three tokens; the most among those with this count
    };

    // `ids` are the document's tokens as type numbers, `characters(id)` the code points of a type.
    template <typename Characters>
    Top top(std::span<const uint32_t> ids, Characters characters) {
        Top best;
        if (ids.size() < 3) return best;
        prepare(ids.size() - 2);
        for (size_t i = 0; i + 2 < ids.size(); ++i) {
            const uint64_t count = count_one(ids[i], ids[i + 1], ids[i + 2]);
            if (count < best.count) continue;
            const uint64_t length = characters(ids[i]) + characters(ids[i + 1]) + characters(ids[i + 2]);
            if (count > best.count || length > best.characters) best = {count, length};
        }
        return best;
    }

   private:
    struct Slot {
        uint32_t first, second, third;
        uint32_t count;  // 0: empty
    };
    void prepare(size_t trigrams);
    uint64_t count_one(uint32_t first, uint32_t second, uint32_t third);

    std::vector<Slot> slots_;
    size_t mask_ = 0;
};

}  // namespace textassay
