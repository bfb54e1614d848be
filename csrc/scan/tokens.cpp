// How it works. A chunk of 64 x 64 bytes becomes bit masks: one bit a byte, by the character's role in UAX #29 word
// segmentation. Non-ASCII characters are labelled one by one; all bytes of a character carry its label, and what WB4 ignores
// (Extend, Format, ZWJ) takes over the label of what it follows. Words and nearly all sentence ends are then a matter of shifts
// (kernels/byte_kernels.hpp). Where a chunk holds something that the masks can't express (label Irregular and a few
// neighbourhoods), the code-point segmentation of unicode/words.cpp takes over from the last sure boundary until the end of the
// chunk.
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

Tokenizer::Tokenizer() : kernels_(&kernels::active()), masks_{}, word_masks_{}, sentence_masks_{} {
    starts_.resize(kChunkBytes + 2 * kPadding);
    ends_.resize(kChunkBytes + 2 * kPadding);
}

void Tokenizer::begin(const uint8_t* text, size_t size, TokenKind kind) {
    text_ = text;
    size_ = size;
    kind_ = kind == TokenKind::kId ? TokenKind::kWord : kind;
    at_ = 0;
    done_ = false;
    forget_last_byte();
    word_open_ = false;
    last_end_ = 0;
    run_begin_ = run_end_ = 0;
    words_ = sentence_base_ = 0;
    boundaries_.clear();
    continuation_bytes_ = invisible_ = 0;
    auto* lengths = sentences.lengths;
    sentences = {};
    sentences.lengths = lengths;
    kernels_ = &kernels::active();
    folded_at_ = 0;
    pairs_size_ = last_word_ = 0;
}

