// The share of a document's lines that repeat an earlier one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "byte_kernels.hpp"

namespace textassay {

class RepeatedLines {
   public:
    RepeatedLines();

    // NaN where no line holds anything but spaces, tabs and CRs. `size` is less than 4 GiB.
    double share(const uint8_t* text, size_t size);

   private:
    struct Line {
        uint64_t hash;
        uint32_t begin, end;  // trimmed
    };
    size_t find_line_feeds(const uint8_t* text, size_t size, size_t at);
    void add_line(const uint8_t* text, uint32_t begin, uint32_t end);
    void count_lines(const uint8_t* text, size_t size);
    bool seen_before(const uint8_t* text, const Line& line);
    void use_slots(size_t slots);

    const kernels::SpanKeys keys_;
    uint64_t n_lines_ = 0, repeated_ = 0;

    // Of one piece of the text.
    std::vector<uint32_t> line_feeds_, begins_, ends_;
    std::vector<uint64_t> hashes_;
    size_t cut_ = 0;

    std::vector<Line> distinct_;
    std::vector<uint32_t> slots_;  // index + 1 into distinct_; in use: [0, mask_]
    size_t mask_ = 0;
};

}  // namespace textassay
