// UAX #29 word segmentation, one code point at a time: exact for every text. The bit masks of scan/tokens.cpp give the
// same words faster for all but rare combinations of characters, and send those here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace textassay::unicode {

struct WordSegment {
    size_t end;
    bool is_word;  // holds a character of general category L* or N*
};

// The segment that begins at the boundary `begin` < `size` of valid UTF-8.
WordSegment next_word_segment(const uint8_t* text, size_t size, size_t begin);

}  // namespace textassay::unicode
