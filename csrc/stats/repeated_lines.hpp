// The share of a document's lines that repeat an earlier one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace textassay {

class RepeatedLines {
   public:
    // NaN where no line holds anything but spaces, tabs and CRs.
    double share(const uint8_t* text, size_t size);

   private:
    struct Line {
        uint64_t hash;
        const uint8_t* bytes;
        size_t size;
    };
    bool seen_before(const Line& line);

    std::vector<Line> lines_;
    std::vector<uint32_t> slots_;  // index + 1 into lines_
};

}  // namespace textassay
