#include "detector.hpp"

#include <algorithm>

#include "token_key.hpp"

namespace textassay {

namespace {

// log2, bent: straight between powers of two, so exact everywhere.
double length_of(uint64_t words) {
    int exponent;
    const double fraction = std::frexp(static_cast<double>(words), &exponent);
    return exponent - 2 + 2 * fraction;
}

// Bytes of the white space that begins at text[at], or 0. Unicode's White_Space, in UTF-8.
size_t white_space(const uint8_t* text, size_t at, size_t end) {
    const uint8_t first = text[at];
    if (first == 0x20 || (first >= 0x09 && first <= 0x0D)) return 1;
    if (first < 0xC2 || at + 1 >= end) return 0;
    const uint8_t second = text[at + 1];
    if (first == 0xC2) return second == 0x85 || second == 0xA0 ? 2 : 0;
    if (at + 2 >= end) return 0;
    const uint8_t third = text[at + 2];
    if (first == 0xE1) return second == 0x9A && third == 0x80 ? 3 : 0;
    if (first == 0xE3) return second == 0x80 && third == 0x80 ? 3 : 0;
    if (first != 0xE2) return 0;
    if (second == 0x81) return third == 0x9F ? 3 : 0;
    const bool is_space = (third >= 0x80 && third <= 0x8A) || third == 0xA8 || third == 0xA9 || third == 0xAF;
    return second == 0x80 && is_space ? 3 : 0;
}

}  // namespace

const std::array<int64_t, 128> DetectorScore::kMarkKeys = [] {
    std::array<int64_t, 128> keys{};
    for (uint8_t mark = 0; mark < 128; ++mark) keys[mark] = any_gap_key(&mark, 0, 1);
    return keys;
}();

int64_t DetectorScore::any_gap_key(const uint8_t* text, size_t begin, size_t end) {
    uint64_t packed = 0;
    unsigned bits = 0;
    while (begin < end && bits < 64) {
        if (const size_t skipped = white_space(text, begin, end); skipped != 0) {
            begin += skipped;
            continue;
        }
        packed |= static_cast<uint64_t>(text[begin++]) << bits;
        bits += 8;
    }
    if (bits == 0) return -1;
    return static_cast<int64_t>(finish_hash(packed) >> 32);
}

double Detector::logit(int64_t sum, uint64_t features, uint64_t words, double marker_rate, double burstiness) const {
    if (words < bands[0].from_words || words == 0) return std::nan("");
    double values[kValues];
    values[kScore] = static_cast<double>(sum) / static_cast<double>(std::max<uint64_t>(features, 1));
    values[kLength] = length_of(words);
    values[kScoreByLength] = values[kScore] * std::max(values[kLength] - 6.5, 0.0);
    values[kMarkerRate] = marker_rate;
    values[kBurstiness] = burstiness;
    double total = intercept;
    for (const Term& term : terms) {
        const double value = values[term.value];
        if (value != value) continue;
        total += term.coefficient * (std::min(std::max(value, term.low), term.high) - term.centre);
    }
    return total;
}

double Detector::probability(double logit) const {
    if (logit != logit) return logit;
    const auto above = std::upper_bound(logits.begin(), logits.end(), logit) - logits.begin();
    const size_t at = static_cast<size_t>(std::clamp<ptrdiff_t>(above - 1, 0, static_cast<ptrdiff_t>(logits.size()) - 2));
    const double share = std::min(std::max((logit - logits[at]) / (logits[at + 1] - logits[at]), 0.0), 1.0);
    return std::min(probabilities[at] + share * (probabilities[at + 1] - probabilities[at]), probabilities[at + 1]);
}

bool Detector::suspects(double logit, uint64_t words) const {
    double threshold = bands[0].threshold;
    for (const Band& band : bands)
        if (words >= band.from_words) threshold = band.threshold;
    return logit > threshold;
}

}  // namespace textassay
