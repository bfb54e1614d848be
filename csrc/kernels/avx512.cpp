// AVX-512 F, BW, VBMI2 with BMI and POPCNT (Ice Lake, Zen 4 and later). Compiled with those flags: include nothing that
// could leave weak symbols behind.
#include <immintrin.h>

#include "byte_kernels.hpp"
#include "kernel_sets.hpp"

namespace textassay::kernels {

namespace {

struct Bytes64 {
    __m512i bytes;

    static Bytes64 load(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
    void store(uint8_t* p) const { _mm512_storeu_si512(p, bytes); }

    static __m512i all(uint8_t value) { return _mm512_set1_epi8(static_cast<char>(value)); }
    uint64_t equal(uint8_t value) const { return _mm512_cmpeq_epi8_mask(bytes, all(value)); }
    uint64_t at_most(uint8_t value) const { return _mm512_cmple_epu8_mask(bytes, all(value)); }
    uint64_t high() const { return _mm512_movepi8_mask(bytes); }
    Bytes64 minus(uint8_t value) const { return {_mm512_sub_epi8(bytes, all(value))}; }
    Bytes64 lower_case() const {
        const __mmask64 is_upper = _mm512_cmple_epu8_mask(_mm512_sub_epi8(bytes, all('A')), all(25));
        return {_mm512_mask_add_epi8(bytes, is_upper, bytes, all(0x20))};
    }
};

// The indices of the set bits in one compress: no loop, no branch but for blocks with more than 16 or 32 of them.
#define TEXTASSAY_OWN_POSITIONS
size_t positions(const uint64_t* masks, size_t blocks, uint32_t base, uint32_t* out, uint32_t* before) {
    alignas(64) static constexpr uint8_t kIndices[64] = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
        22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
        44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    const __m512i indices = _mm512_load_si512(kIndices);
    size_t total = 0;
    for (size_t b = 0; b < blocks; ++b, base += 64) {
        before[b] = static_cast<uint32_t>(total);
        const size_t count = static_cast<size_t>(__builtin_popcountll(masks[b]));
        const __m512i packed = _mm512_maskz_compress_epi8(masks[b], indices);
        const __m512i offset = _mm512_set1_epi32(static_cast<int>(base));
        uint32_t* to = out + total;
        _mm512_storeu_si512(to, _mm512_add_epi32(offset, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(packed))));
        if (count > 16) {
            const __m128i second = _mm512_extracti32x4_epi32(packed, 1);
            _mm512_storeu_si512(to + 16, _mm512_add_epi32(offset, _mm512_cvtepu8_epi32(second)));
            if (count > 32) {
                const __m128i third = _mm512_extracti32x4_epi32(packed, 2), fourth = _mm512_extracti32x4_epi32(packed, 3);
                _mm512_storeu_si512(to + 32, _mm512_add_epi32(offset, _mm512_cvtepu8_epi32(third)));
                _mm512_storeu_si512(to + 48, _mm512_add_epi32(offset, _mm512_cvtepu8_epi32(fourth)));
            }
        }
        total += count;
    }
    before[blocks] = static_cast<uint32_t>(total);
    return total;
}

#define TEXTASSAY_OWN_HASH_PIECE
uint64_t hash_piece(const uint8_t* bytes, size_t size, const uint32_t* keys) {
    const __mmask64 front = size >= 64 ? ~__mmask64{0} : _bzhi_u64(~uint64_t{0}, static_cast<unsigned>(size));
    const __mmask64 back = size >= 64 ? _bzhi_u64(~uint64_t{0}, static_cast<unsigned>(size - 64)) : 0;
    const __m512i a = _mm512_add_epi32(_mm512_maskz_loadu_epi8(front, bytes), _mm512_loadu_si512(keys));
    const __m512i b = _mm512_add_epi32(_mm512_maskz_loadu_epi8(back, bytes + 64), _mm512_loadu_si512(keys + 16));
    const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
    const __m512i products = _mm512_add_epi64(_mm512_mul_epu32(a, b), odd);
    const __m256i four = _mm256_add_epi64(_mm512_castsi512_si256(products), _mm512_extracti64x4_epi64(products, 1));
    const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
    return static_cast<uint64_t>(_mm_cvtsi128_si64(two)) + static_cast<uint64_t>(_mm_extract_epi64(two, 1));
}

// The commonest bytes of English by comparing, 64 at a time; what is left of a block, packed, one by one.
#define TEXTASSAY_OWN_COUNT_BYTES
void count_bytes(const uint8_t* text, size_t blocks, ByteCounters& counters) {
    constexpr int kCommon = 12;
    static constexpr char kCommonBytes[kCommon + 1] = " etaoinsrhld";
    constexpr size_t kBlocksAtOnce = 64;  // 8-bit counters: at most 255
    uint8_t rest[64 * kBlocksAtOnce + 64];
    for (size_t begin = 0; begin < blocks; begin += kBlocksAtOnce) {
        const size_t end = blocks - begin < kBlocksAtOnce ? blocks : begin + kBlocksAtOnce;
        __m512i common[kCommon];
        for (int c = 0; c < kCommon; ++c) common[c] = _mm512_setzero_si512();
        size_t left = 0;
        for (size_t b = begin; b < end; ++b) {
            const __m512i bytes = _mm512_loadu_si512(text + 64 * b);
            __mmask64 done = _mm512_movepi8_mask(bytes);
            for (int c = 0; c < kCommon; ++c) {
                const __mmask64 equal = _mm512_cmpeq_epi8_mask(bytes, Bytes64::all(static_cast<uint8_t>(kCommonBytes[c])));
                common[c] = _mm512_mask_add_epi8(common[c], equal, common[c], Bytes64::all(1));
                done |= equal;
            }
            _mm512_storeu_si512(rest + left, _mm512_maskz_compress_epi8(~done, bytes));
            left += static_cast<size_t>(__builtin_popcountll(~done));
        }
        for (int c = 0; c < kCommon; ++c)
            counters[0][static_cast<uint8_t>(kCommonBytes[c])] +=
                static_cast<uint32_t>(_mm512_reduce_add_epi64(_mm512_sad_epu8(common[c], _mm512_setzero_si512())));
        size_t r = 0;
        for (; r + kCounterLanes <= left; r += kCounterLanes)
            for (size_t lane = 0; lane < kCounterLanes; ++lane) ++counters[lane][rest[r + lane]];
        for (; r < left; ++r) ++counters[0][rest[r]];
    }
}

#define TEXTASSAY_OWN_EQUAL_TAGS
uint32_t equal_tags(const uint64_t* bucket, uint64_t tag) {
    const __m512i tags = _mm512_srli_epi64(_mm512_loadu_si512(bucket), 64 - kTagBits);
    return _mm512_cmpeq_epi64_mask(tags, _mm512_set1_epi64(static_cast<long long>(tag)));
}

#include "generic_kernels.inl"

}  // namespace

extern const KernelSet kAvx512Kernels = {"avx512", classify, find_words, find_sentence_ends, positions, ranks, find_byte, hash_spans, count_bytes, find_entries};

}  // namespace textassay::kernels
