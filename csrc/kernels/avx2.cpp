// AVX2, BMI, POPCNT (x86-64-v3). Compiled with those flags: include nothing that could leave weak symbols behind.
#include <immintrin.h>

#include "byte_kernels.hpp"
#include "kernel_sets.hpp"

namespace textassay::kernels {

namespace {

struct Bytes64 {
    __m256i low_half, high_half;

    static Bytes64 load(const uint8_t* p) {
        return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
    }
    void store(uint8_t* p) const {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), low_half);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), high_half);
    }

    static uint64_t join(__m256i low, __m256i high) {
        return static_cast<uint32_t>(_mm256_movemask_epi8(low)) |
               static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(high))) << 32;
    }
    static __m256i at_most(__m256i bytes, uint8_t value) {
        return _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(static_cast<char>(value))), bytes);
    }
    static __m256i lower(__m256i bytes) {
        const __m256i is_upper = at_most(_mm256_sub_epi8(bytes, _mm256_set1_epi8('A')), 25);
        return _mm256_or_si256(bytes, _mm256_and_si256(is_upper, _mm256_set1_epi8(0x20)));
    }

    uint64_t equal(uint8_t value) const {
        const __m256i wanted = _mm256_set1_epi8(static_cast<char>(value));
        return join(_mm256_cmpeq_epi8(low_half, wanted), _mm256_cmpeq_epi8(high_half, wanted));
    }
    uint64_t at_most(uint8_t value) const { return join(at_most(low_half, value), at_most(high_half, value)); }
    uint64_t high() const { return join(low_half, high_half); }
    Bytes64 minus(uint8_t value) const {
        const __m256i v = _mm256_set1_epi8(static_cast<char>(value));
        return {_mm256_sub_epi8(low_half, v), _mm256_sub_epi8(high_half, v)};
    }
    Bytes64 lower_case() const { return {lower(low_half), lower(high_half)}; }
};

#define TEXTASSAY_OWN_EQUAL_TAGS
uint32_t equal_tags(const uint64_t* bucket, uint64_t tag) {
    const __m256i wanted = _mm256_set1_epi64x(static_cast<long long>(tag));
    const auto half = [&](const uint64_t* four) {
        const __m256i tags = _mm256_srli_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(four)), 64 - kTagBits);
        return static_cast<uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(tags, wanted))));
    };
    return half(bucket) | half(bucket + 4) << 4;
}

#include "generic_kernels.inl"

}  // namespace

extern const KernelSet kAvx2Kernels = {"avx2", classify, find_words, find_sentence_ends, positions, ranks, find_byte, hash_spans, count_bytes, find_entries};

}  // namespace textassay::kernels
