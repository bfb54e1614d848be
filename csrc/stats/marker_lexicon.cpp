#include "marker_lexicon.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace textassay {

MarkerLexicon::MarkerLexicon(const std::vector<std::vector<std::string>>& phrases) : by_anchor_(1) {
    const auto longest_word = [](const std::vector<std::string>& phrase) {
        const auto shorter = [](const std::string& a, const std::string& b) { return a.size() < b.size(); };
        return static_cast<uint32_t>(std::max_element(phrase.begin(), phrase.end(), shorter) - phrase.begin());
    };
    for (const auto& phrase : phrases) {
        if (phrase.empty()) throw std::invalid_argument("marker phrase: wanted at least one token, got none");
        for (const std::string& word : phrase) number_word(word);
        numbers_[phrase[longest_word(phrase)]] |= kAnchor;
    }
    index_words();
    by_anchor_.resize(numbers_.size() + 1);
    for (const auto& phrase : phrases) {
        Phrase numbered{{}, longest_word(phrase)};
        for (const std::string& word : phrase) numbered.numbers.push_back(numbers_[word]);
        by_anchor_[numbered.numbers[numbered.anchor] & ~kAnchor].push_back(std::move(numbered));
    }
}

void MarkerLexicon::number_word(const std::string& word) {
    if (numbers_.size() == kAnchor - 1 && !numbers_.contains(word))
        throw std::invalid_argument("marker lexicon: wanted at most 32,767 different words");
    numbers_.emplace(word, static_cast<uint16_t>(numbers_.size() + 1));
}

void MarkerLexicon::index_words() {
    words_.resize(std::bit_ceil(4 * numbers_.size() + 1));
    mask_ = words_.size() - 1;
    for (const auto& [word, number] : numbers_) {
        const TokenKey key = exact_key(reinterpret_cast<const uint8_t*>(word.data()), static_cast<uint32_t>(word.size()));
        size_t slot = hash_of(key.low, key.high) & mask_;
        while (words_[slot].number != 0) slot = (slot + 1) & mask_;
        words_[slot] = {key.low, key.high, number};
    }
}

uint16_t MarkerLexicon::look_up(const TokenKey& token) const {
    const auto found = numbers_.find(std::string(reinterpret_cast<const char*>(token.bytes), token.size));
    return found == numbers_.end() ? uint16_t{0} : found->second;
}

uint64_t MarkerLexicon::count_leftmost_longest(std::vector<Match>& matches) {
    std::sort(matches.begin(), matches.end(),
              [](const Match& a, const Match& b) { return a.begin != b.begin ? a.begin < b.begin : a.end > b.end; });
    uint64_t count = 0;
    uint32_t end = 0;
    for (const Match& match : matches) {
        if (match.begin < end) continue;
        ++count;
        end = match.end;
    }
    return count;
}

}  // namespace textassay
