#include "fixed_log.hpp"

#include <array>

namespace textassay {

namespace {

constexpr int kFractionBits = 58;

// log2 c = k + fraction: each squaring of the mantissa gives one more bit of the fraction.
constexpr uint64_t compute(uint64_t c) {
    if (c < 2) return 0;
    const int k = 63 - __builtin_clzll(c);
    uint64_t mantissa = c << (63 - k), fraction = 0;
    for (int i = 0; i < kFractionBits; ++i) {
        const unsigned __int128 square = static_cast<unsigned __int128>(mantissa) * mantissa;
        const bool carry = static_cast<uint64_t>(square >> 127);
        fraction = fraction << 1 | carry;
        mantissa = static_cast<uint64_t>(square >> (carry ? 64 : 63));
    }
    const unsigned __int128 log2 = (static_cast<unsigned __int128>(k) << kFractionBits) + fraction;
    return static_cast<uint64_t>(log2 * c >> (kFractionBits - kFixedBits));
}

constexpr std::array<uint64_t, kTabled> tabulate() {
    std::array<uint64_t, kTabled> table{};
    for (uint64_t c = 0; c < kTabled; ++c) table[c] = compute(c);
    return table;
}

constexpr std::array<uint64_t, kTabled> kTable = tabulate();

}  // namespace

const uint64_t* const kLog2Times = kTable.data();

uint64_t log2_times(uint64_t c) { return compute(c); }

}  // namespace textassay
