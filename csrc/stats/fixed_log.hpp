// c log2 c in fixed point: one routine for every machine and both backends, so that binned entropies are bit-identical.
#pragma once

#include <cstdint>

namespace textassay {

inline constexpr int kFixedBits = 32;

// c log2 c with 32 fractional bits, truncated, modulo 2^64 (docs/semantics.md). Differences of sums come out right.
uint64_t log2_times(uint64_t c);

inline constexpr uint64_t kTabled = 4096;
extern const uint64_t* const kLog2Times;  // kTabled entries

inline uint64_t log2_times_tabled(uint64_t c) { return c < kTabled ? kLog2Times[c] : log2_times(c); }

// Entropy in bits of `total` observations whose counts have `sum` = sum of log2_times(count). `total` > 0.
inline double entropy_bits(uint64_t total, uint64_t sum) {
    const int64_t difference = static_cast<int64_t>(log2_times_tabled(total) - sum);
    return difference <= 0 ? 0.0 : static_cast<double>(difference) / (static_cast<double>(total) * 4294967296.0);
}

// Miller-Madow correction of `entropy` for `types` seen in `total` observations.
inline double miller_madow_bits(double entropy, uint64_t total, uint64_t types) {
    return entropy + static_cast<double>(types - 1) / (static_cast<double>(2 * total) * 0.6931471805599453);
}

}  // namespace textassay
