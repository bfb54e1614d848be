// Moving-average type-token ratio (Covington & McFall 2010) without counting any window.
//
// A token at position i whose type occurred last at p is the first of its type in the windows that begin in
// (p, i] and hold i: min(i - p, w) of them. Summed over all tokens that is the sum of distinct types over all windows, but for
// the windows that would reach beyond the end; what the last w - 1 tokens claim of those is taken back.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace textassay {

inline constexpr uint32_t kMattrWindow = 100;

// What the last tokens claim of windows that end beyond position `total` > `index`. `distance` = min(i - p, w).
inline uint32_t claimed_beyond_end(uint64_t index, uint64_t total, uint32_t distance) {
    const int64_t room = static_cast<int64_t>(total) - kMattrWindow - static_cast<int64_t>(index) + distance;
    return distance - static_cast<uint32_t>(std::clamp<int64_t>(room, 0, distance));
}

// `types` are the distinct types of all `total` > 0 tokens, `window_sum` the corrected sum.
inline double mattr(uint64_t total, uint64_t types, uint64_t window_sum) {
    if (total < kMattrWindow) return static_cast<double>(types) / static_cast<double>(total);
    return static_cast<double>(window_sum) /
           (static_cast<double>(kMattrWindow) * static_cast<double>(total - kMattrWindow + 1));
}

}  // namespace textassay