bool Tokenizer::next(TokenChunk& chunk) {
    if (done_) return false;
    high_.clear();
    if (at_ == size_) {
        finish_text(chunk);
        if (kind_ == TokenKind::kBigram) bigrams_chunk(chunk);
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
    if (kind_ == TokenKind::kBigram) bigrams_chunk(chunk);
    else if (kind_ != TokenKind::kWord) units_chunk(begin, chunk);
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

// Pairs of neighbouring words in place of the words, the first with the last one of the chunk before.
void Tokenizer::bigrams_chunk(TokenChunk& chunk) {
    pairs_.resize(pairs_size_);
    pairs_.erase(pairs_.begin(), pairs_.begin() + static_cast<ptrdiff_t>(last_word_));
    last_word_ = 0;
    pair_starts_.clear();
    pair_ends_.clear();
    for (size_t i = 0; i < chunk.size; ++i) {
        if (!pairs_.empty()) {
            pair_starts_.push_back(static_cast<uint32_t>(last_word_));
            pairs_.push_back(' ');
            last_word_ = pairs_.size();
        }
        pairs_.insert(pairs_.end(), chunk.bytes + chunk.starts[i], chunk.bytes + chunk.ends[i]);
        if (pair_ends_.size() < pair_starts_.size()) pair_ends_.push_back(static_cast<uint32_t>(pairs_.size()));
    }
    pairs_size_ = pairs_.size();
    pairs_.resize(pairs_size_ + kPadding);
    chunk.bytes = pairs_.data();
    chunk.starts = pair_starts_.data();
    chunk.ends = pair_ends_.data();
    chunk.size = pair_starts_.size();
}

// What is still open ends with the text.
void Tokenizer::finish_text(TokenChunk& chunk) {
    done_ = true;
    const uint32_t offset = static_cast<uint32_t>(at_ - folded_at_);
    chunk = {folded_.data(), starts_.data(), ends_.data(), 0, high_.data(), 0, nullptr, offset};
    if (word_open_) {
        starts_[0] = open_start_ - offset;
        ends_[0] = static_cast<uint32_t>(size_) - offset;
        chunk.size = kind_ == TokenKind::kWord || kind_ == TokenKind::kBigram;
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

// Behind the word that is open, which stays in one piece; now and then it moves to the front, so that little memory is touched.
void Tokenizer::place_folded_chunk() {
    const size_t open = word_open_ ? at_ - open_start_ : 0;
    if (open == 0) {
        folded_at_ = 0;
    } else if (folded_at_ >= 4 * kChunkBytes && open <= kChunkBytes) {
        std::memmove(folded_.data(), folded_.data() + folded_at_ - open, open);
        folded_at_ = open;
    }
    if (folded_.size() < folded_at_ + kChunkBytes + 2 * kPadding)
        folded_.resize(2 * (folded_at_ + kChunkBytes + 2 * kPadding));
}

void Tokenizer::classify_chunk() {
    const uint8_t* from = text_ + at_;
    place_folded_chunk();
    uint8_t* const folded = folded_.data() + folded_at_;
    chunk_bytes_ = std::min(size_ - at_, kChunkBytes);
    blocks_ = (chunk_bytes_ + 63) / 64;
    const size_t whole = (size_ - at_) / 64 >= blocks_ ? blocks_ : blocks_ - 1;
    has_high_ = kernels_->classify(from, 0, whole, masks_, folded);
    if (whole < blocks_) {  // the text's last bytes: padded with NUL, which is in no mask
        uint8_t last[64] = {};
        std::memcpy(last, from + 64 * whole, chunk_bytes_ - 64 * whole);
        has_high_ |= kernels_->classify(last, whole, 1, masks_, folded + 64 * whole);
    }
    if (at_ + chunk_bytes_ < size_) end_chunk_at_boundary();
    blocks_ = (chunk_bytes_ + 63) / 64;
    clear_behind_chunk();
    std::fill_n(word_masks_.single_start + 1, blocks_, 0);
    std::fill_n(word_masks_.katakana + 1, blocks_ + 1, 0);
    std::fill_n(word_masks_.single + 1, blocks_ + 1, 0);
}

// Leaves to the next chunk a character that this one cuts, and a mark whose right neighbour it doesn't hold.
void Tokenizer::end_chunk_at_boundary() {
    const uint8_t* from = text_ + at_;
    while (unicode::is_continuation(from[chunk_bytes_])) --chunk_bytes_;
    const size_t last = chunk_bytes_ - 1, row = 1 + last / 64;
    if ((masks_.mid_letter[row] | masks_.mid_number[row]) >> (last % 64) & 1) --chunk_bytes_;
}

void Tokenizer::clear_behind_chunk() {
    auto* rows = reinterpret_cast<kernels::MaskRow*>(&masks_);
    const uint64_t inside = low_bits(chunk_bytes_ - 64 * (blocks_ - 1));
    for (size_t r = 0; r < sizeof(masks_) / sizeof(kernels::MaskRow); ++r) {
        rows[r][blocks_] &= inside;
        rows[r][blocks_ + 1] = 0;
    }
}

// The rows that look back over the border of a chunk.
std::array<kernels::MaskRow*, 9> Tokenizer::carried_rows() {
    return {&masks_.letter,      &masks_.number,              &masks_.connector,
            &masks_.mid_letter,  &masks_.mid_number,          &word_masks_.katakana,
            &word_masks_.single, &word_masks_.live_connector, &word_masks_.joined};
}

// To where the next chunk's left shifts find it.
void Tokenizer::carry_last_byte() {
    const unsigned last = static_cast<unsigned>((chunk_bytes_ - 1) % 64);
    for (kernels::MaskRow* row : carried_rows()) (*row)[0] = (*row)[blocks_] >> last << 63;
}

void Tokenizer::forget_last_byte() {
    for (kernels::MaskRow* row : carried_rows()) (*row)[0] = 0;
}

void Tokenizer::set_label(uint8_t l, size_t block, unsigned bit, unsigned length, bool begins) {
    const uint64_t run = low_bits(length);
    const uint64_t here = run << bit, beyond = bit + length > 64 ? run >> (64 - bit) : 0;
    const auto set = [&](kernels::MaskRow& row) {
        row[1 + block] |= here;
        row[2 + block] |= beyond;
    };
    switch (l) {
        case label::kLetter:
        case label::kHebrewLetter: set(masks_.letter); break;
        case label::kNumber: set(masks_.number); break;
        case label::kConnector: set(masks_.connector); break;
        case label::kKatakana: set(word_masks_.katakana); break;
        case label::kSingle:
            set(word_masks_.single);
            if (begins) word_masks_.single_start[1 + block] |= uint64_t{1} << bit;
            break;
        default: break;
    }
}

// The label of the byte before; kMidBoth for an ASCII mark that may join.
uint8_t Tokenizer::label_before(size_t block, unsigned bit) const {
    const size_t row = bit == 0 ? block : 1 + block;
    const unsigned shift = (bit + 63) & 63;
    if (masks_.letter[row] >> shift & 1) return label::kLetter;
    if (masks_.number[row] >> shift & 1) return label::kNumber;
    if (masks_.connector[row] >> shift & 1) return label::kConnector;
    if (word_masks_.katakana[row] >> shift & 1) return label::kKatakana;
    if (word_masks_.single[row] >> shift & 1) return label::kSingle;
    return (masks_.mid_letter[row] | masks_.mid_number[row]) >> shift & 1 ? label::kMidBoth : label::kNone;
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
        uint64_t bits = masks_.high[1 + block] & ~cut;
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
                unicode::encode(c.value + static_cast<uint32_t>(record.fold_delta), folded_.data() + folded_at_ + (at - at_));
            if (unicode::may_end_sentence(record.sentence_break)) masks_.stop[1 + block] |= uint64_t{1} << bit;
        }
    }
    return true;
}

void Tokenizer::find_live_connectors() {
    uint64_t any = 0;
    for (size_t b = 1; b <= blocks_; ++b) any |= masks_.connector[b];
    kernels::MaskRow& live = word_masks_.live_connector;
    if (any == 0) {
        std::fill_n(live + 1, blocks_, 0);
        return;
    }
    for (size_t block = 0; block < blocks_; ++block) live[1 + block] = masks_.connector[1 + block] != 0 ? live_connectors(block) : 0;
}

// Whether a run of connectors that goes on at `at` (perhaps inside a character) reaches a letter, number or Katakana. Of a run that
// goes on and on every block asks: it is read once.
bool Tokenizer::connectors_reach_word(size_t at) {
    if (at >= run_begin_ && at < run_end_) return run_reaches_word_;
    run_begin_ = at;
    run_reaches_word_ = false;
    while (at < size_ && unicode::is_continuation(text_[at])) ++at;
    while (at < size_) {
        const CodePoint c = decode(text_ + at);
        const uint8_t l = record_of(c.value).label;
        if (l != label::kConnector && !is_attached(l)) {
            run_reaches_word_ = is_word_label(l) && l != label::kSingle;
            break;
        }
        at += c.length;
    }
    run_end_ = at;
    return run_reaches_word_;
}

// Connectors (underscores) that belong to a word: those in a run that touches a letter, number or Katakana.
uint64_t Tokenizer::live_connectors(size_t block) {
    const size_t valid = std::min<size_t>(64, chunk_bytes_ - 64 * block), row = 1 + block;
    const auto near = [&](size_t r) { return masks_.letter[r] | masks_.number[r] | word_masks_.katakana[r]; };
    const uint64_t connector = masks_.connector[row];
    uint64_t right = near(row + 1) & 1;
    if (block + 1 == blocks_ && connector >> (valid - 1) & 1) {
        const uint8_t ahead = label_at(text_, size_, at_ + chunk_bytes_);
        right = is_letter(ahead) || ahead == label::kNumber || ahead == label::kKatakana;
    }
    const uint64_t touching = connector & (near(row) << 1 | near(row - 1) >> 63 | near(row) >> 1 | right << (valid - 1));
    const bool enters = masks_.connector[row - 1] >> 63 && (connector & 1);
    if (touching == connector && !enters) return connector;
    uint64_t live = 0;
    for (uint64_t rest = connector; rest != 0;) {
        const unsigned begin = static_cast<unsigned>(__builtin_ctzll(rest));
        const uint64_t behind = ~(rest >> begin);
        const unsigned length = behind == 0 ? 64 : static_cast<unsigned>(__builtin_ctzll(behind));
        const uint64_t run = low_bits(length) << begin;
        bool is_live = (run & touching) != 0 || (begin == 0 && enters && word_masks_.live_connector[row - 1] >> 63);
        if (!is_live && begin + length >= valid)
            is_live = connectors_reach_word(at_ + 64 * block + valid);
        if (is_live) live |= run;
        rest &= ~run;
    }
    return live;
}

void Tokenizer::find_sentence_ends() {
    kernels_->find_sentence_ends(masks_, blocks_, sentence_masks_);
    kernels::MaskRow& boundary = sentence_masks_.boundary;
    const size_t valid = chunk_bytes_ - 64 * (blocks_ - 1);
    uint64_t beyond = valid == 64 ? boundary[blocks_ + 1] : boundary[blocks_] >> valid | boundary[blocks_ + 1] << (64 - valid);
    boundary[blocks_] &= low_bits(valid);
    for (; beyond != 0; beyond &= beyond - 1)
        boundaries_.push(at_ + chunk_bytes_ + static_cast<size_t>(__builtin_ctzll(beyond)));
    for (size_t block = 0; block < blocks_; ++block) ask_sentence_rules(block, sentence_masks_.undecided[1 + block]);
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
        sentence_masks_.boundary[1 + (boundary - at_) / 64] |= uint64_t{1} << (boundary - at_) % 64;
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
    const kernels::MaskRow &boundary = sentence_masks_.boundary, &word = word_masks_.word, &start = word_masks_.start;
    uint64_t inside_words = 0;
    for (size_t b = 1; b <= blocks_; ++b) inside_words |= boundary[b] & word[b] & ~start[b];
    if (inside_words != 0) return close_sentences_one_by_one();
    const size_t ends = kernels_->ranks(boundary + 1, start + 1, blocks_, ranks_);
    if (ends == 0) return;
    close_sentence(words_ + ranks_[0], 0);
    sentences.add_between(ranks_, ends);
    sentence_base_ = words_ + ranks_[ends - 1];
}

// As above, where some boundary falls inside a word.
void Tokenizer::close_sentences_one_by_one() {
    size_t word_begin = entering_start_;
    for (size_t b = 0; b < blocks_; ++b) {
        const uint64_t start = word_masks_.start[1 + b], inside = word_masks_.word[1 + b] & ~start;
        for (uint64_t bits = sentence_masks_.boundary[1 + b]; bits != 0; bits &= bits - 1) {
            const size_t bit = static_cast<size_t>(__builtin_ctzll(bits));
            const size_t boundary = at_ + 64 * b + bit;
            if (word_open_ && boundary > open_start_) {
                boundaries_.push(boundary);  // the word may yet prove irregular
                continue;
            }
            const uint64_t started = start & low_bits(bit);
            const int64_t before = words_ + starts_before_[b] + __builtin_popcountll(started);
            if (inside >> bit & 1) {
                const size_t begin = started != 0 ? at_ + 64 * b + 63 - static_cast<size_t>(__builtin_clzll(started)) : word_begin;
                close_sentence_inside_word(begin, boundary, before);
            } else {
                close_sentence(before, 0);
            }
        }
        if (start != 0) word_begin = at_ + 64 * b + 63 - static_cast<size_t>(__builtin_clzll(start));
    }
}

void Tokenizer::mask_chunk(TokenChunk& chunk) {
    find_live_connectors();
    kernels_->find_words(masks_, blocks_, word_masks_);
    word_masks_.end[blocks_] &= low_bits(chunk_bytes_ - 64 * (blocks_ - 1));
    find_sentence_ends();
    const uint32_t base = static_cast<uint32_t>(folded_at_), offset = static_cast<uint32_t>(at_ - folded_at_);
    const size_t open_before = word_open_;
    if (open_before) starts_[0] = open_start_ - offset;
    entering_start_ = open_start_;
    const size_t begun = kernels_->positions(word_masks_.start + 1, blocks_, base, starts_.data() + open_before, starts_before_);
    const size_t ended = kernels_->positions(word_masks_.end + 1, blocks_, base, ends_.data(), ends_before_);
    const size_t starts = open_before + begun;
    word_open_ = starts > ended;
    if (word_open_) open_start_ = starts_[starts - 1] + offset;
    if (ended > 0) last_end_ = ends_[ended - 1] + offset;
    close_sentences_in_chunk();
    words_ += static_cast<int64_t>(begun);
    carry_last_byte();
    at_ += chunk_bytes_;
    folded_at_ += chunk_bytes_;
    chunk = {folded_.data(), starts_.data(), ends_.data(), ended, nullptr, 0, nullptr, offset};
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
    forget_last_byte();
    const size_t words = starts_.size();
    irregular_.resize(irregular_.size() + kPadding);
    starts_.resize(std::max(words, kChunkBytes + 2 * kPadding));
    ends_.resize(std::max(words, kChunkBytes + 2 * kPadding));
    chunk = {irregular_.data(), starts_.data(), ends_.data(), words, nullptr, 0, irregular_sources_.data(), 0};
}

}  // namespace textassay
