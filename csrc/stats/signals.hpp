// The document and batch signals: their order, and the fixed bins of their distributions.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

namespace textassay {

enum Signal : uint8_t {
    kBytes,
    kChars,
    kTokens,
    kTypes,
    kSentences,
    kEntropy,
    kEntropyMillerMadow,
    kCharEntropy,
    kTypeTokenRatio,
    kMattr,
    kHapaxRatio,
    kBurstiness,
    kBurstinessGohBarabasi,
    kTopNgramShare,
    kDuplicateLineShare,
    kMarkerRate,
    kInvisibleChars,
    kPerplexity,
    kOovRate,
    kTailShare,
    kAnchorOverlap,
    kSyntheticLogit,
    kSyntheticProbability,
    kDocumentSignals,
    // Of batches; kept for every profile.
    kBatchTokens = kDocumentSignals,
    kBatchEntropy,
    kBatchEntropyMillerMadow,
    kBatchTypeTokenRatio,
    kBatchMattr,
    kAllSignals,
};

struct SignalTraits {
    std::string_view name;
    bool is_integer;
    // Linear bins: floor((value - lowest) * scale), clamped to [0, bins). Without a scale logarithmic: 8 an octave for integers, 32
    // an octave from 1 on for others.
    double lowest, scale;
    uint32_t bins;
};

inline constexpr uint32_t kLogBins = 512;

inline constexpr std::array<SignalTraits, kAllSignals> kSignals = {{
    {"n_bytes", true, 0, 0, kLogBins},
    {"n_chars", true, 0, 0, kLogBins},
    {"n_tokens", true, 0, 0, kLogBins},
    {"n_types", true, 0, 0, kLogBins},
    {"n_sentences", true, 0, 0, kLogBins},
    {"entropy_bits", false, 0, 64, 1536},
    {"entropy_mm_bits", false, 0, 64, 1536},
    {"char_entropy_bits", false, 0, 64, 1536},
    {"type_token_ratio", false, 0, 1024, 1025},
    {"mattr", false, 0, 1024, 1025},
    {"hapax_ratio", false, 0, 1024, 1025},
    {"burstiness", false, 0, 256, 2048},
    {"burstiness_gb", false, -1, 512, 1025},
    {"top_ngram_share", false, 0, 1024, 1025},
    {"dup_line_share", false, 0, 1024, 1025},
    {"marker_rate", false, 0, 16, 1024},
    {"invisible_chars", true, 0, 0, kLogBins},
    {"perplexity", false, 0, 0, 960},
    {"oov_rate", false, 0, 1024, 1025},
    {"tail_share", false, 0, 1024, 1025},
    {"anchor_overlap", false, 0, 1024, 1025},
    {"synthetic_logit", false, -8, 64, 1024},
    {"synthetic_probability", false, 0, 1024, 1025},
    {"batch_n_tokens", true, 0, 0, kLogBins},
    {"batch_entropy_bits", false, 0, 64, 1536},
    {"batch_entropy_mm_bits", false, 0, 64, 1536},
    {"batch_type_token_ratio", false, 0, 1024, 1025},
    {"batch_mattr", false, 0, 1024, 1025},
}};

// kAllSignals if there is none of that name.
Signal signal_named(std::string_view name);

inline uint32_t log_bin(uint64_t value) {
    if (value < 8) return static_cast<uint32_t>(value);
    const uint32_t octave = 63 - static_cast<uint32_t>(__builtin_clzll(value));
    return 8 * (octave - 2) + static_cast<uint32_t>(value >> (octave - 3) & 7);
}

inline uint32_t linear_bin(const SignalTraits& traits, double value) {
    const double bin = (value - traits.lowest) * traits.scale;
    if (!(bin >= 0)) return 0;
    return bin >= traits.bins ? traits.bins - 1 : static_cast<uint32_t>(bin);
}

inline uint32_t octave_bin(const SignalTraits& traits, double value) {
    if (!(value >= 1)) return 0;
    int exponent;
    const double mantissa = std::frexp(value, &exponent);  // in [1/2, 1)
    const uint32_t bin = 32 * static_cast<uint32_t>(exponent - 1) + static_cast<uint32_t>(mantissa * 64) - 32;
    return std::min(bin, traits.bins - 1);
}

inline uint32_t float_bin(const SignalTraits& traits, double value) {
    return traits.scale == 0 ? octave_bin(traits, value) : linear_bin(traits, value);
}

// The distributions of all signals. Merging is adding.
class SignalHistograms {
   public:
    SignalHistograms();

    void add(Signal signal, uint64_t value) {
        One& one = signals_[signal];
        ++one.bins[log_bin(value)];
        one.sum += static_cast<__int128>(value);
        one.sum_squares += static_cast<unsigned __int128>(value) * value;
    }

    // NaN is null.
    void add(Signal signal, double value) {
        One& one = signals_[signal];
        if (value != value) {
            ++one.nulls;
            return;
        }
        ++one.bins[float_bin(kSignals[signal], value)];
        const int64_t fixed = static_cast<int64_t>(std::floor(value * 4294967296.0 + 0.5));
        one.sum += fixed;
        one.sum_squares += static_cast<unsigned __int128>(static_cast<__int128>(fixed) * fixed);
    }

    void merge(const SignalHistograms& other);
    void clear();

    struct One {
        std::vector<uint64_t> bins;
        uint64_t nulls = 0;
        // Of integers as they are; of floats with 32 fractional bits, rounded once per value.
        __int128 sum = 0;
        unsigned __int128 sum_squares = 0;
    };
    One& operator[](Signal signal) { return signals_[signal]; }
    const One& operator[](Signal signal) const { return signals_[signal]; }

   private:
    std::array<One, kAllSignals> signals_;
};

}  // namespace textassay
