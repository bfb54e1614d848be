#include "simulation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "fixed_log.hpp"
#include "moving_ttr.hpp"

namespace textassay::simulation {

namespace {

constexpr unsigned kDigitBits = 11;
constexpr size_t kDigits = size_t{1} << kDigitBits;
constexpr uint64_t kGolden = 0x9E3779B97F4A7C15u;

// Least significant digits first (Knuth, volume 3, 5.2.5).
void sort_keys(std::vector<uint64_t>& keys, unsigned bits) {
    std::vector<uint64_t> other(keys.size());
    std::array<size_t, kDigits> places;
    for (unsigned shift = 0; shift < bits; shift += kDigitBits) {
        places.fill(0);
        for (const uint64_t key : keys) ++places[key >> shift & (kDigits - 1)];
        size_t sum = 0;
        for (size_t& place : places) sum += std::exchange(place, sum);
        for (const uint64_t key : keys) other[places[key >> shift & (kDigits - 1)]++] = key;
        keys.swap(other);
    }
}

// SplitMix64 (Steele, Lea & Flood 2014).
struct Random {
    uint64_t state;

    uint64_t next() {
        uint64_t z = state += kGolden;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        return z ^ z >> 31;
    }
};

Random random_of(uint64_t seed, uint64_t number) { return {Random{Random{seed}.next() ^ number}.next()}; }

template <typename Limit>
int64_t first_above(const Limit* limits, int64_t begin, int64_t end, Limit random) {
    return std::upper_bound(limits + begin, limits + end, random) - limits;
}

constexpr int64_t kUnseen = -1;

// Where a sentence stands: its last word, and the 2-gram of its last two.
struct State {
    uint32_t word = kBegin;
    int64_t bigram = kUnseen;
};

// Goes on by one word: chosen among those seen behind the last two, or behind the last one, or among all.
State next_state(const Model& model, State state, Random& random) {
    const uint64_t number = random.next();
    const Bigrams& bigrams = model.bigrams;
    if (state.bigram != kUnseen) {
        const int64_t begin = model.trigram_begin[state.bigram], end = model.trigram_begin[state.bigram + 1];
        const int64_t place = first_above(model.trigram_limits, begin, end, static_cast<uint32_t>(number >> 32));
        if (place < end) {
            const int64_t bigram = model.trigram_last[place];
            return {bigrams.last[bigram], bigram};
        }
    }
    const int64_t begin = bigrams.begin[state.word], end = bigrams.begin[state.word + 1];
    const int64_t bigram = first_above(model.bigram_limits, begin, end, static_cast<uint32_t>(number));
    if (bigram < end) return {bigrams.last[bigram], bigram};
    const auto word = static_cast<uint32_t>(first_above<uint64_t>(model.word_limits, 0, bigrams.n_words, random.next() >> 11));
    const int64_t found = bigrams.find(state.word, word, begin);
    return {word, found < end ? found : kUnseen};
}

void sample_sentence(const Model& model, Random& random, std::vector<uint32_t>& words) {
    State state;
    for (uint64_t length = 0; length < model.longest;) {
        const State next = next_state(model, state, random);
        if (next.word == kEnd) {
            if (length == 0) continue;  // no sentence is empty
            break;
        }
        words.push_back(next.word);
        state = next;
        ++length;
    }
    words.push_back(kEnd);
}

}  // namespace

Trigrams count_trigrams(const uint32_t* words, size_t size, unsigned bits, uint32_t first_begin, uint32_t first_end) {
    Trigrams found;
    const uint32_t n_firsts = first_end - first_begin;
    const auto note = [&](uint64_t first, uint64_t middle, uint64_t last) {
        if (static_cast<uint32_t>(first) - first_begin < n_firsts) found.keys.push_back(first << 2 * bits | middle << bits | last);
    };
    uint32_t first = kEnd, middle = kBegin;
    for (size_t i = 0; i < size; ++i) {
        const uint32_t word = words[i];
        if (middle != kBegin) note(first, middle, word);
        first = middle;
        middle = word;
        if (word != kEnd) continue;
        note(first, kEnd, kEnd);
        middle = kBegin;
    }
    sort_keys(found.keys, 3 * bits);
    size_t kept = 0;
    for (const uint64_t key : found.keys) {
        if (kept > 0 && found.keys[kept - 1] == key) {
            ++found.counts.back();
        } else {
            found.keys[kept++] = key;
            found.counts.push_back(1);
        }
    }
    found.keys.resize(kept);
    found.keys.shrink_to_fit();
    return found;
}

int64_t Bigrams::find(uint32_t first, uint32_t last_word, int64_t low) const {
    const uint32_t* const end = last + begin[first + 1];
    const uint32_t* const place = std::lower_bound(last + low, end, last_word);
    return (place < end && *place == last_word ? place : end) - last;
}

void find_last_bigrams(const uint64_t* keys, size_t size, unsigned bits, const Bigrams& bigrams, uint32_t* places) {
    const uint64_t mask = (uint64_t{1} << bits) - 1;
    uint64_t context = ~uint64_t{0};
    int64_t low = 0;
    for (size_t i = 0; i < size; ++i) {
        const auto middle = static_cast<uint32_t>(keys[i] >> bits & mask);
        if (keys[i] >> bits != context) {
            context = keys[i] >> bits;
            low = bigrams.begin[middle];
        }
        const int64_t place = bigrams.find(middle, static_cast<uint32_t>(keys[i] & mask), low);
        const bool is_there = place < bigrams.begin[middle + 1];
        if (is_there) low = place;
        places[i] = is_there ? static_cast<uint32_t>(place) : 0;
    }
}

void sample_document(const Model& model, uint64_t seed, uint64_t number, std::vector<uint32_t>& words) {
    Random random = random_of(seed, number);
    const auto like = static_cast<uint64_t>(static_cast<unsigned __int128>(random.next()) * model.n_documents >> 64);
    for (uint32_t s = 0; s < model.sentences[like]; ++s) sample_sentence(model, random, words);
}

DocumentFigures DocumentMeter::measure(const uint32_t* words, size_t size) {
    DocumentFigures figures;
    figures.entropy_bits = figures.mattr = figures.burstiness = std::numeric_limits<double>::quiet_NaN();
    distances_.clear();
    uint64_t window_sum = 0, length = 0, squares = 0, log_sum = 0;
    for (size_t i = 0; i < size; ++i) {
        const uint32_t word = words[i];
        if (word == kEnd) {
            ++figures.sentences;
            squares += length * length;
            length = 0;
            continue;
        }
        const auto at = static_cast<uint64_t>(figures.tokens++);
        const uint64_t distance = counts_[word] == 0 ? at + 1 : at - last_[word];
        figures.types += counts_[word]++ == 0;
        last_[word] = at;
        distances_.push_back(static_cast<uint8_t>(std::min<uint64_t>(distance, kMattrWindow)));
        window_sum += distances_.back();
        ++length;
    }
    for (size_t i = 0; i < size; ++i) {  // leaves the counts as they were: zero
        log_sum += words[i] == kEnd ? 0 : log2_times_tabled(std::exchange(counts_[words[i]], 0));
    }
    if (figures.tokens == 0) return figures;
    const auto tokens = static_cast<uint64_t>(figures.tokens), sentences = static_cast<uint64_t>(figures.sentences);
    for (uint64_t i = tokens < kMattrWindow ? tokens : tokens - kMattrWindow + 1; i < tokens; ++i)
        window_sum -= claimed_beyond_end(i, tokens, distances_[i]);
    figures.entropy_bits = entropy_bits(tokens, log_sum);
    figures.mattr = mattr(tokens, static_cast<uint64_t>(figures.types), window_sum);
    if (sentences >= 2) {
        const unsigned __int128 spread = static_cast<unsigned __int128>(sentences) * squares - static_cast<unsigned __int128>(tokens) * tokens;
        figures.burstiness = std::sqrt(static_cast<double>(spread)) / static_cast<double>(tokens);
    }
    return figures;
}

}  // namespace textassay::simulation
