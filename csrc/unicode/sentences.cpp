#include "sentences.hpp"

#include <initializer_list>

#include "code_point.hpp"

namespace textassay::unicode {

namespace {

using namespace sentence_break;

bool is_ignored(uint8_t kind) { return kind == kExtend || kind == kFormat; }
bool is_terminator(uint8_t kind) { return kind == kATerm || kind == kSTerm; }
bool is_separator(uint8_t kind) { return kind == kCR || kind == kLF || kind == kSep; }
bool is_line_break(uint8_t byte) { return byte == '\n' || byte == '\r'; }

// A line break [begin, end) with no other directly beside it, before a Lowercase character.
bool is_soft_wrap(const SentenceText& t, size_t begin, size_t end) {
    if (!t.tailored || (begin > 0 && is_line_break(t.text[begin - 1]))) return false;
    if (end < t.size && is_line_break(t.text[end])) return false;
    while (end < t.size && (t.text[end] == ' ' || t.text[end] == '\t')) ++end;
    return end < t.size && record_at(t.text + end).flags & flag::kLowercase;
}

struct Unit {
    uint8_t kind;
    size_t end;  // behind the character and what SB5 joins to it
};

// The character at `at` < size, a soft wrap being a space.
Unit unit_at(const SentenceText& t, size_t at) {
    const CodePoint c = decode(t.text + at);
    uint8_t kind = record_of(c.value).sentence_break;
    size_t end = at + c.length;
    if (is_separator(kind)) {
        if (kind == kCR && end < t.size && t.text[end] == '\n') ++end;
        const size_t begin = kind == kLF && at > 0 && t.text[at - 1] == '\r' ? at - 1 : at;
        if (kind == kSep || !is_soft_wrap(t, begin, end)) return {kind, end};
        kind = kSp;
    }
    while (end < t.size && t.text[end] >= 0x80) {  // nothing in ASCII is Extend or Format
        const CodePoint next = decode(t.text + end);
        if (!is_ignored(record_of(next.value).sentence_break)) break;
        end += next.length;
    }
    return {kind, end};
}

uint8_t class_before(const SentenceText& t, size_t at) {
    while (at > 0) {
        do --at;
        while (is_continuation(t.text[at]));
        const uint8_t kind = record_at(t.text + at).sentence_break;
        if (!is_ignored(kind)) return kind;
    }
    return kOther;
}

// SB8: a Lowercase letter comes before any other letter, line break or terminator.
bool continues_in_lowercase(const SentenceText& t, size_t at) {
    while (at < t.size) {
        const Unit unit = unit_at(t, at);
        if (unit.kind == kLower) return true;
        if (unit.kind == kOLetter || unit.kind == kUpper || is_separator(unit.kind) || is_terminator(unit.kind))
            return false;
        at = unit.end;
    }
    return false;
}

size_t boundary_from_terminator(const SentenceText& t, size_t at) {
    const Unit terminator = unit_at(t, at);
    size_t next = terminator.end;
    if (next == t.size) return kNoBoundary;
    const bool ambiguous = terminator.kind == kATerm;
    Unit unit = unit_at(t, next);
    if (ambiguous) {
        if (unit.kind == kNumeric) return kNoBoundary;  // SB6
        if (unit.kind == kUpper) {                      // SB7
            const uint8_t before = class_before(t, at);
            if (before == kUpper || before == kLower) return kNoBoundary;
        }
    }
    for (const uint8_t skipped : {uint8_t{kClose}, uint8_t{kSp}}) {  // SB9 SB10
        while (unit.kind == skipped) {
            next = unit.end;
            if (next == t.size) return kNoBoundary;
            unit = unit_at(t, next);
        }
    }
    if (is_separator(unit.kind)) return kNoBoundary;                                 // SB4 will break behind it
    if (unit.kind == kSContinue || is_terminator(unit.kind)) return kNoBoundary;     // SB8a
    if (ambiguous && continues_in_lowercase(t, next)) return kNoBoundary;            // SB8
    return next;                                                                     // SB11
}

size_t boundary_from_separator(const SentenceText& t, size_t at) {
    const Unit unit = unit_at(t, at);
    if (!is_separator(unit.kind) || unit.end == t.size) return kNoBoundary;  // a soft wrap, or SB2
    // Of CR LF, the LF brings the boundary about, so that each is asked once and answers once.
    if (unit.kind == kCR && unit.end == at + 2) return kNoBoundary;
    return unit.end;  // SB3 SB4
}

}  // namespace

bool may_end_sentence(uint8_t kind) { return is_terminator(kind) || is_separator(kind); }

size_t sentence_boundary_from(const SentenceText& t, size_t at) {
    return is_terminator(record_at(t.text + at).sentence_break) ? boundary_from_terminator(t, at)
                                                                : boundary_from_separator(t, at);
}

}  // namespace textassay::unicode
