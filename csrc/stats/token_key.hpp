// A token's identity: its bytes. Up to 16 of them are the key itself, padded with NUL, which no word holds; the key of a longer one
// is a hash that never stands alone (the bytes are compared), and a mark that no short one can have: 0xFF is not UTF-8.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace textassay {

inline constexpr uint32_t kInlineBytes = 16;

struct TokenKey {
    uint64_t low, high;    // the bytes; or of a long token: a hash, long_mark(size)
    const uint8_t* bytes;  // the token itself
    uint32_t size;

    bool is_long() const { return size > kInlineBytes; }
};

inline constexpr uint64_t long_mark(uint32_t size) { return uint64_t{0xFF} << 56 | size; }
inline constexpr bool is_long_mark(uint64_t high) { return high >> 56 == 0xFF; }

struct HashSeeds {
    uint64_t first, second;
};

// Drawn once a process: corpora are hostile, and the place of a token in a table shows in no result.
extern const HashSeeds kSeeds;

inline uint64_t fold_product(uint64_t a, uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t hash_of(uint64_t low, uint64_t high) { return fold_product(low ^ kSeeds.first, high ^ kSeeds.second); }

inline uint64_t load64(const uint8_t* p) {
    uint64_t value;
    std::memcpy(&value, p, 8);
    return value;
}

inline bool equal_16(const void* a, const void* b) {
#if defined(__SSE2__)
    const __m128i equal = _mm_cmpeq_epi8(_mm_loadu_si128(static_cast<const __m128i*>(a)), _mm_loadu_si128(static_cast<const __m128i*>(b)));
    return _mm_movemask_epi8(equal) == 0xFFFF;
#else
    return std::memcmp(a, b, 16) == 0;
#endif
}

// All of `size` <= 8 bytes, some twice; with the size they are unambiguous.
inline uint64_t load_last(const uint8_t* bytes, uint64_t size) {
    if (size == 8) return load64(bytes);
    if (size >= 4) {
        uint32_t front, back;
        std::memcpy(&front, bytes, 4);
        std::memcpy(&back, bytes + size - 4, 4);
        return static_cast<uint64_t>(front) << 32 | back;
    }
    if (size == 0) return 0;
    return static_cast<uint64_t>(bytes[0]) << 16 | static_cast<uint64_t>(bytes[size / 2]) << 8 | bytes[size - 1];
}

// Seeded hash of any bytes, for tables in memory only.
inline uint64_t hash_bytes(const uint8_t* bytes, uint64_t size) {
    uint64_t h = kSeeds.first ^ size, g = kSeeds.second;
    uint64_t at = 0;
    for (; at + 32 <= size; at += 32) {  // two chains of multiplications side by side
        h = fold_product(load64(bytes + at) ^ h, load64(bytes + at + 8) ^ kSeeds.second);
        g = fold_product(load64(bytes + at + 16) ^ g, load64(bytes + at + 24) ^ kSeeds.first);
    }
    for (; at + 8 < size; at += 8) h = fold_product(load64(bytes + at) ^ h, kSeeds.second);
    h = fold_product(load_last(bytes + at, size - at) ^ h, g ^ kSeeds.first);
    return fold_product(h ^ kSeeds.second, g ^ h ^ kSeeds.first);
}

// 16 bytes of ones, 16 of zeros: from 16 - size on, what keeps `size` bytes of 16.
inline constexpr uint64_t kKeep[4] = {~0ull, ~0ull, 0, 0};

// At least 16 bytes must be readable at `bytes`.
inline TokenKey padded_key(const uint8_t* bytes, uint32_t size) {
    if (size <= kInlineBytes) {
        const uint8_t* const keep = reinterpret_cast<const uint8_t*>(kKeep) + kInlineBytes - size;
        return {load64(bytes) & load64(keep), load64(bytes + 8) & load64(keep + 8), bytes, size};
    }
    return {hash_bytes(bytes, size), long_mark(size), bytes, size};
}

// No byte beyond `size` is read.
inline TokenKey exact_key(const uint8_t* bytes, uint32_t size) {
    if (size > kInlineBytes) return {hash_bytes(bytes, size), long_mark(size), bytes, size};
    uint8_t padded[kInlineBytes] = {};
    std::memcpy(padded, bytes, size);
    return {load64(padded), load64(padded + 8), bytes, size};
}

// The last steps of MurmurHash3: a bijection that makes every bit depend on every other.
inline uint64_t finish_hash(uint64_t h) {
    h = (h ^ h >> 33) * 0xFF51AFD7ED558CCDu;
    h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53u;
    return h ^ h >> 33;
}

// The stable hash that decides about sampling: FNV-1a, finished as in MurmurHash3.
uint64_t token_hash(const uint8_t* bytes, uint64_t size);

}  // namespace textassay
