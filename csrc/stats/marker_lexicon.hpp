// Marker phrases as sequences of tokens, matched leftmost-longest.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace textassay {

// Each phrase is found by one of its words, its anchor: the longest, since long words are rare. Where no anchor is, there is no
// phrase, and nobody looks for one.
class MarkerLexicon {
   public:
    // Set in the number of a word that is an anchor.
    static constexpr uint16_t kAnchor = 1 << 15;

    // Each phrase is its tokens. Throws std::invalid_argument on an empty phrase, or more than 32,767 different words.
    explicit MarkerLexicon(const std::vector<std::vector<std::string>>& phrases);

    bool empty() const { return numbers_.empty(); }
    // The number of a token in the lexicon; 0 if no phrase holds it.
    uint16_t number(std::string_view token) const {
        return may_hold(token) ? look_up(std::string(token)) : uint16_t{0};
    }

    // Matches in a document of `tokens` tokens: `anchors` are the places of its anchors in ascending order, `number_at(i)` is
    // the number of token i.
    template <typename NumberAt>
    uint64_t count_matches(std::span<const uint32_t> anchors, uint64_t tokens, NumberAt number_at) const {
        std::vector<Match> matches;
        for (const uint32_t at : anchors)
            for (const Phrase& phrase : by_anchor_[number_at(at) & ~kAnchor]) {
                const size_t size = phrase.numbers.size();
                if (at < phrase.anchor || at - phrase.anchor + size > tokens) continue;
                const uint32_t begin = at - phrase.anchor;
                size_t equal = 0;
                while (equal < size && phrase.numbers[equal] == number_at(begin + equal)) ++equal;
                if (equal == size) matches.push_back({begin, begin + static_cast<uint32_t>(size)});
            }
        return count_leftmost_longest(matches);
    }

   private:
    struct Phrase {
        std::vector<uint16_t> numbers;  // with kAnchor where number() sets it
        uint32_t anchor;                // which of them is the phrase's anchor
    };
    struct Match {
        uint32_t begin, end;
    };

    // By length and first byte: turns away nearly all of a corpus's types.
    bool may_hold(std::string_view token) const {
        return !token.empty() && lengths_by_first_byte_[static_cast<uint8_t>(token[0])] >> std::min<size_t>(token.size(), 63) & 1;
    }
    uint16_t look_up(const std::string& token) const;
    void number_word(const std::string& word);
    static uint64_t count_leftmost_longest(std::vector<Match>& matches);

    std::array<uint64_t, 256> lengths_by_first_byte_{};
    std::unordered_map<std::string, uint16_t> numbers_;
    std::vector<std::vector<Phrase>> by_anchor_;  // by its number without kAnchor
};

}  // namespace textassay
