#include "words.hpp"

#include "code_point.hpp"

namespace textassay::unicode {

namespace {

using namespace word_break;

bool is_line_break(uint8_t kind) { return kind == kCR || kind == kLF || kind == kNewline; }
bool is_ignored(uint8_t kind) { return kind == kExtend || kind == kFormat || kind == kZWJ; }
bool is_letter(uint8_t kind) { return kind == kALetter || kind == kHebrewLetter; }
bool is_mid_letter(uint8_t kind) { return kind == kMidLetter || kind == kMidNumLet || kind == kSingleQuote; }
bool is_mid_number(uint8_t kind) { return kind == kMidNum || kind == kMidNumLet || kind == kSingleQuote; }

// The class of the first character at or behind `at` that WB4 does not ignore; kOther at the end of the text.
uint8_t class_ahead(const uint8_t* text, size_t size, size_t at) {
    while (at < size) {
        const CodePoint c = decode(text + at);
        const uint8_t kind = record_of(c.value).word_break;
        if (!is_ignored(kind)) return kind;
        at += c.length;
    }
    return kOther;
}

// Rules WB5 to WB16 between the character classes `previous` and `next`, neither of them ignored by WB4.
// `before` is the class before `previous` in the segment; `ahead()` gives the one behind `next`.
template <typename Ahead>
bool joins(uint8_t before, uint8_t previous, uint8_t next, bool odd_regional_indicators, Ahead ahead) {
    if (is_letter(previous)) {
        if (is_letter(next) || next == kNumeric || next == kExtendNumLet) return true;         // WB5 WB9 WB13a
        if (previous == kHebrewLetter && next == kSingleQuote) return true;                    // WB7a
        if (is_mid_letter(next)) return is_letter(ahead());                                    // WB6
        if (previous == kHebrewLetter && next == kDoubleQuote) return ahead() == kHebrewLetter;  // WB7b
        return false;
    }
    if (previous == kNumeric) {
        if (next == kNumeric || is_letter(next) || next == kExtendNumLet) return true;  // WB8 WB10 WB13a
        return is_mid_number(next) && ahead() == kNumeric;                              // WB12
    }
    if (previous == kKatakana) return next == kKatakana || next == kExtendNumLet;  // WB13 WB13a
    if (previous == kExtendNumLet)                                                 // WB13a WB13b
        return next == kExtendNumLet || is_letter(next) || next == kNumeric || next == kKatakana;
    if (is_mid_letter(previous) && is_letter(before) && is_letter(next)) return true;                          // WB7
    if (previous == kDoubleQuote && before == kHebrewLetter && next == kHebrewLetter) return true;             // WB7c
    if (is_mid_number(previous) && before == kNumeric && next == kNumeric) return true;                        // WB11
    return previous == kRegionalIndicator && next == kRegionalIndicator && odd_regional_indicators;            // WB15 WB16
}

}  // namespace

WordSegment next_word_segment(const uint8_t* text, size_t size, size_t begin) {
    const CodePoint first = decode(text + begin);
    const Record& first_record = record_of(first.value);
    bool is_word = first_record.flags & flag::kLetterOrNumber;
    uint8_t before = kOther, previous = first_record.word_break, raw = previous;
    bool odd_regional_indicators = previous == kRegionalIndicator;
    size_t at = begin + first.length;
    while (at < size) {
        const CodePoint c = decode(text + at);
        const Record& record = record_of(c.value);
        const uint8_t next = record.word_break;
        if (is_line_break(raw)) {
            if (!(raw == kCR && next == kLF)) break;  // WB3 WB3a
        } else if (is_line_break(next)) {
            break;  // WB3b
        } else if (raw == kZWJ && record.flags & flag::kExtendedPictographic) {
            before = kOther, previous = next;  // WB3c
        } else if (raw == kWSegSpace && next == kWSegSpace) {
            // WB3d
        } else if (!is_ignored(next)) {  // WB4 joins what is ignored to anything
            const auto ahead = [&] { return class_ahead(text, size, at + c.length); };
            if (!joins(before, previous, next, odd_regional_indicators, ahead)) break;
            odd_regional_indicators = next == kRegionalIndicator && !odd_regional_indicators;
            before = previous, previous = next;
        }
        raw = next;
        is_word |= (record.flags & flag::kLetterOrNumber) != 0;
        at += c.length;
    }
    return {at, is_word};
}

}  // namespace textassay::unicode
