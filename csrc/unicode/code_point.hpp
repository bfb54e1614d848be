// One code point: decoding valid UTF-8, and the Unicode 15.0 record of a character.
#pragma once

#include <cstddef>
#include <cstdint>

namespace textassay::unicode {

#include "unicode_tables.inc"

struct CodePoint {
    uint32_t value;
    uint32_t length;  // bytes in UTF-8
};

// The code point at `p`, which must be the first byte of a character of valid UTF-8.
inline CodePoint decode(const uint8_t* p) {
    if (p[0] < 0x80) return {p[0], 1};
    if (p[0] < 0xE0) return {(p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu), 2};
    if (p[0] < 0xF0) return {(p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu), 3};
    return {(p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu), 4};
}

// Writes `value` at `out` (4 bytes of room) and returns how many bytes it took.
inline uint32_t encode(uint32_t value, uint8_t* out) {
    if (value < 0x80) {
        out[0] = static_cast<uint8_t>(value);
        return 1;
    }
    if (value < 0x800) {
        out[0] = static_cast<uint8_t>(0xC0 | value >> 6);
        out[1] = static_cast<uint8_t>(0x80 | (value & 0x3F));
        return 2;
    }
    if (value < 0x10000) {
        out[0] = static_cast<uint8_t>(0xE0 | value >> 12);
        out[1] = static_cast<uint8_t>(0x80 | (value >> 6 & 0x3F));
        out[2] = static_cast<uint8_t>(0x80 | (value & 0x3F));
        return 3;
    }
    out[0] = static_cast<uint8_t>(0xF0 | value >> 18);
    out[1] = static_cast<uint8_t>(0x80 | (value >> 12 & 0x3F));
    out[2] = static_cast<uint8_t>(0x80 | (value >> 6 & 0x3F));
    out[3] = static_cast<uint8_t>(0x80 | (value & 0x3F));
    return 4;
}

inline bool is_continuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }

// `value` must be below 0x110000.
inline const Record& record_of(uint32_t value) {
    return kRecords[kStage2[(static_cast<uint32_t>(kStage1[value >> kPageBits]) << kPageBits) +
                            (value & ((1u << kPageBits) - 1))]];
}

inline const Record& record_at(const uint8_t* p) { return record_of(decode(p).value); }

// The offset of the first byte that does not continue valid UTF-8, or `size` if all of it is valid.
size_t valid_utf8_prefix(const uint8_t* text, size_t size);

}  // namespace textassay::unicode
