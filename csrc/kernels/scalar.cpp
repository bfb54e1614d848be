// The portable kernel set: eight bytes at a time in a 64-bit word. Always built, tested like the others.
#include "byte_kernels.hpp"
#include "kernel_sets.hpp"

namespace textassay::kernels {

namespace {

constexpr uint64_t kOnes = 0x0101010101010101u, kHighs = 0x8080808080808080u;

// The high bit of each byte, gathered into 8 bits: byte i -> bit i.
//   0x8000800000000080 -> 0b10100001
uint64_t gather(uint64_t highs) { return (highs >> 7) * 0x0102040810204080u >> 56; }

struct Bytes64 {
    uint64_t word[8];

    static Bytes64 load(const uint8_t* p) {
        Bytes64 bytes;
        __builtin_memcpy(bytes.word, p, 64);
        return bytes;
    }
    void store(uint8_t* p) const { __builtin_memcpy(p, word, 64); }

    template <typename Highs>
    uint64_t mask(Highs highs) const {
        uint64_t bits = 0;
        for (int i = 0; i < 8; ++i) bits |= gather(highs(word[i])) << (8 * i);
        return bits;
    }

    uint64_t equal(uint8_t value) const {
        return mask([value](uint64_t w) {
            const uint64_t difference = w ^ kOnes * value;
            // The high bit of each byte that is zero; exact, since no carry crosses bytes.
            return ~(((difference & ~kHighs) + ~kHighs) | difference) & kHighs;
        });
    }
    uint64_t high() const {
        return mask([](uint64_t w) { return w & kHighs; });
    }
    Bytes64 minus(uint8_t value) const {
        Bytes64 result;
        for (int i = 0; i < 8; ++i) {
            const uint64_t x = word[i], y = kOnes * value;
            result.word[i] = ((x | kHighs) - (y & ~kHighs)) ^ ((x ^ ~y) & kHighs);
        }
        return result;
    }
    // `value` below 128.
    uint64_t at_most(uint8_t value) const {
        return mask([value](uint64_t w) { return ~(((w & ~kHighs) + kOnes * (127u - value)) | w) & kHighs; });
    }
    Bytes64 lower_case() const {
        Bytes64 result;
        for (int i = 0; i < 8; ++i) {
            const uint64_t low = word[i] & ~kHighs;
            const uint64_t from_a = low + kOnes * (128 - 'A'), above_z = low + kOnes * (127 - 'Z');
            result.word[i] = word[i] | ((from_a & ~above_z & ~word[i] & kHighs) >> 2);
        }
        return result;
    }
};

#include "generic_kernels.inl"

}  // namespace

extern const KernelSet kScalarKernels = {"scalar", classify, find_words, find_sentence_ends, positions, ranks, find_byte, hash_spans, count_bytes, find_entries};

}  // namespace textassay::kernels
