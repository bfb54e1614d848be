#include "marker_lexicon.hpp"

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
    if (!word.empty())
        lengths_by_first_byte_[static_cast<uint8_t>(word[0])] |= uint64_t{1} << std::min<size_t>(word.size(), 63);
    numbers_.emplace(word, static_cast<uint16_t>(numbers_.size() + 1));
}

uint16_t MarkerLexicon::look_up(const std::string& token) const {
    const auto found = numbers_.find(token);
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
