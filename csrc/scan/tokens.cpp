// How it works. A chunk of 64 x 64 bytes becomes bit masks: one bit a byte, by the character's role in UAX #29 word
// segmentation. Non-ASCII characters are labelled one by one; all bytes of a character carry its label, and what WB4 ignores
// (Extend, Format, ZWJ) takes over the label of what it follows. Words are then a matter of shifts:
//
//   text     I t ' s   3 . 5   a _ b .
//   letter   1 1 . 1 . . . . . 1 . 1 .
//   number   . . . . . 1 . 1 . . . . .
//   joined   1 1 1 1 . 1 1 1 . 1 1 1 .     letters, numbers, live connectors, and marks between two of a kind
//   start    1 . . . . 1 . . . 1 . . .
//   end      . . . . 1 . . . 1 . . . 1
//
// Katakana joins only Katakana and connectors; a Single (ideograph, Hiragana, Thai) is a word of its own.
// Where a chunk holds something that the masks can't express (label Irregular and a few neighbourhoods), the code-point
// segmentation of unicode/words.cpp takes over from the last sure boundary until the end of the chunk.
#include "tokens.hpp"

#include <algorithm>
#include <cstring>

#include "code_point.hpp"
#include "sentences.hpp"
#include "words.hpp"

namespace textassay {

namespace {

using unicode::CodePoint;
using unicode::decode;
using unicode::Record;
using unicode::record_at;
using unicode::record_of;
namespace label = unicode::label;
namespace flag = unicode::flag;

constexpr size_t kPadding = 64;

bool is_word_label(uint8_t l) {
    return l == label::kLetter || l == label::kNumber || l == label::kKatakana || l == label::kHebrewLetter ||
           l == label::kConnector || l == label::kSingle;
}
bool is_attached(uint8_t l) { return l == label::kAttached || l == label::kJoiner; }
bool is_letter(uint8_t l) { return l == label::kLetter || l == label::kHebrewLetter; }

uint8_t label_at(const uint8_t* text, size_t size, size_t at) {
    return at < size ? record_at(text + at).label : uint8_t{label::kNone};
}

// Whether a run of connectors that goes on at `at` (perhaps inside a character) reaches a letter, number or Katakana.
bool connectors_reach_word(const uint8_t* text, size_t size, size_t at) {
    while (at < size && unicode::is_continuation(text[at])) ++at;
    while (at < size) {
        const CodePoint c = decode(text + at);
        const uint8_t l = record_of(c.value).label;
        if (l != label::kConnector && !is_attached(l)) return is_word_label(l) && l != label::kSingle;
        at += c.length;
    }
    return false;
}

bool holds_letter_or_number(const uint8_t* text, size_t begin, size_t end) {
    while (begin < end) {
        const CodePoint c = decode(text + begin);
        if (record_of(c.value).flags & flag::kLetterOrNumber) return true;
        begin += c.length;
    }
    return false;
}

uint64_t low_bits(size_t count) { return count >= 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1; }

}  // namespace

Tokenizer::Tokenizer() : kernels_(&kernels::active()) {
    starts_.resize(kChunkBytes + 2 * kPadding);
    ends_.resize(kChunkBytes + 2 * kPadding);
}

void Tokenizer::begin(const uint8_t* text, size_t size, TokenKind kind) {
    text_ = text;
    size_ = size;
    kind_ = kind;
    at_ = 0;
    done_ = false;
    carry_ = {};
    word_open_ = false;
    last_end_ = 0;
    words_ = sentence_base_ = 0;
    boundaries_.clear();
    continuation_bytes_ = invisible_ = 0;
    auto* lengths = sentences.lengths;
    sentences = {};
    sentences.lengths = lengths;
    kernels_ = &kernels::active();
    if (folded_.size() < size + 2 * kPadding) folded_.resize(size + size / 2 + 2 * kPadding);
}

bool Tokenizer::next(TokenChunk& chunk) {
    if (done_) return false;
    high_.clear();
    if (at_ == size_) {
        finish_text(chunk);
        return true;
    }
    const size_t begin = at_;
    classify_chunk();
    chunk_continuation_bytes_ = chunk_invisible_ = 0;
    const bool regular = !has_high_ || label_high_characters();
    if (!regular) {
        high_.clear();
        irregular_region(chunk);
    } else {
        continuation_bytes_ += chunk_continuation_bytes_;
        invisible_ += chunk_invisible_;
        mask_chunk(chunk);
    }
    if (kind_ != TokenKind::kWord) units_chunk(begin, chunk);
    chunk.high_characters = high_.data();
    chunk.high_characters_size = high_.size();
    return true;
}

// Bytes or code points of text_[begin, at_) in place of the words.
void Tokenizer::units_chunk(size_t begin, TokenChunk& chunk) {
    units_.assign(text_ + begin, text_ + at_);
    units_.resize(units_.size() + kPadding);
    unit_offsets_.clear();
    const uint32_t size = static_cast<uint32_t>(at_ - begin);
    for (uint32_t i = 0; i < size; i += kind_ == TokenKind::kByte ? 1 : decode(units_.data() + i).length)
        unit_offsets_.push_back(i);
    unit_offsets_.push_back(size);
    chunk.bytes = units_.data();
    chunk.starts = unit_offsets_.data();
    chunk.ends = unit_offsets_.data() + 1;
    chunk.size = unit_offsets_.size() - 1;
}

// What is still open ends with the text.
void Tokenizer::finish_text(TokenChunk& chunk) {
    done_ = true;
    chunk = {folded_.data(), starts_.data(), ends_.data(), 0, high_.data(), 0, nullptr};
    if (word_open_) {
        starts_[0] = open_start_;
        ends_[0] = static_cast<uint32_t>(size_);
        chunk.size = kind_ == TokenKind::kWord;
        while (!boundaries_.empty()) {
            close_sentence_inside_word(open_start_, boundaries_.front(), words_);
            boundaries_.pop_front();
        }
    }
    close_sentence(words_, 0);
}

void Tokenizer::close_sentence(int64_t words_so_far, int64_t words_already_in_next) {
    sentences.add(static_cast<uint64_t>(words_so_far - sentence_base_));
    sentence_base_ = words_so_far - words_already_in_next;
}

// A boundary inside the last of `words_so_far` words, which begins at `begin`. What is left of the boundary is a word of its own if
// there is a letter or number in it (U+202F is a connector that ends sentences); what is right of it always is.
void Tokenizer::close_sentence_inside_word(size_t begin, size_t boundary, int64_t words_so_far) {
    if (holds_letter_or_number(text_, begin, boundary)) {
        close_sentence(words_so_far, 1);
    } else {
        close_sentence(words_so_far - 1, 0);
    }
}

void Tokenizer::classify_chunk() {
    const uint8_t* from = text_ + at_;
    chunk_bytes_ = std::min(size_ - at_, kChunkBytes);
    blocks_ = (chunk_bytes_ + 63) / 64;
    const size_t whole = (size_ - at_) / 64 >= blocks_ ? blocks_ : blocks_ - 1;
    has_high_ = kernels_->classify(from, whole, masks_, folded_.data() + at_);
    if (whole < blocks_) {  // the text's last bytes: padded with NUL, which is in no mask
        uint8_t last[64] = {};
        std::memcpy(last, from + 64 * whole, chunk_bytes_ - 64 * whole);
        has_high_ |= kernels_->classify(last, 1, masks_ + whole, folded_.data() + at_ + 64 * whole);
    }
    if (at_ + chunk_bytes_ < size_) end_chunk_at_boundary();
    blocks_ = (chunk_bytes_ + 63) / 64;
    std::fill_n(katakana_, blocks_ + 1, 0);
    std::fill_n(single_, blocks_ + 1, 0);
    std::fill_n(single_start_, blocks_ + 1, 0);
    if (chunk_bytes_ % 64 != 0) masks_[blocks_ - 1].high &= low_bits(chunk_bytes_ % 64);
}

// Leaves to the next chunk a character that this one cuts, and a mark whose right neighbour it doesn't hold.
void Tokenizer::end_chunk_at_boundary() {
    const uint8_t* from = text_ + at_;
    while (unicode::is_continuation(from[chunk_bytes_])) --chunk_bytes_;
    const size_t last = chunk_bytes_ - 1;
    const kernels::BlockMasks& m = masks_[last / 64];
    if ((m.mid_letter | m.mid_number) >> (last % 64) & 1) --chunk_bytes_;
}

void Tokenizer::set_label(uint8_t l, size_t block, unsigned bit, unsigned length, bool begins) {
    const uint64_t run = low_bits(length);
    const uint64_t here = run << bit, beyond = bit + length > 64 ? run >> (64 - bit) : 0;
    const auto set = [&](uint64_t& mask, uint64_t& next) {
        mask |= here;
        next |= beyond;  // element blocks_ of the arrays is room for this
    };
    switch (l) {
        case label::kLetter:
        case label::kHebrewLetter: set(masks_[block].letter, masks_[block + 1].letter); break;
        case label::kNumber: set(masks_[block].number, masks_[block + 1].number); break;
        case label::kConnector: set(masks_[block].connector, masks_[block + 1].connector); break;
        case label::kKatakana: set(katakana_[block], katakana_[block + 1]); break;
        case label::kSingle:
            set(single_[block], single_[block + 1]);
            if (begins) single_start_[block] |= uint64_t{1} << bit;
            break;
        default: break;
    }
}

// The label of the byte before; kMidBoth for an ASCII mark that may join.
uint8_t Tokenizer::label_before(size_t block, unsigned bit) const {
    if (block == 0 && bit == 0) {
        if (carry_.letter) return label::kLetter;
        if (carry_.number) return label::kNumber;
        if (carry_.connector) return label::kConnector;
        if (carry_.katakana) return label::kKatakana;
        if (carry_.single) return label::kSingle;
        return carry_.mid ? label::kMidBoth : label::kNone;
    }
    const size_t b = bit == 0 ? block - 1 : block;
    const unsigned shift = (bit + 63) & 63;
    const kernels::BlockMasks& m = masks_[b];
    if (m.letter >> shift & 1) return label::kLetter;
    if (m.number >> shift & 1) return label::kNumber;
    if (m.connector >> shift & 1) return label::kConnector;
    if (katakana_[b] >> shift & 1) return label::kKatakana;
    if (single_[b] >> shift & 1) return label::kSingle;
    return (m.mid_letter | m.mid_number) >> shift & 1 ? label::kMidBoth : label::kNone;
}

// A non-ASCII mark such as U+2019 between two letters or two numbers takes their label. False: the masks can't tell.
bool Tokenizer::resolve_mid(uint8_t l, size_t at, unsigned length, uint8_t before, uint8_t& resolved) const {
    resolved = label::kNone;
    const bool after_letter = before == label::kLetter && l != label::kMidNumber;
    const bool after_number = before == label::kNumber && l != label::kMidLetter;
    if (!after_letter && !after_number) return true;
    const uint8_t ahead = label_at(text_, size_, at + length);
    if (is_attached(ahead) || ahead == label::kIrregular) return false;
    if (after_letter && is_letter(ahead)) resolved = label::kLetter;
    if (after_number && ahead == label::kNumber) resolved = label::kNumber;
    return true;
}

bool Tokenizer::takes_variation_selector(uint32_t selector, size_t at) const {
    if (at == 0) return false;
    size_t before = at;
    do --before;
    while (unicode::is_continuation(text_[before]));
    const uint32_t base = decode(text_ + before).value;
    const uint8_t flags = record_of(base).flags;
    if (selector == 0xFE0E || selector == 0xFE0F) return flags & flag::kEmoji;
    if (selector >= 0xE0100) return flags & flag::kOtherLetter;
    if (selector >= 0xFE00) return flags & (flag::kLetterOrNumber | flag::kSymbol);
    return base >= 0x1800 && base <= 0x18AF;  // Mongolian selectors
}

void Tokenizer::note_high_character(uint32_t value, uint32_t length, uint8_t flags, size_t at) {
    high_.push_back(value);
    chunk_continuation_bytes_ += length - 1;
    if (flags & (flag::kInvisible | flag::kVariationSelector))
        chunk_invisible_ += flags & flag::kInvisible || !takes_variation_selector(value, at);
}

bool Tokenizer::label_high_characters() {
    uint64_t cut = 0;  // bits of the next block that belong to a character already done
    for (size_t block = 0; block < blocks_; ++block) {
        uint64_t bits = masks_[block].high & ~cut;
        cut = 0;
        while (bits != 0) {
            const unsigned bit = static_cast<unsigned>(__builtin_ctzll(bits));
            const size_t at = at_ + 64 * block + bit;
            const CodePoint c = decode(text_ + at);
            const Record& record = record_of(c.value);
            bits &= ~(low_bits(c.length) << bit);
            if (bit + c.length > 64) cut = low_bits(bit + c.length - 64);
            uint8_t l = record.label;
            bool begins = true;
            switch (l) {
                case label::kIrregular: return false;
                case label::kHebrewLetter: {
                    const size_t end = at + c.length;
                    size_t next = end;
                    while (next < size_ && is_attached(label_at(text_, size_, next))) next += decode(text_ + next).length;
                    if (next < size_ && (text_[next] == '\'' || text_[next] == '"')) return false;  // WB7a-c
                    break;
                }
                case label::kJoiner:
                case label::kAttached: {
                    const uint8_t before = label_before(block, bit);
                    if (before == label::kMidBoth) return false;
                    if (l == label::kJoiner && at + c.length < size_) {  // WB3c
                        const Record& ahead = record_at(text_ + at + c.length);
                        if (ahead.flags & flag::kExtendedPictographic &&
                            (is_word_label(before) || is_word_label(ahead.label) || ahead.label == label::kIrregular))
                            return false;
                    }
                    l = before;
                    begins = false;
                    break;
                }
                case label::kMidLetter:
                case label::kMidNumber:
                case label::kMidBoth:
                    if (!resolve_mid(record.label, at, c.length, label_before(block, bit), l)) return false;
                    break;
                default: break;
            }
            set_label(l, block, bit, c.length, begins);
            note_high_character(c.value, c.length, record.flags, at);
            if (record.fold_delta != 0)
                unicode::encode(c.value + static_cast<uint32_t>(record.fold_delta), folded_.data() + at);
            if (unicode::may_end_sentence(record.sentence_break)) masks_[block].stop |= uint64_t{1} << bit;
        }
    }
    return true;
}

// Connectors (underscores) that belong to a word: those in a run that touches a letter, number or Katakana.
// `near` are the words' bits of this block, `next_near` tells of the character behind the block's last.
uint64_t Tokenizer::live_connectors(size_t block, uint64_t near, uint64_t next_near) const {
    const size_t valid = std::min<size_t>(64, chunk_bytes_ - 64 * block);
    const uint64_t connector = masks_[block].connector;
    const uint64_t left_near = near << 1 | ((carry_.letter | carry_.number | carry_.katakana) & 1);
    const uint64_t touching = connector & (left_near | near >> 1 | (next_near & 1) << (valid - 1));
    const bool enters = carry_.connector && (connector & 1);
    if (touching == connector && !enters) return connector;
    uint64_t live = 0;
    for (uint64_t rest = connector; rest != 0;) {
        const unsigned begin = static_cast<unsigned>(__builtin_ctzll(rest));
        const uint64_t behind = ~(rest >> begin);
        const unsigned length = behind == 0 ? 64 : static_cast<unsigned>(__builtin_ctzll(behind));
        const uint64_t run = low_bits(length) << begin;
        bool is_live = (run & touching) != 0 || (begin == 0 && enters && carry_.live_connector);
        if (!is_live && begin + length >= valid)
            is_live = connectors_reach_word(text_, size_, at_ + 64 * block + valid);
        if (is_live) live |= run;
        rest &= ~run;
    }
    return live;
}

void Tokenizer::find_words() {
    for (size_t b = 0; b < blocks_; ++b) {
        const kernels::BlockMasks& m = masks_[b];
        const size_t valid = std::min<size_t>(64, chunk_bytes_ - 64 * b);
        const size_t beyond = at_ + 64 * b + valid;
        const uint64_t katakana = katakana_[b];
        uint64_t next_letter, next_number, next_near;
        if (b + 1 < blocks_) {
            next_letter = masks_[b + 1].letter;
            next_number = masks_[b + 1].number;
            next_near = next_letter | next_number | katakana_[b + 1];
        } else {
            const uint8_t ahead =
                m.connector >> (valid - 1) & 1 ? label_at(text_, size_, beyond) : uint8_t{label::kNone};
            next_letter = next_number = 0;  // nobody asks: a chunk that others follow doesn't end in a mark
            next_near = is_letter(ahead) || ahead == label::kNumber || ahead == label::kKatakana;
        }
        uint64_t joined = m.letter | m.number;
        joined |= m.mid_letter & (m.letter << 1 | carry_.letter) & (m.letter >> 1 | next_letter << 63);
        joined |= m.mid_number & (m.number << 1 | carry_.number) & (m.number >> 1 | next_number << 63);
        uint64_t connector = 0;
        if (m.connector != 0) {
            connector = live_connectors(b, m.letter | m.number | katakana, next_near);
            joined |= connector;
        }
        uint64_t continues = joined & (joined << 1 | carry_.joined);
        const uint64_t katakana_joined = katakana | connector;
        continues |= katakana_joined & (katakana_joined << 1 | carry_.katakana | carry_.live_connector);
        continues |= single_[b] & ~single_start_[b];
        const uint64_t word = joined | katakana | single_[b];
        const uint64_t inside = low_bits(valid);
        word_[b] = word & inside;
        start_[b] = word & ~continues & inside;
        end_[b] = (word << 1 | carry_.word) & ~continues & inside;
        const unsigned last = static_cast<unsigned>(valid - 1);
        carry_ = {m.letter >> last & 1,      m.number >> last & 1,
                  katakana >> last & 1,      m.connector >> last & 1,
                  single_[b] >> last & 1,   (m.mid_letter | m.mid_number) >> last & 1,
                  connector >> last & 1,     joined >> last & 1,
                  word >> last & 1};
    }
}

// Nearly all of English is decided by the few bytes behind a stop, for 64 stops at a time: line breaks between words, terminators
// before " A" or " a". Only the rest asks the rules. With n for LF:
//
//   text       e n d .   H e   s a i d n s o n N o ! "   S o
//   hard       . . . . . . . . . . . . . . . 1 . . . . . . .     LF: no space, so a boundary behind it (SB4)
//   nothing    . . . . . . . . . . . . 1 . . . . . . . . . .     a lone LF before a-z is a space; "3.5", "a.b", ".," and so on
//   spaced     . . . 1 . . . . . . . . . . . . . . . . . . .     a boundary behind the space (SB11)
//   closed     . . . . . . . . . . . . . . . . . . 1 . . . .     a boundary behind the mark and the space
void Tokenizer::find_sentence_ends() {
    using Mask = uint64_t kernels::BlockMasks::*;
    using Masks = kernels::BlockMasks;
    std::fill_n(boundary_, blocks_, 0);
    uint64_t from_left = 0, line_feeds_before = 0, returns_before = 0;
    for (size_t b = 0; b < blocks_; ++b) {
        static constexpr Masks kNothing{};
        const Masks& m = masks_[b];
        const Masks& n = b + 1 < blocks_ ? masks_[b + 1] : kNothing;
        const uint64_t inside = low_bits(chunk_bytes_ - 64 * b);
        // The bytes `distance` behind each byte that are of a kind. What lies two blocks on, or in the next chunk, is of none.
        const auto behind = [&](Mask kind, unsigned distance) { return m.*kind >> distance | n.*kind << (64 - distance); };
        const auto is_break = [&](unsigned distance) {
            return behind(&Masks::line_feed, distance) | behind(&Masks::return_, distance);
        };
        // ASCII only: letters and numbers beyond ASCII have been labelled meanwhile, but are not visible.
        const auto letter = [&](unsigned distance) {
            return behind(&Masks::letter, distance) & behind(&Masks::visible, distance);
        };
        const auto upper = [&](unsigned distance) { return letter(distance) & ~behind(&Masks::lower, distance); };

        // CR LF is one break, and its LF answers. The first two bytes of a chunk don't see what is before them.
        const uint64_t after_return = m.return_ << 1 | returns_before >> 63;
        const uint64_t before_break = (after_return & (m.line_feed << 2 | m.return_ << 2 | (line_feeds_before | returns_before) >> 62)) |
                                      (~after_return & (m.line_feed << 1 | line_feeds_before >> 63));
        const uint64_t line_feed = m.line_feed & ~uint64_t{b == 0 ? 3u : 0u};
        const uint64_t before_lower = behind(&Masks::lower, 1);
        const uint64_t wrapped = line_feed & ~before_break & before_lower;
        const uint64_t hard = line_feed & (before_break | is_break(1) | (behind(&Masks::visible, 1) & ~before_lower)) & inside;
        const uint64_t return_of_pair = m.return_ & behind(&Masks::line_feed, 1);

        // Behind a break, a lowercase letter makes it a space and goes on with the sentence (SB8, after "." only); a space
        // or a character beyond ASCII may, and must ask; all else lets the break end the sentence itself.
        const auto dot_goes_on = [&](unsigned distance) { return is_break(distance) | behind(&Masks::visible, distance); };
        const auto shout_goes_on = [&](unsigned distance) {
            return is_break(distance) | (behind(&Masks::visible, distance) & ~behind(&Masks::lower, distance));
        };
        const auto at_break = [&](unsigned distance, const auto& goes_on) {
            const uint64_t pair = behind(&Masks::return_, distance) & behind(&Masks::line_feed, distance + 1);
            return (behind(&Masks::line_feed, distance) & goes_on(distance + 1)) | (pair & goes_on(distance + 2));
        };
        const uint64_t before_close = behind(&Masks::close, 1), before_space = behind(&Masks::space, 1);
        const uint64_t before_stop = behind(&Masks::dot, 1) | behind(&Masks::shout, 1);
        const uint64_t second_stop = behind(&Masks::dot, 2) | behind(&Masks::shout, 2);
        const uint64_t second_space = behind(&Masks::space, 2), second_close = behind(&Masks::close, 2);
        const uint64_t closed_space = before_close & second_space;
        const uint64_t both = behind(&Masks::comma, 1) | before_stop | (before_space & second_stop);  // SB8a
        const uint64_t number = behind(&Masks::number, 1) & behind(&Masks::visible, 1);
        const uint64_t dot_nothing = both | before_lower | number | (before_space & behind(&Masks::lower, 2)) |
                                     (closed_space & behind(&Masks::lower, 3)) | at_break(1, dot_goes_on) |
                                     (before_close & at_break(2, dot_goes_on));
        const uint64_t shout_nothing = both | at_break(1, shout_goes_on) | (before_close & at_break(2, shout_goes_on));
        const uint64_t nothing = wrapped | return_of_pair | (m.dot & dot_nothing) | (m.shout & shout_nothing);
        const uint64_t spaced = ((m.dot & before_space & (upper(2) | (second_close & upper(3)))) |
                                 (m.shout & before_space & (letter(2) | (second_close & letter(3))))) &
                                inside;
        const uint64_t two_behind = closed_space | (before_space & second_space);
        const uint64_t closed = ((m.dot & two_behind & upper(3)) | (m.shout & two_behind & letter(3))) & inside;

        boundary_[b] |= from_left | hard << 1 | spaced << 2 | closed << 3;
        from_left = hard >> 63 | spaced >> 62 | closed >> 61;
        if (const uint64_t beyond = boundary_[b] & ~inside; beyond != 0) {  // of the chunk, whose last block is not full
            boundary_[b] &= inside;
            for (uint64_t bits = beyond; bits != 0; bits &= bits - 1)
                boundaries_.push(at_ + 64 * b + static_cast<size_t>(__builtin_ctzll(bits)));
        }
        line_feeds_before = m.line_feed;
        returns_before = m.return_;
        ask_sentence_rules(b, m.stop & inside & ~(hard | nothing | spaced | closed));
    }
    for (uint64_t bits = from_left; bits != 0; bits &= bits - 1)
        boundaries_.push(at_ + 64 * blocks_ + static_cast<size_t>(__builtin_ctzll(bits)));
}

void Tokenizer::ask_sentence_rules(size_t block, uint64_t stops) {
    for (; stops != 0; stops &= stops - 1) {
        const size_t at = at_ + 64 * block + static_cast<size_t>(__builtin_ctzll(stops));
        const size_t boundary = unicode::sentence_boundary_from({text_, size_, true}, at);
        if (boundary != unicode::kNoBoundary) note_boundary(boundary);
    }
}

void Tokenizer::note_boundary(size_t boundary) {
    if (boundary >= at_ + chunk_bytes_) {
        boundaries_.push(boundary);
    } else {
        boundary_[(boundary - at_) / 64] |= uint64_t{1} << (boundary - at_) % 64;
    }
}

// Closes the sentences that end in this chunk; words_ still counts up to the chunk's begin.
void Tokenizer::close_sentences_in_chunk() {
    while (!boundaries_.empty() && boundaries_.front() < at_) {  // inside the word that was open when the chunk began
        close_sentence_inside_word(entering_start_, boundaries_.front(), words_);
        boundaries_.pop_front();
    }
    while (!boundaries_.empty() && boundaries_.front() < at_ + chunk_bytes_) {
        note_boundary(boundaries_.front());
        boundaries_.pop_front();
    }
    uint64_t inside_words = 0;
    for (size_t b = 0; b < blocks_; ++b) inside_words |= boundary_[b] & word_[b] & ~start_[b];
    if (inside_words != 0) return close_sentences_one_by_one();
    const size_t ends = kernels_->ranks(boundary_, start_, blocks_, ranks_);
    for (size_t i = 0; i < ends; ++i) close_sentence(words_ + ranks_[i], 0);
}

// As above, where some boundary falls inside a word.
void Tokenizer::close_sentences_one_by_one() {
    size_t word_begin = entering_start_;
    for (size_t b = 0; b < blocks_; ++b) {
        for (uint64_t bits = boundary_[b]; bits != 0; bits &= bits - 1) {
            const size_t bit = static_cast<size_t>(__builtin_ctzll(bits));
            const size_t boundary = at_ + 64 * b + bit;
            if (word_open_ && boundary > open_start_) {
                boundaries_.push(boundary);  // the word may yet prove irregular
                continue;
            }
            const uint64_t started = start_[b] & low_bits(bit);
            const int64_t before = words_ + starts_before_[b] + __builtin_popcountll(started);
            if ((word_[b] & ~start_[b]) >> bit & 1) {
                const size_t begin = started != 0 ? at_ + 64 * b + 63 - static_cast<size_t>(__builtin_clzll(started)) : word_begin;
                close_sentence_inside_word(begin, boundary, before);
            } else {
                close_sentence(before, 0);
            }
        }
        if (start_[b] != 0) word_begin = at_ + 64 * b + 63 - static_cast<size_t>(__builtin_clzll(start_[b]));
    }
}

void Tokenizer::mask_chunk(TokenChunk& chunk) {
    find_words();
    find_sentence_ends();
    const uint32_t base = static_cast<uint32_t>(at_);
    const size_t open_before = word_open_;
    if (open_before) starts_[0] = open_start_;
    entering_start_ = open_start_;
    const size_t begun = kernels_->positions(start_, blocks_, base, starts_.data() + open_before, starts_before_);
    const size_t ended = kernels_->positions(end_, blocks_, base, ends_.data(), ends_before_);
    const size_t starts = open_before + begun;
    word_open_ = starts > ended;
    if (word_open_) open_start_ = starts_[starts - 1];
    if (ended > 0) last_end_ = ends_[ended - 1];
    close_sentences_in_chunk();
    words_ += static_cast<int64_t>(begun);
    at_ += chunk_bytes_;
    chunk = {folded_.data(), starts_.data(), ends_.data(), ended, nullptr, 0, nullptr};
}

void Tokenizer::emit_irregular_word(size_t begin, size_t end) {
    starts_.push_back(static_cast<uint32_t>(irregular_.size()));
    irregular_sources_.push_back(static_cast<uint32_t>(begin));
    irregular_sources_.push_back(static_cast<uint32_t>(end));
    while (begin < end) {
        const CodePoint c = decode(text_ + begin);
        uint8_t bytes[4];
        const uint32_t length =
            unicode::encode(c.value + static_cast<uint32_t>(record_of(c.value).fold_delta), bytes);
        irregular_.insert(irregular_.end(), bytes, bytes + length);
        begin += c.length;
    }
    ends_.push_back(static_cast<uint32_t>(irregular_.size()));
}

// Each piece of a word with a letter or number is a word of the sentence it lies in.
void Tokenizer::cut_word_by_sentences(size_t begin, size_t end) {
    const int64_t before = words_++;
    int64_t counted = 0;
    while (!boundaries_.empty() && boundaries_.front() < end) {
        const size_t boundary = boundaries_.front();
        boundaries_.pop_front();
        counted = holds_letter_or_number(text_, begin, boundary);
        sentences.add(static_cast<uint64_t>(before + counted - sentence_base_));
        sentence_base_ = before;
        begin = boundary;
    }
    if (!holds_letter_or_number(text_, begin, end)) sentence_base_ = words_;
}

// From the last sure boundary to the end of the chunk, code point by code point.
void Tokenizer::irregular_region(TokenChunk& chunk) {
    size_t begin = last_end_;
    if (word_open_) {
        begin = open_start_;
        --words_;
        word_open_ = false;
    }
    const size_t region_end = at_ + chunk_bytes_;
    const unicode::SentenceText sentence_text{text_, size_, true};
    size_t seen = at_;  // characters before were noted with the chunk before
    starts_.clear();
    ends_.clear();
    irregular_.clear();
    irregular_sources_.clear();
    chunk_continuation_bytes_ = chunk_invisible_ = 0;
    while (begin < region_end) {
        const unicode::WordSegment segment = unicode::next_word_segment(text_, size_, begin);
        while (seen < segment.end) {
            const CodePoint c = decode(text_ + seen);
            const Record& record = record_of(c.value);
            if (c.value >= 0x80) note_high_character(c.value, c.length, record.flags, seen);
            if (unicode::may_end_sentence(record.sentence_break)) {
                const size_t boundary = unicode::sentence_boundary_from(sentence_text, seen);
                if (boundary != unicode::kNoBoundary) boundaries_.push(boundary);
            }
            seen += c.length;
        }
        while (!boundaries_.empty() && (boundaries_.front() <= begin || (!segment.is_word && boundaries_.front() < segment.end))) {
            boundaries_.pop_front();
            close_sentence(words_, 0);
        }
        if (segment.is_word) {
            cut_word_by_sentences(begin, segment.end);
            emit_irregular_word(begin, segment.end);
            last_end_ = static_cast<uint32_t>(segment.end);
        }
        begin = segment.end;
    }
    continuation_bytes_ += chunk_continuation_bytes_;
    invisible_ += chunk_invisible_;
    at_ = begin;
    last_end_ = static_cast<uint32_t>(begin);  // a boundary, and nothing is open
    carry_ = {};
    const size_t words = starts_.size();
    irregular_.resize(irregular_.size() + kPadding);
    starts_.resize(std::max(words, kChunkBytes + 2 * kPadding));
    ends_.resize(std::max(words, kChunkBytes + 2 * kPadding));
    chunk = {irregular_.data(), starts_.data(), ends_.data(), words, nullptr, 0, irregular_sources_.data()};
}

}  // namespace textassay
