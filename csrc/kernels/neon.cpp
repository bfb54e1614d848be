// NEON, part of every aarch64.
#include <arm_neon.h>

#include "byte_kernels.hpp"
#include "kernel_sets.hpp"

namespace textassay::kernels {

namespace {

struct Bytes64 {
    uint8x16_t part[4];

    static Bytes64 load(const uint8_t* p) { return {{vld1q_u8(p), vld1q_u8(p + 16), vld1q_u8(p + 32), vld1q_u8(p + 48)}}; }
    void store(uint8_t* p) const {
        for (int i = 0; i < 4; ++i) vst1q_u8(p + 16 * i, part[i]);
    }

    // One bit a byte: keep bit i % 8 of each, then add neighbours three times.
    static uint64_t mask(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d) {
        static const uint8_t kBits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
        const uint8x16_t bits = vld1q_u8(kBits);
        const uint8x16_t ab = vpaddq_u8(vandq_u8(a, bits), vandq_u8(b, bits));
        const uint8x16_t cd = vpaddq_u8(vandq_u8(c, bits), vandq_u8(d, bits));
        const uint8x16_t abcd = vpaddq_u8(ab, cd);
        return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(abcd, abcd)), 0);
    }

    uint64_t equal(uint8_t value) const {
        const uint8x16_t v = vdupq_n_u8(value);
        return mask(vceqq_u8(part[0], v), vceqq_u8(part[1], v), vceqq_u8(part[2], v), vceqq_u8(part[3], v));
    }
    uint64_t at_most(uint8_t value) const {
        const uint8x16_t v = vdupq_n_u8(value);
        return mask(vcleq_u8(part[0], v), vcleq_u8(part[1], v), vcleq_u8(part[2], v), vcleq_u8(part[3], v));
    }
    uint64_t high() const {
        const uint8x16_t v = vdupq_n_u8(0x80);
        return mask(vcgeq_u8(part[0], v), vcgeq_u8(part[1], v), vcgeq_u8(part[2], v), vcgeq_u8(part[3], v));
    }
    Bytes64 minus(uint8_t value) const {
        const uint8x16_t v = vdupq_n_u8(value);
        return {{vsubq_u8(part[0], v), vsubq_u8(part[1], v), vsubq_u8(part[2], v), vsubq_u8(part[3], v)}};
    }
    Bytes64 lower_case() const {
        Bytes64 result;
        for (int i = 0; i < 4; ++i) {
            const uint8x16_t is_upper = vcleq_u8(vsubq_u8(part[i], vdupq_n_u8('A')), vdupq_n_u8(25));
            result.part[i] = vorrq_u8(part[i], vandq_u8(is_upper, vdupq_n_u8(0x20)));
        }
        return result;
    }
};

#include "generic_kernels.inl"

}  // namespace

extern const KernelSet kNeonKernels = {"neon", classify, find_words, find_sentence_ends, positions, ranks, find_byte, hash_spans, count_bytes, find_entries};

}  // namespace textassay::kernels
