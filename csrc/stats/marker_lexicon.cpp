#include "marker_lexicon.hpp"

#include <stdexcept>

namespace textassay {

MarkerLexicon::MarkerLexicon(const std::vector<std::vector<std::string>>& phrases) : nodes_(1), starts_phrase_(1) {
    for (const auto& phrase : phrases) {
        if (phrase.empty()) throw std::invalid_argument("marker phrase: wanted at least one token, got none");
        uint32_t node = 0;
        for (const std::string& token : phrase) {
            if (numbers_.size() == 65535) throw std::invalid_argument("marker lexicon: wanted at most 65,535 different words");
            const uint16_t number = numbers_.emplace(token, static_cast<uint16_t>(numbers_.size() + 1)).first->second;
            if (!token.empty())
                lengths_by_first_byte_[static_cast<uint8_t>(token[0])] |= uint64_t{1} << std::min<size_t>(token.size(), 63);
            starts_phrase_.resize(numbers_.size() + 1);
            if (node == 0) starts_phrase_[number] = true;
            const auto [found, is_new] = nodes_[node].next.emplace(number, static_cast<uint32_t>(nodes_.size()));
            node = found->second;
            if (is_new) nodes_.emplace_back();
        }
        nodes_[node].ends_phrase = true;
    }
}

uint16_t MarkerLexicon::look_up(const std::string& token) const {
    const auto found = numbers_.find(token);
    return found == numbers_.end() ? uint16_t{0} : found->second;
}

uint64_t MarkerLexicon::count_matches(std::span<const MarkerToken> tokens) const {
    uint64_t matches = 0;
    for (size_t at = 0; at < tokens.size();) {
        const size_t end = starts_phrase_[tokens[at].marker] ? longest_match(tokens, at) : at;
        matches += end > at;
        at = end > at ? end : at + 1;
    }
    return matches;
}

size_t MarkerLexicon::longest_match(std::span<const MarkerToken> tokens, size_t at) const {
    size_t end = at;
    uint32_t node = 0;
    for (size_t i = at; i < tokens.size() && tokens[i].position == tokens[at].position + (i - at); ++i) {
        const auto found = nodes_[node].next.find(tokens[i].marker);
        if (found == nodes_[node].next.end()) break;
        node = found->second;
        if (nodes_[node].ends_phrase) end = i + 1;
    }
    return end;
}

}  // namespace textassay
