// Text to words and sentences, by three ways: UAX #29 by the letter (below, from the property tables alone), the code points of
// unicode/words.cpp and unicode/sentences.cpp, and the bit masks of scan/tokens.cpp with every kernel set that runs here.
#include <map>
#include <span>
#include <tuple>

#include "byte_kernels.hpp"
#include "code_point.hpp"
#include "sentences.hpp"
#include "target.hpp"
#include "tokens.hpp"
#include "words.hpp"

namespace textassay::fuzz {

namespace {

namespace wb = unicode::word_break;
namespace sb = unicode::sentence_break;

using Kinds = std::vector<uint8_t>;

constexpr size_t kMostBytes = 6'000;  // more than a chunk

// A character for each combination of properties that occurs in Unicode, so that a byte of the input reaches any.
const std::vector<uint32_t>& representatives() {
    static const std::vector<uint32_t> all = [] {
        std::map<std::tuple<int, int, int, int, int, bool>, uint32_t> first;
        for (uint32_t value = 0; value < 0x110000; ++value) {
            if (value >= 0xD800 && value < 0xE000) continue;
            const unicode::Record& r = unicode::record_of(value);
            uint8_t bytes[4];
            first.emplace(std::tuple(r.word_break, r.sentence_break, r.label, r.flags, unicode::encode(value, bytes), r.fold_delta != 0), value);
        }
        std::vector<uint32_t> values;
        for (const auto& [properties, value] : first) values.push_back(value);
        return values;
    }();
    return all;
}

void append(uint32_t value, std::string& text) {
    uint8_t bytes[4];
    text.append(reinterpret_cast<const char*>(bytes), unicode::encode(value, bytes));
}

// The input's bytes as they are, those that are no UTF-8 as U+FFFD.
std::string repaired(Choices& choices) {
    std::string text;
    const uint8_t* at = choices.rest();
    for (size_t left = choices.rest_size(); left > 0 && text.size() < kMostBytes;) {
        const size_t valid = std::min(unicode::valid_utf8_prefix(at, left), kMostBytes);
        text.append(reinterpret_cast<const char*>(at), valid);
        if (valid < left) append(0xFFFD, text);
        at += std::min(left, valid + 1);
        left -= std::min(left, valid + 1);
    }
    while (unicode::valid_utf8_prefix(reinterpret_cast<const uint8_t*>(text.data()), text.size()) < text.size()) text.pop_back();
    return text;
}

// A byte a character of its own properties, or how often the last one is repeated: texts that reach over blocks and chunks.
std::string spelled(Choices& choices) {
    const std::vector<uint32_t>& characters = representatives();
    std::string text;
    uint32_t last = 'a';
    while (!choices.done() && text.size() < kMostBytes) {
        const uint8_t byte = choices.byte();
        if (byte < 128) {
            append(last = byte, text);
        } else if (byte < 246) {
            append(last = characters[(byte - 128) * characters.size() / 118 + choices.below((characters.size() + 117) / 118)], text);
        } else {
            for (size_t times = size_t{1} << (byte - 245); times > 0 && text.size() < kMostBytes; --times) append(last, text);
        }
    }
    return text;
}

struct Letters {
    std::vector<uint32_t> values;
    std::vector<size_t> offsets;  // n + 1
    Kinds words, sentences;
};

Letters letters_of(const std::string& text) {
    Letters letters;
    for (size_t at = 0; at < text.size();) {
        const unicode::CodePoint c = unicode::decode(reinterpret_cast<const uint8_t*>(text.data()) + at);
        letters.values.push_back(c.value);
        letters.offsets.push_back(at);
        letters.words.push_back(unicode::record_of(c.value).word_break);
        letters.sentences.push_back(unicode::record_of(c.value).sentence_break);
        at += c.length;
    }
    letters.offsets.push_back(text.size());
    return letters;
}

bool is_one_of(uint8_t kind, std::initializer_list<uint8_t> kinds) { return std::find(kinds.begin(), kinds.end(), kind) != kinds.end(); }

// WB4, SB5: what is skipped belongs to the character before, unless that is none or a separator.
template <typename Skipped, typename Separator>
std::vector<size_t> kept_apart(const Kinds& kinds, Skipped skipped, Separator separator) {
    std::vector<size_t> kept;
    for (size_t i = 0; i < kinds.size(); ++i)
        if (!skipped(kinds[i]) || i == 0 || separator(kinds[i - 1])) kept.push_back(i);
    return kept;
}

constexpr uint8_t kNothing = 255;  // the class beyond either end

std::vector<size_t> word_starts(const Letters& letters) {
    const Kinds& raw = letters.words;
    const auto is_break = [](uint8_t k) { return is_one_of(k, {wb::kCR, wb::kLF, wb::kNewline}); };
    const auto ah = [](uint8_t k) { return k == wb::kALetter || k == wb::kHebrewLetter; };
    const auto mid_letter = [](uint8_t k) { return is_one_of(k, {wb::kMidLetter, wb::kMidNumLet, wb::kSingleQuote}); };
    const auto mid_number = [](uint8_t k) { return is_one_of(k, {wb::kMidNum, wb::kMidNumLet, wb::kSingleQuote}); };
    const auto kept = kept_apart(raw, [](uint8_t k) { return is_one_of(k, {wb::kExtend, wb::kFormat, wb::kZWJ}); }, is_break);
    const auto kind = [&](size_t k) { return k < kept.size() ? raw[kept[k]] : kNothing; };
    std::vector<size_t> starts;
    size_t flags = 0;
    for (size_t k = 0; k < kept.size(); ++k) {
        const size_t i = kept[k];
        const uint8_t two_before = k > 1 ? kind(k - 2) : kNothing, before = k > 0 ? kind(k - 1) : kNothing, here = kind(k), after = kind(k + 1);
        const auto joins = [&] {
            if (k == 0) return false;                                                                                     // WB1
            if (before == wb::kCR && here == wb::kLF) return true;                                                        // WB3
            if (is_break(before) || is_break(here)) return false;                                                         // WB3a WB3b
            if (raw[i - 1] == wb::kZWJ && unicode::record_of(letters.values[i]).flags & unicode::flag::kExtendedPictographic) return true;  // WB3c
            if (raw[i - 1] == wb::kWSegSpace && here == wb::kWSegSpace) return true;                                      // WB3d
            if (ah(before) && ah(here)) return true;                                                                      // WB5
            if (ah(before) && mid_letter(here) && ah(after)) return true;                                                 // WB6
            if (ah(two_before) && mid_letter(before) && ah(here)) return true;                                            // WB7
            if (before == wb::kHebrewLetter && here == wb::kSingleQuote) return true;                                     // WB7a
            if (before == wb::kHebrewLetter && here == wb::kDoubleQuote && after == wb::kHebrewLetter) return true;       // WB7b
            if (two_before == wb::kHebrewLetter && before == wb::kDoubleQuote && here == wb::kHebrewLetter) return true;  // WB7c
            if (before == wb::kNumeric && here == wb::kNumeric) return true;                                              // WB8
            if (ah(before) && here == wb::kNumeric) return true;                                                          // WB9
            if (before == wb::kNumeric && ah(here)) return true;                                                          // WB10
            if (two_before == wb::kNumeric && mid_number(before) && here == wb::kNumeric) return true;                    // WB11
            if (before == wb::kNumeric && mid_number(here) && after == wb::kNumeric) return true;                         // WB12
            if (before == wb::kKatakana && here == wb::kKatakana) return true;                                            // WB13
            const auto extends = [&](uint8_t c) { return ah(c) || c == wb::kNumeric || c == wb::kKatakana; };
            if ((extends(before) || before == wb::kExtendNumLet) && here == wb::kExtendNumLet) return true;               // WB13a
            if (before == wb::kExtendNumLet && extends(here)) return true;                                                // WB13b
            return here == wb::kRegionalIndicator && flags % 2 == 1;                                                      // WB15 WB16
        };
        if (!joins()) starts.push_back(i);
        flags = here == wb::kRegionalIndicator ? flags + 1 : 0;
    }
    return starts;
}

std::vector<size_t> sentence_starts(const Kinds& raw) {
    const auto is_break = [](uint8_t k) { return is_one_of(k, {sb::kSep, sb::kCR, sb::kLF}); };
    const auto is_term = [](uint8_t k) { return k == sb::kSTerm || k == sb::kATerm; };
    const auto kept = kept_apart(raw, [](uint8_t k) { return k == sb::kExtend || k == sb::kFormat; }, is_break);
    const auto kind = [&](size_t k) { return k < kept.size() ? raw[kept[k]] : kNothing; };
    // SB8: the next class from each place on that ends its search.
    Kinds next(kept.size() + 1, kNothing);
    for (size_t k = kept.size(); k-- > 0;)
        next[k] = is_break(kind(k)) || is_term(kind(k)) || is_one_of(kind(k), {sb::kOLetter, sb::kUpper, sb::kLower}) ? kind(k) : next[k + 1];
    // What stands before Close* Sp* in front of each place, and whether there are spaces.
    Kinds terms(kept.size() + 1, kNothing);
    std::vector<bool> spaced(kept.size() + 1, false);
    for (size_t k = 1; k <= kept.size(); ++k) {
        const uint8_t before = kind(k - 1);
        if (before == sb::kSp || (before == sb::kClose && !spaced[k - 1])) {
            terms[k] = terms[k - 1];
            spaced[k] = before == sb::kSp;
        } else {
            terms[k] = before;
        }
    }
    std::vector<size_t> starts;
    for (size_t k = 0; k < kept.size(); ++k) {
        const uint8_t before = k > 0 ? kind(k - 1) : kNothing, here = kind(k);
        const auto breaks = [&] {
            if (k == 0) return true;                                                                                            // SB1
            if (before == sb::kCR && here == sb::kLF) return false;                                                             // SB3
            if (is_break(before)) return true;                                                                                  // SB4
            if (!is_term(terms[k])) return false;                                                                               // SB998
            if (before == sb::kATerm && here == sb::kNumeric) return false;                                                     // SB6
            if (k > 1 && is_one_of(kind(k - 2), {sb::kUpper, sb::kLower}) && before == sb::kATerm && here == sb::kUpper) return false;  // SB7
            if (terms[k] == sb::kATerm && next[k] == sb::kLower) return false;                                                  // SB8
            if (here == sb::kSContinue || is_term(here)) return false;                                                          // SB8a
            if (here == sb::kClose && !spaced[k]) return false;                                                                 // SB9
            return here != sb::kSp && !is_break(here);                                                                          // SB10 SB11
        };
        if (breaks()) starts.push_back(kept[k]);
    }
    return starts;
}

// METRICS, section 1: a line break with none beside it, before a Lowercase character, counts as a space.
Kinds softened(const Letters& letters) {
    Kinds kinds = letters.sentences;
    const auto& values = letters.values;
    const auto is_break = [&](size_t i) { return i < values.size() && (values[i] == '\n' || values[i] == '\r'); };
    for (size_t i = 0; i < values.size(); ++i) {
        if (!is_break(i) || (i > 0 && is_break(i - 1))) continue;
        const size_t last = values[i] == '\r' && i + 1 < values.size() && values[i + 1] == '\n' ? i + 1 : i;
        if (is_break(last + 1)) continue;
        size_t next = last + 1;
        while (next < values.size() && (values[next] == ' ' || values[next] == '\t')) ++next;
        if (next < values.size() && unicode::record_of(values[next]).flags & unicode::flag::kLowercase)
            for (size_t k = i; k <= last; ++k) kinds[k] = sb::kSp;
    }
    return kinds;
}

std::vector<size_t> bytes_of(const Letters& letters, const std::vector<size_t>& starts) {
    std::vector<size_t> offsets;
    for (const size_t i : starts) offsets.push_back(letters.offsets[i]);
    if (!starts.empty()) offsets.push_back(letters.offsets.back());
    return offsets;
}

std::vector<size_t> sentence_boundaries(const Exact& text, bool tailored) {
    std::vector<size_t> boundaries;
    if (text.size() > 0) boundaries.push_back(0);
    for (size_t at = 0; at < text.size();) {
        const unicode::CodePoint c = unicode::decode(text.data() + at);
        if (unicode::may_end_sentence(unicode::record_of(c.value).sentence_break)) {
            const size_t boundary = unicode::sentence_boundary_from({text.data(), text.size(), tailored}, at);
            if (boundary != unicode::kNoBoundary) boundaries.push_back(boundary);
        }
        at += c.length;
    }
    if (text.size() > 0) boundaries.push_back(text.size());
    return boundaries;
}

struct Segments {
    std::vector<size_t> boundaries;
    std::vector<std::pair<size_t, size_t>> words;
};

Segments word_segments(const Exact& text) {
    Segments segments;
    if (text.size() > 0) segments.boundaries.push_back(0);
    for (size_t at = 0; at < text.size();) {
        const unicode::WordSegment segment = unicode::next_word_segment(text.data(), text.size(), at);
        if (segment.is_word) segments.words.emplace_back(at, segment.end);
        segments.boundaries.push_back(at = segment.end);
    }
    return segments;
}

// What a text should give.
struct Wanted {
    std::vector<std::pair<size_t, size_t>> spans;
    std::vector<std::string> words;  // folded
    std::vector<uint64_t> sentences;
    std::vector<uint32_t> high;
    uint64_t characters = 0;
};

bool holds_letter_or_number(const Letters& letters, size_t begin, size_t end) {
    for (size_t i = static_cast<size_t>(std::lower_bound(letters.offsets.begin(), letters.offsets.end(), begin) - letters.offsets.begin());
         letters.offsets[i] < end; ++i)
        if (unicode::record_of(letters.values[i]).flags & unicode::flag::kLetterOrNumber) return true;
    return false;
}

Wanted wanted_of(const Letters& letters) {
    Wanted wanted;
    wanted.characters = letters.values.size();
    for (const uint32_t value : letters.values)
        if (value >= 0x80) wanted.high.push_back(value);
    const std::vector<size_t> starts = word_starts(letters);
    for (size_t k = 0; k < starts.size(); ++k) {
        const size_t end = k + 1 < starts.size() ? starts[k + 1] : letters.values.size();
        if (!holds_letter_or_number(letters, letters.offsets[starts[k]], letters.offsets[end])) continue;
        wanted.spans.emplace_back(letters.offsets[starts[k]], letters.offsets[end]);
        std::string& word = wanted.words.emplace_back();
        for (size_t i = starts[k]; i < end; ++i)
            append(letters.values[i] + static_cast<uint32_t>(unicode::record_of(letters.values[i]).fold_delta), word);
    }
    const std::vector<size_t> boundaries = bytes_of(letters, sentence_starts(softened(letters)));
    size_t first = 0;
    for (size_t k = 0; k + 1 < boundaries.size(); ++k) {
        const size_t begin = boundaries[k], end = boundaries[k + 1];
        while (first < wanted.spans.size() && wanted.spans[first].second <= begin) ++first;
        uint64_t length = 0;
        for (size_t i = first; i < wanted.spans.size() && wanted.spans[i].first < end; ++i)
            length += holds_letter_or_number(letters, std::max(begin, wanted.spans[i].first), std::min(end, wanted.spans[i].second));
        if (length > 0) wanted.sentences.push_back(length);
    }
    return wanted;
}

void compare_tokens(const Exact& text, const Wanted& wanted, TokenKind kind) {
    static Tokenizer tokenizer;
    std::vector<uint64_t> sentences;
    std::vector<uint32_t> high;
    tokenizer.sentences.lengths = &sentences;
    tokenizer.begin(text.data(), text.size(), kind);
    TokenChunk chunk;
    size_t seen = 0;
    while (tokenizer.next(chunk)) {
        high.insert(high.end(), chunk.high_characters, chunk.high_characters + chunk.high_characters_size);
        for (size_t i = 0; i < chunk.size; ++i, ++seen) {
            const std::string_view token(reinterpret_cast<const char*>(chunk.bytes) + chunk.starts[i], chunk.ends[i] - chunk.starts[i]);
            if (kind == TokenKind::kBigram) {
                REQUIRE(seen + 1 < wanted.words.size() && token == wanted.words[seen] + " " + wanted.words[seen + 1]);
                continue;
            }
            REQUIRE(seen < wanted.words.size() && token == wanted.words[seen]);
            REQUIRE(chunk.source_begin(i) == static_cast<int64_t>(wanted.spans[seen].first));
            REQUIRE(chunk.source_end(i) == static_cast<int64_t>(wanted.spans[seen].second));
        }
    }
    REQUIRE(seen == (kind == TokenKind::kWord ? wanted.words.size() : std::max<size_t>(wanted.words.size(), 1) - 1));
    REQUIRE(sentences == wanted.sentences);
    REQUIRE(high == wanted.high);
    REQUIRE(tokenizer.characters() == wanted.characters);
    REQUIRE(tokenizer.sentences.sentences == sentences.size());
    tokenizer.sentences.lengths = nullptr;
    tokenizer.begin(text.data(), text.size(), kind);
    uint64_t words = 0, squares = 0;
    while (tokenizer.next(chunk)) continue;
    for (const uint64_t length : sentences) words += length, squares += length * length;
    REQUIRE(tokenizer.sentences.sentences == sentences.size() && tokenizer.sentences.words == words);
    REQUIRE(tokenizer.sentences.squares == squares);
}

}  // namespace

}  // namespace textassay::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
    using namespace textassay;
    using namespace textassay::fuzz;
    Choices choices(input, size);
    const uint8_t how = choices.byte();
    const std::string string = how & 1 ? spelled(choices) : repaired(choices);
    const Exact text(reinterpret_cast<const uint8_t*>(string.data()), string.size());
    REQUIRE(unicode::valid_utf8_prefix(text.data(), text.size()) == text.size());
    const Letters letters = letters_of(string);
    const Wanted wanted = wanted_of(letters);
    const Segments segments = word_segments(text);
    REQUIRE(segments.boundaries == bytes_of(letters, word_starts(letters)));
    REQUIRE(segments.words == wanted.spans);
    REQUIRE(sentence_boundaries(text, false) == bytes_of(letters, sentence_starts(letters.sentences)));
    REQUIRE(sentence_boundaries(text, true) == bytes_of(letters, sentence_starts(softened(letters))));
    for (const kernels::KernelSet* const* set = kernels::available(); *set != nullptr; ++set) {
        kernels::use((*set)->name);
        compare_tokens(text, wanted, how & 2 ? TokenKind::kBigram : TokenKind::kWord);
    }
    return 0;
}
