// Text to words: spans of folded bytes, a chunk at a time, and sentence lengths on the way.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "byte_kernels.hpp"

namespace textassay {

// Ids come from a TextEncoder: of those a Tokenizer sees the words only.
enum class TokenKind : uint8_t { kWord, kByte, kChar, kBigram, kId };

// Words in consecutive order. Views: they live until the next call of Tokenizer::next or begin.
struct TokenChunk {
    const uint8_t* bytes;  // folded; at least 16 readable bytes behind every token
    const uint32_t* starts;
    const uint32_t* ends;
    size_t size;
    // Non-ASCII code points of this chunk's text.
    const uint32_t* high_characters;
    size_t high_characters_size;
    // Where the tokens lie in the text: pairs of begin and end; or if null, `source_offset` behind where they lie in `bytes`.
    const uint32_t* sources;
    uint32_t source_offset;

    int64_t source_begin(size_t i) const { return sources != nullptr ? sources[2 * i] : starts[i] + source_offset; }
    int64_t source_end(size_t i) const { return sources != nullptr ? sources[2 * i + 1] : ends[i] + source_offset; }
};

struct SentenceSums {
    uint64_t sentences = 0;
    uint64_t words = 0;               // sum of the sentence lengths
    unsigned __int128 squares = 0;    // sum of their squares
    std::vector<uint64_t>* lengths = nullptr;  // where to write each, if anybody wants them

    void add(uint64_t length) {
        if (length == 0) return;
        ++sentences;
        words += length;
        squares += static_cast<unsigned __int128>(length) * length;
        if (lengths != nullptr) lengths->push_back(length);
    }

    // Of sentences that end at these ascending words; at the first one another began. Without a branch a sentence.
    void add_between(const uint32_t* ends, size_t size) {
        if (lengths != nullptr) {
            for (size_t i = 1; i < size; ++i) add(ends[i] - ends[i - 1]);
            return;
        }
        uint64_t some = 0, sum_of_squares = 0;
        for (size_t i = 1; i < size; ++i) {
            const uint64_t length = ends[i] - ends[i - 1];
            some += length != 0;
            sum_of_squares += length * length;
        }
        sentences += some;
        words += ends[size - 1] - ends[0];
        squares += sum_of_squares;
    }
};

// Sentence boundaries found but not reached: first in, first out.
class BoundaryQueue {
   public:
    bool empty() const { return first_ == boundaries_.size(); }
    size_t front() const { return boundaries_[first_]; }
    // Stops ask in order, and nearly always answer in order.
    void push(size_t boundary) {
        boundaries_.push_back(boundary);
        for (size_t i = boundaries_.size() - 1; i > first_ && boundaries_[i] < boundaries_[i - 1]; --i)
            std::swap(boundaries_[i], boundaries_[i - 1]);
    }
    void pop_front() {
        if (++first_ == boundaries_.size()) clear();
    }
    void clear() {
        boundaries_.clear();
        first_ = 0;
    }

   private:
    std::vector<size_t> boundaries_;
    size_t first_ = 0;
};

class Tokenizer {
   public:
    Tokenizer();

    // `text` is valid UTF-8 of less than 4 GiB and stays in place until the last call of next().
    void begin(const uint8_t* text, size_t size, TokenKind kind);

    // Fills `chunk`; false when the text is done.
    bool next(TokenChunk& chunk);

    // Where the last chunk ends in the text; words may still be open there.
    size_t position() const { return at_; }

    // Complete after next() has returned false.
    SentenceSums sentences;
    uint64_t characters() const { return size_ - continuation_bytes_; }
    uint64_t invisible_characters() const { return invisible_; }

   private:
    static constexpr size_t kBlocks = kernels::kChunkBlocks, kChunkBytes = kernels::kChunkBytes;

    void classify_chunk();
    void place_folded_chunk();
    void end_chunk_at_boundary();
    void clear_behind_chunk();
    std::array<kernels::MaskRow*, 9> carried_rows();
    void carry_last_byte();
    void forget_last_byte();
    bool label_high_characters();
    uint8_t label_before(size_t block, unsigned bit) const;
    void set_label(uint8_t label, size_t block, unsigned bit, unsigned length, bool begins);
    bool resolve_mid(uint8_t label, size_t at, unsigned length, uint8_t before, uint8_t& resolved) const;
    void find_live_connectors();
    uint64_t live_connectors(size_t block);
    bool connectors_reach_word(size_t at);
    void find_sentence_ends();
    void ask_sentence_rules(size_t block, uint64_t stops);
    void note_boundary(size_t boundary);
    void close_sentences_in_chunk();
    void close_sentences_one_by_one();
    void finish_text(TokenChunk& chunk);
    void mask_chunk(TokenChunk& chunk);
    void irregular_region(TokenChunk& chunk);
    void emit_irregular_word(size_t begin, size_t end);
    void cut_word_by_sentences(size_t begin, size_t end);
    void units_chunk(size_t begin, TokenChunk& chunk);
    void bigrams_chunk(TokenChunk& chunk);
    void note_high_character(uint32_t value, uint32_t length, uint8_t flags, size_t at);
    bool takes_variation_selector(uint32_t selector, size_t at) const;
    void close_sentence(int64_t words_so_far, int64_t words_already_in_next);
    void close_sentence_inside_word(size_t begin, size_t boundary, int64_t words_so_far);

    const kernels::KernelSet* kernels_;
    const uint8_t* text_ = nullptr;
    size_t size_ = 0;
    TokenKind kind_ = TokenKind::kWord;
    size_t at_ = 0;           // everything before is done
    size_t chunk_bytes_ = 0;  // of the current chunk, which begins at at_
    size_t blocks_ = 0;
    bool has_high_ = false;
    bool done_ = true;

    bool word_open_ = false;  // a word began and its end has not been seen: starts_[0] of the next chunk
    uint32_t open_start_ = 0;
    uint32_t entering_start_ = 0;  // of the word that was open when the current chunk began
    uint32_t last_end_ = 0;  // of the last complete word: a sure boundary to go back to

    size_t run_begin_ = 0, run_end_ = 0;  // of the run of connectors last read ahead
    bool run_reaches_word_ = false;

    int64_t words_ = 0;          // words begun
    int64_t sentence_base_ = 0;  // words that belong to earlier sentences
    BoundaryQueue boundaries_;  // beyond the current chunk, or inside the open word; ascending

    uint64_t continuation_bytes_ = 0, invisible_ = 0;
    uint64_t chunk_continuation_bytes_ = 0, chunk_invisible_ = 0;

    kernels::ByteMasks masks_;
    kernels::WordMasks word_masks_;
    kernels::SentenceMasks sentence_masks_;
    uint32_t starts_before_[kBlocks + 1], ends_before_[kBlocks + 1];
    uint32_t ranks_[kChunkBytes + 4];
    std::vector<uint32_t> starts_, ends_, high_;
    // The chunk folded, and in front of it at least the word that is open; and padding.
    std::vector<uint8_t> folded_;
    size_t folded_at_ = 0;  // where the chunk begins
    std::vector<uint8_t> irregular_;  // folded words of an irregular region
    std::vector<uint32_t> irregular_sources_;
    std::vector<uint8_t> units_;      // the chunk's text, for tokens that are bytes or code points
    std::vector<uint32_t> unit_offsets_;
    // Folded words with single blanks between, first the last word of the chunk before; and padding.
    std::vector<uint8_t> pairs_;
    std::vector<uint32_t> pair_starts_, pair_ends_;
    size_t pairs_size_ = 0;  // without the padding
    size_t last_word_ = 0;   // where the last word begins in pairs_
};

}  // namespace textassay
