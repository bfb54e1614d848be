// A corpus as an order-3 model sees it: 3-grams counted, documents drawn from the model, documents measured. All over word numbers.
//
// A corpus is its sentences in order, each as its words and kEnd behind them; documents are ranges of it. Functions work on a part
// of their task, so that the caller may spread it over threads; the parts' results do not depend on how it does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "anchor.hpp"

namespace textassay::simulation {

inline constexpr uint32_t kBegin = Anchor::kBegin, kEnd = Anchor::kEnd;
inline constexpr unsigned kMaxWordBits = 21;  // three words in one number

// A 3-gram: first << 2 * bits | middle << bits | last, `bits` wide enough for every word.
struct Trigrams {
    std::vector<uint64_t> keys;    // ascending
    std::vector<uint32_t> counts;
};

// The 3-grams whose first word is in [first_begin, first_end). A sentence begins behind kBegin; behind its end stands another
// kEnd, so that every 2-gram begins a 3-gram.
Trigrams count_trigrams(const uint32_t* words, size_t size, unsigned bits, uint32_t first_begin, uint32_t first_end);

// Distinct 2-grams, in order: those that begin with word w are [begin[w], begin[w + 1]).
struct Bigrams {
    const int64_t* begin;
    const uint32_t* last;
    uint32_t n_words;

    // The place of a 2-gram in [low, end of first); `end of first` where it is absent.
    int64_t find(uint32_t first, uint32_t last_word, int64_t low) const;
};

// Of each 3-gram of keys[0, size), which ascend, the 2-gram of its last two words; 0 where there is none.
void find_last_bigrams(const uint64_t* keys, size_t size, unsigned bits, const Bigrams& bigrams, uint32_t* places);

// What documents are drawn from. A choice is limits that ascend, out of 2^32 (2^53 for words): the first one above a random
// number wins; if none is above, the next lower order decides.
struct Model {
    Bigrams bigrams;
    const uint32_t* bigram_limits;
    const int64_t* trigram_begin;  // of each 2-gram the first 3-gram that it begins; one more at the end
    const uint32_t* trigram_last;  // of each 3-gram the place of the 2-gram that ends it
    const uint32_t* trigram_limits;
    const uint64_t* word_limits;
    const uint32_t* sentences;  // of each document of the corpus that the model was fitted to
    uint64_t n_documents;
    uint64_t longest;  // words of a sentence; a longer one is cut off
};

// Document `number` of the stream that `seed` names, appended to `words`.
void sample_document(const Model& model, uint64_t seed, uint64_t number, std::vector<uint32_t>& words);

struct DocumentFigures {
    int64_t tokens = 0, types = 0, sentences = 0;
    double entropy_bits, mattr, burstiness;  // NaN for null
};

// METRICS' figures of documents, one after the other.
class DocumentMeter {
   public:
    explicit DocumentMeter(size_t n_words) : counts_(n_words), last_(n_words) {}

    DocumentFigures measure(const uint32_t* words, size_t size);

   private:
    std::vector<uint32_t> counts_;
    std::vector<uint64_t> last_;  // place of the word's last occurrence in the document; only where it has been counted
    std::vector<uint8_t> distances_;
};

}  // namespace textassay::simulation
