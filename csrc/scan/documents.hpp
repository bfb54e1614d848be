// Documents to signals: one block of documents, counted into its own vocabulary.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "buffer.hpp"
#include "character_counts.hpp"
#include "detector.hpp"
#include "encoder.hpp"
#include "fingerprints.hpp"
#include "marker_lexicon.hpp"
#include "ngram_runs.hpp"
#include "perplexity.hpp"
#include "profile.hpp"
#include "provenance.hpp"
#include "repeated_lines.hpp"
#include "signals.hpp"
#include "tokens.hpp"
#include "trigrams.hpp"
#include "vocabulary.hpp"

namespace textassay {

// What to measure.
struct MeasureConfig {
    std::vector<Signal> signals;  // columns, in this order
    TokenKind tokens = TokenKind::kWord;
    std::shared_ptr<const TextEncoder> encoder;  // of tokens that are ids
    std::shared_ptr<const MarkerLexicon> markers;
    std::shared_ptr<const Anchor> anchor;
    std::shared_ptr<const Detector> detector;
    // Where to count 3-grams of the anchor's words, and to put the documents' fingerprints, if anywhere.
    std::shared_ptr<SortedRuns> ngrams, fingerprints;
    uint8_t* met = nullptr;  // of each of the anchor's fingerprints: where to note that a document has it
    bool columns = true;    // keep a row per document
    bool words = false;     // and the anchor's numbers of its words
    bool histogram = true;  // keep what batches and the corpus histogram need

    bool wants(Signal signal) const {
        for (const Signal s : signals)
            if (s == signal) return true;
        return false;
    }
};

// One document's place and identity in its file.
struct DocumentOrigin {
    uint64_t byte_offset = 0;
    uint64_t line = 0;
    uint64_t replaced = 0;
    bool has_id = false;
    std::string_view id;
};

struct DocumentColumns {
    // In the order of MeasureConfig::signals; of each pair one is filled.
    std::vector<std::vector<int64_t>> integers;
    std::vector<std::vector<double>> floats;
    std::vector<int64_t> replaced, byte_offset, line, id_offsets{0};
    std::vector<uint8_t> id_bytes, id_null;
    // Of a scan with rules of provenance: the label, and the reason, which is empty where no rule matched.
    std::vector<uint8_t> labels, reason_bytes;
    std::vector<int64_t> reason_offsets{0};
    // With MeasureConfig::words: the sentences' words, Anchor::kEnd behind each sentence.
    std::vector<uint32_t> words;
    std::vector<int64_t> word_offsets{0};

    void append(const Provenance& provenance) {
        labels.push_back(static_cast<uint8_t>(provenance.label));
        reason_bytes.insert(reason_bytes.end(), provenance.reason.begin(), provenance.reason.end());
        reason_offsets.push_back(static_cast<int64_t>(reason_bytes.size()));
    }
};

// A document's share of its block: ranges that end at these places.
struct DocumentEnd {
    uint64_t types;   // in BlockCounts::types
    uint64_t tokens;  // in BlockCounts::distances
    uint64_t byte_offset, line;  // where it begins: in the file, and counted as in `columns`
};

struct TypeInDocument {
    uint32_t id;
    uint32_t count;

    // An entry's occurrences, with the number in place of the position.
    static TypeInDocument before(uint32_t id, uint64_t occurrences) {
        return std::bit_cast<TypeInDocument>((occurrences & ~uint64_t{0xFFFFFFFF}) | id);
    }
};

// All that one block of documents leaves behind, for batches and the corpus.
struct BlockCounts {
    Vocabulary::View vocabulary;  // of the type numbers below; once the block is complete
    std::vector<DocumentEnd> documents;
    std::vector<TypeInDocument> types;
    // Of each token the distance to the last occurrence of its type in the block, at most kMattrWindow.
    std::vector<uint8_t> distances;
    // Types of the block's first and last tokens, at most kMattrWindow - 1: batches run across blocks.
    std::vector<uint32_t> first_ids, last_ids;
    DocumentColumns columns;
    std::vector<Fingerprint> fingerprints;  // to be kept; `document` is a line, counted as in `columns`
    Totals totals;

    void clear(const MeasureConfig& config);
};

class DocumentCounter {
   public:
    explicit DocumentCounter(const MeasureConfig& config);

