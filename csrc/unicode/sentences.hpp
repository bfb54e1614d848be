// UAX #29 sentence segmentation. A sentence can only end behind a terminator or a line break, so the rules are evaluated
// at those characters alone; whoever finds them (a loop, a bit mask) asks here whether and where the sentence ends.
#pragma once

#include <cstddef>
#include <cstdint>

namespace textassay::unicode {

inline constexpr size_t kNoBoundary = SIZE_MAX;

struct SentenceText {
    const uint8_t* text;  // valid UTF-8
    size_t size;
    // A lone line break before a Lowercase character counts as a space (METRICS, section 1).
    bool tailored;
};

// The sentence boundary that the character at `at` brings about: an ATerm, STerm, CR, LF or Sep. kNoBoundary if none, or
// if it is the end of the text, or if a later such character brings it about. Boundaries come in ascending order.
size_t sentence_boundary_from(const SentenceText& text, size_t at);

// Whether the character class (unicode::sentence_break) is one that sentence_boundary_from wants.
bool may_end_sentence(uint8_t sentence_break_class);

}  // namespace textassay::unicode
