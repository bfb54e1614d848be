#include "perplexity.hpp"

#include <algorithm>
#include <cmath>

#include "byte_kernels.hpp"

namespace textassay {

void WordStream::gather(const Anchor& anchor, const uint32_t* types, size_t tokens, const uint32_t* numbers,
                        const std::vector<uint64_t>& lengths) {
    words.resize(kLead + tokens + 2 * lengths.size());
    unknown = rare = 0;
    uint32_t* out = std::fill_n(words.data(), kLead, Anchor::kBegin);
    const uint32_t modelled = anchor.n_modelled, tail_begin = anchor.tail_begin, tail_size = anchor.tail_end - anchor.tail_begin;
    for (size_t s = 0; s < lengths.size(); ++s) {
        const size_t length = s + 1 == lengths.size() ? tokens : std::min<size_t>(lengths[s], tokens);
        *out++ = Anchor::kBegin;
        for (size_t i = 0; i < length; ++i) {
            const uint32_t number = numbers[types[i]];
            const bool is_known = number < modelled;
            rare += number - tail_begin < tail_size;
            *out++ = is_known ? number : Anchor::kUnknown;
            unknown += !is_known || number == Anchor::kUnknown;
        }
        *out++ = Anchor::kEnd;
        types += length;
        tokens -= length;
    }
}

int64_t PerplexityMeter::cost(const WordStream& stream) {
    for (Entries& entries : entries_) entries[0] = 0;
    static constexpr int64_t (PerplexityMeter::*kSums[])(const uint32_t*, size_t) const = {
        &PerplexityMeter::sum<1>, &PerplexityMeter::sum<2>, &PerplexityMeter::sum<3>, &PerplexityMeter::sum<4>, &PerplexityMeter::sum<5>};
    const auto sum_of_order = kSums[anchor_.order - 1];
    int64_t total = 0;
    const size_t size = stream.words.size();
    for (size_t begin = WordStream::kLead; begin < size; begin += kChunk) {
        const size_t some = std::min(kChunk, size - begin);
        const uint32_t* words = stream.words.data() + begin;
        if (anchor_.order >= 2) look_up_bigrams(words, some);
        size_t candidates = some;
        for (unsigned order = 3; order <= anchor_.order; ++order) {
            candidates = lengthen(words, order, candidates);
            look_up(order, candidates, some);
        }
        total += (this->*sum_of_order)(words, some);
        for (unsigned order = 2; order <= anchor_.order; ++order) entries_[order][0] = entries_[order][some];
    }
    return total;
}

// At every word; what ends in <s> is no 2-gram, whatever the table says.
void PerplexityMeter::look_up_bigrams(const uint32_t* words, size_t size) {
    for (size_t i = 0; i < size; ++i) {
        places_[i] = static_cast<uint32_t>(i);
        hashes_[i] = bigram_hash(words[static_cast<ptrdiff_t>(i) - 1], words[i]);
    }
    uint64_t* const found = entries_[2].data() + 1;
    const Anchor::Table& table = anchor_.tables[2];
    kernels::active().find_entries(table.entries, table.buckets, hashes_.data(), size, found);
    for (size_t i = 0; i < size; ++i) found[i] &= uint64_t{0} - (words[i] != Anchor::kBegin);
}

// An n-gram is in the model only if both its first and its last n - 1 words are.
size_t PerplexityMeter::lengthen(const uint32_t* words, unsigned order, size_t candidates) {
    const Entries& shorter = entries_[order - 1];
    const ptrdiff_t back = static_cast<ptrdiff_t>(order) - 1;
    size_t longer = 0;
    for (size_t c = 0; c < candidates; ++c) {
        const uint32_t i = places_[c];
        const size_t may_be_there = size_t{shorter[i + 1] != 0} & size_t{shorter[i] != 0};  // shorter[i] ends at the word before
        places_[longer] = i;
        hashes_[longer] = longer_hash(hashes_[c], words[static_cast<ptrdiff_t>(i) - back]);
        longer += may_be_there;  // nobody could predict a branch
    }
    return longer;
}

void PerplexityMeter::look_up(unsigned order, size_t candidates, size_t size) {
    const Anchor::Table& table = anchor_.tables[order];
    kernels::active().find_entries(table.entries, table.buckets, hashes_.data(), candidates, found_.data());
    Entries& entries = entries_[order];
    std::fill_n(entries.begin() + 1, size, 0);
    for (size_t c = 0; c < candidates; ++c) entries[places_[c] + 1] = found_[c];
}

// Of the longest n-gram that is there, and of the backoffs of the longer contexts: without a branch a word.
template <unsigned kOrder>
int64_t PerplexityMeter::sum(const uint32_t* words, size_t size) const {
    int64_t total = 0;
    for (size_t i = 0; i < size; ++i) {
        if (words[i] == Anchor::kBegin) continue;
        int64_t cost = anchor_.unigram_cost(words[i]);
        int64_t backoff = anchor_.unigram_backoff(words[static_cast<ptrdiff_t>(i) - 1]);
        for (unsigned order = 2; order <= kOrder; ++order) {
            const uint64_t entry = entries_[order][i + 1];
            cost = entry != 0 ? cost_of(entry) : cost + backoff;
            backoff = backoff_of(entries_[order][i]);
        }
        total += cost;
    }
    return total;
}

namespace {

constexpr double kLn2 = 0.693147180559945309417;
constexpr double kMaxBits = 30;
constexpr int kTerms = 18;

// 2^f for |f| <= 1/2, by Horner's scheme of the exponential's series.
double power_of_two(double f) {
    const double x = f * kLn2;
    double sum = 1.0;
    for (int k = kTerms; k > 0; --k) sum = 1.0 + x * sum / static_cast<double>(k);
    return sum;
}

}  // namespace

double perplexity_of(int64_t cost, uint64_t tokens) {
    const double bits = static_cast<double>(cost) / (static_cast<double>(tokens) * static_cast<double>(1 << kCostBits));
    const double bounded = std::min(std::max(bits, 0.0), kMaxBits), whole = std::floor(bounded + 0.5);
    return std::ldexp(power_of_two(bounded - whole), static_cast<int>(whole));
}

}  // namespace textassay
