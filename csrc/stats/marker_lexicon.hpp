// Marker phrases as sequences of tokens, matched leftmost-longest.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace textassay {

// A token that occurs in some phrase, and where.
struct MarkerToken {
    uint32_t position;
    uint16_t marker;
};

class MarkerLexicon {
   public:
    // Each phrase is its tokens. Throws std::invalid_argument on an empty phrase, or more than 65,535 different words.
    explicit MarkerLexicon(const std::vector<std::vector<std::string>>& phrases);

    bool empty() const { return numbers_.empty(); }
    // The number of a token in the lexicon; 0 if no phrase holds it.
    uint16_t number(std::string_view token) const {
        return may_hold(token) ? look_up(std::string(token)) : uint16_t{0};
    }

    // Matches in one document: its marker tokens in ascending order of position.
    uint64_t count_matches(std::span<const MarkerToken> tokens) const;

   private:
    // By length and first byte: turns away nearly all of a corpus's types.
    bool may_hold(std::string_view token) const {
        return !token.empty() && lengths_by_first_byte_[static_cast<uint8_t>(token[0])] >> std::min<size_t>(token.size(), 63) & 1;
    }
    uint16_t look_up(const std::string& token) const;
    // Where the longest phrase that begins at tokens[at] ends; `at` if none does.
    size_t longest_match(std::span<const MarkerToken> tokens, size_t at) const;

    struct Node {
        bool ends_phrase = false;
        std::map<uint16_t, uint32_t> next;
    };
    std::array<uint64_t, 256> lengths_by_first_byte_{};
    std::unordered_map<std::string, uint16_t> numbers_;
    std::vector<Node> nodes_;
    std::vector<bool> starts_phrase_;  // by number
};

}  // namespace textassay
