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

    // A document of less than 4 GiB. It stays in place until share().
    void begin(const uint8_t* text, size_t size);
    // Looks at the text up to text[end], where `end` is a multiple of 64.
    void advance(size_t end);
    // After the rest of it. NaN where no line holds anything but spaces, tabs and CRs.
    double share();

   private:
    struct Line {
        uint64_t hash;
        uint32_t begin, end;  // trimmed
    };
    void cut_lines(size_t line_feeds);
    void add_line(uint32_t end);
    void count_lines();
    bool seen_before(const Line& line);
    void use_slots(size_t slots);

    const kernels::SpanKeys keys_;
    const uint8_t* text_ = nullptr;
    size_t size_ = 0, at_ = 0;
    uint32_t line_begin_ = 0;
    uint64_t n_lines_ = 0, repeated_ = 0;

    // Of one piece of the text: its lines that are not blank.
    std::vector<uint32_t> line_feeds_, begins_, ends_;
    std::vector<uint64_t> hashes_;
    size_t cut_ = 0;

    std::vector<Line> distinct_;
    std::vector<uint32_t> slots_;  // index + 1 into distinct_; in use: [0, mask_]
    size_t mask_ = 0;
};

}  // namespace textassay
