// Marker phrases as sequences of tokens, matched leftmost-longest.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "token_key.hpp"

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
    uint16_t number(const TokenKey& token, uint64_t hash) const {
        for (size_t slot = hash & mask_; words_[slot].number != 0; slot = (slot + 1) & mask_)
            if (words_[slot].low == token.low && words_[slot].high == token.high)
                return token.is_long() ? look_up(token) : words_[slot].number;
        return 0;
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

    struct Word {
        uint64_t low = 0, high = 0;  // TokenKey
        uint16_t number = 0;
    };

    uint16_t look_up(const TokenKey& token) const;
    void number_word(const std::string& word);
    void index_words();
    static uint64_t count_leftmost_longest(std::vector<Match>& matches);

    std::unordered_map<std::string, uint16_t> numbers_;
    std::vector<Word> words_;  // by hash, open addressing, so that a token that is no word costs one look
    size_t mask_ = 0;
    std::vector<std::vector<Phrase>> by_anchor_;  // by its number without kAnchor
};

}  // namespace textassay
