// How much a document resembles synthetic text: a hashed linear score and what a calibrator makes of it (docs/detector-spec.md).
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace textassay {

struct Detector {
    static constexpr unsigned kBucketBits = 18;
    static constexpr size_t kBuckets = size_t{1} << kBucketBits;

    enum Value : uint8_t { kScore, kScoreByLength, kLength, kMarkerRate, kBurstiness, kValues };
    // Adds coefficient * (value - centre) to the logit, the value held between low and high; a null nothing.
    struct Term {
        Value value;
        double low, high, centre, coefficient;
    };

    // Documents of at least so many words, and the logit above which one is suspected.
    struct Band {
        uint64_t from_words;
        double threshold;
    };

    std::vector<int8_t> weights;  // kBuckets
    std::vector<Term> terms;
    double intercept = 0;
    std::vector<double> logits, probabilities;  // the probability at each of at least two rising logits; between them a straight line
    std::vector<Band> bands;  // at least one, by length; documents too short for the first are left alone

    // NaN where the document is too short. `sum` and `features` are those of DetectorScore.
    double logit(int64_t sum, uint64_t features, uint64_t words, double marker_rate, double burstiness) const;
    // NaN of NaN.
    double probability(double logit) const;
    // Whether a document of this logit resembles synthetic text.
    bool suspects(double logit, uint64_t words) const;
};

// The linear score of a document: the weights of all its items, which are words and what stands between them without white space,
// and of pairs of neighbours.
class DetectorScore {
   public:
    void begin() { *this = {}; }

    void add_word(const int8_t* weights, uint32_t key) { add(weights, key); }
    // The bytes between two words, before the first or behind the last. `text` is valid UTF-8.
    void add_gap(const int8_t* weights, const uint8_t* text, size_t begin, size_t end) {
        if (begin == end || (end - begin == 1 && text[begin] == ' ')) return;
        const int64_t key = gap_key(text, begin, end);
        if (key >= 0) add(weights, static_cast<uint32_t>(key));
    }

    int64_t sum() const { return sum_; }
    uint64_t features() const { return items_ == 0 ? 0 : 2 * items_ - 1; }

   private:
    static constexpr uint32_t kPairFactor = 0x9E3779B1;
    static constexpr unsigned kShift = 32 - Detector::kBucketBits;

    void add(const int8_t* weights, uint32_t key) {
        sum_ += weights[key >> kShift];
        // Before the first item stands none: its pair weighs nothing.
        sum_ += items_ == 0 ? 0 : weights[(last_ * kPairFactor + key) >> kShift];
        last_ = key;
        ++items_;
    }
    // Of ASCII marks alone, by the mark; -1 for white space.
    static const std::array<int64_t, 128> kMarkKeys;
    static int64_t gap_key(const uint8_t* text, size_t begin, size_t end) {
        const bool is_mark = end - begin == 1 || (end - begin == 2 && text[begin + 1] == ' ');
        return is_mark && text[begin] < 0x80 ? kMarkKeys[text[begin]] : any_gap_key(text, begin, end);
    }
    // -1 where there is nothing but white space.
    static int64_t any_gap_key(const uint8_t* text, size_t begin, size_t end);

    int64_t sum_ = 0;
    uint64_t items_ = 0;
    uint32_t last_ = 0;
};

}  // namespace textassay