    // A block's documents come between these two. The first says what vocabulary was given up for a new one, if any.
    Vocabulary::View begin_block();
    void end_block(BlockCounts& block) const { block.vocabulary = vocabulary(); }
    // After the last block.
    void finish() {
        if (ngrams_) ngrams_->finish();
    }

    // Whether the document just counted resembles synthetic text, in the detector's eyes.
    bool is_suspected() const { return is_suspected_; }

    Vocabulary::View vocabulary() const { return Vocabulary::View(vocabulary_); }
    // The number of a type in a vocabulary that doesn't hold it yet.
    uint32_t add_type(const TokenKey& key, uint64_t hash);

    // Measures one document and appends it to `block`; its signals go into `histograms` as well. `text` is valid UTF-8 of
    // less than 4 GiB; `ids` are its tokens, if these are ids.
    void count(const uint8_t* text, size_t size, const DocumentOrigin& origin, BlockCounts& block,
               SignalHistograms& histograms, std::span<const uint32_t> ids = {});

   private:
    using Values = std::array<double, kDocumentSignals>;
    struct Key {
        uint64_t bytes[2];  // low and high of its TokenKey
        uint64_t hash;
    };
    struct Integers {
        uint64_t bytes, chars, tokens, types, sentences, invisible;
    };

    void count_tokens(const uint8_t* text, size_t size, std::span<const uint32_t> ids, BlockCounts& block);
    void count_ids(std::span<const uint32_t> ids, BlockCounts& block);
    void count_characters(const uint8_t* text, size_t begin, size_t end, const TokenChunk& chunk);
    void count_chunk(const TokenChunk& chunk, BlockCounts& block);
    void score_chunk(const uint8_t* text, const TokenChunk& chunk);
    void make_keys(const TokenChunk& chunk);
    uint32_t find_or_add(const Key& key, const uint8_t* bytes, uint32_t size);
    void note_occurrences(const TokenChunk& chunk, uint32_t* ids, uint8_t* distances);
    void note_anchors(const uint32_t* ids, size_t begin, size_t end);
    void add_distances(const uint8_t* distances, size_t size);
    void remember_border_ids(BlockCounts& block) const;
    void compare_with_anchor(const Integers& sizes, Values& values);
    void compare_fingerprints(uint64_t line, Values& values, BlockCounts& block);
    uint64_t document_window_sum(const BlockCounts& block, uint64_t tokens) const;
    Values measure(const Integers& sizes, uint64_t line, BlockCounts& block);
    void append_row(const Integers& sizes, const Values& values, const DocumentOrigin& origin, BlockCounts& block,
                    SignalHistograms& histograms);

    const MeasureConfig& config_;
    const bool wants_characters_, wants_lines_, wants_trigrams_, wants_markers_, wants_perplexity_, wants_stream_,
        wants_fingerprints_, wants_detector_;
    Tokenizer tokenizer_;
    CharacterCounts characters_;
    RepeatedLines lines_;
    Trigrams trigrams_;
    std::shared_ptr<Vocabulary> vocabulary_;
    uint32_t position_ = 0;  // of the next token, in the stream of all that this vocabulary has counted

    // Of the current document.
    uint32_t document_begin_ = 0;
    uint64_t window_sum_ = 0;
    uint32_t n_types_ = 0;
    // In order of first occurrence, with the type's count before it; beyond n_types_ room to write.
    std::vector<TypeInDocument> types_;
    Appendable<uint32_t> ids_;            // type numbers of its tokens
    std::vector<uint32_t> anchors_;       // its tokens that may be part of a marker phrase

    Scratch<Key> keys_;  // of the current chunk's tokens
    std::vector<uint8_t> id_digits_;  // the current chunk's ids, if tokens are ids, and where each begins and ends
    std::vector<uint32_t> id_starts_, id_ends_;

    // With a detector.
    std::vector<uint32_t> detector_keys_;  // of each type number of the vocabulary
    DetectorScore score_;
    bool is_suspected_ = false;
    size_t gap_begin_ = 0;  // where the last word of the document ends in the text

    // With an anchor.
    std::vector<uint32_t> words_;            // its number for each type number of the vocabulary
    std::vector<uint64_t> sentence_lengths_;
    WordStream stream_;
    std::optional<PerplexityMeter> meter_;
    std::optional<NgramCounter> ngrams_;
    std::vector<uint64_t> type_hashes_;   // token_hash for each type number of the vocabulary
    std::vector<uint64_t> fingerprints_;  // of the current document
};

}  // namespace textassay
