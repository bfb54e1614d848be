#include "code_point.hpp"

#include <cstring>

namespace textassay::unicode {

namespace {

// The length of the well-formed character at `p` (Unicode 15.0, table 3-7), or 0.
size_t well_formed_length(const uint8_t* p, size_t available) {
    const uint8_t lead = p[0];
    if (lead < 0x80) return 1;
    if (lead < 0xC2 || lead > 0xF4) return 0;
    const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (available < length) return 0;
    uint8_t lowest = 0x80, highest = 0xBF;
    if (lead == 0xE0) lowest = 0xA0;   // overlong
    if (lead == 0xED) highest = 0x9F;  // surrogates
    if (lead == 0xF0) lowest = 0x90;   // overlong
    if (lead == 0xF4) highest = 0x8F;  // above U+10FFFF
    if (p[1] < lowest || p[1] > highest) return 0;
    for (size_t i = 2; i < length; ++i)
        if (!is_continuation(p[i])) return 0;
    return length;
}

}  // namespace

size_t valid_utf8_prefix(const uint8_t* text, size_t size) {
    size_t at = 0;
    while (at < size) {
        uint64_t eight;
        if (size - at >= 8 && (std::memcpy(&eight, text + at, 8), (eight & 0x8080808080808080u) == 0)) {
            at += 8;
            continue;
        }
        const size_t length = well_formed_length(text + at, size - at);
        if (length == 0) return at;
        at += length;
    }
    return size;
}

}  // namespace textassay::unicode
