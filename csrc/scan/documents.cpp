#include "documents.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

#include "byte_kernels.hpp"
#include "code_point.hpp"
#include "fixed_log.hpp"
#include "moving_ttr.hpp"

namespace textassay {

namespace {

// Between the stream positions of two blocks, and before the first: what occurred there, or never (an entry's fresh `last`
// is 0), is further away than any window.
constexpr uint32_t kGap = 128;
static_assert(kGap > kMattrWindow);

// A vocabulary beyond this is given up at the next block: it has to stay in the cache, and positions have 32 bits.
constexpr uint32_t kMaxTypes = 44'000, kMaxPosition = uint32_t{1} << 31;
constexpr uint64_t kMaxLongBytes = uint64_t{1} << 20;

constexpr uint32_t kBorder = kMattrWindow - 1;
constexpr size_t kIdsAtOnce = 4096, kMaxDigits = 10, kPaddingBehindTokens = 16;
constexpr size_t kAhead = 12;  // tokens between asking for an entry and using it
constexpr double kNull = std::numeric_limits<double>::quiet_NaN();

uint64_t characters_of(const TokenKey& key) {
    uint64_t characters = 0;
    for (uint32_t i = 0; i < key.size; ++i) characters += !unicode::is_continuation(key.bytes[i]);
    return characters;
}

bool wants_detector(const MeasureConfig& config) {
    const bool asked = config.wants(kSyntheticLogit) || config.wants(kSyntheticProbability);
    return asked && config.detector && config.tokens == TokenKind::kWord;
}

double ratio(uint64_t numerator, uint64_t denominator) {
    return denominator == 0 ? kNull : static_cast<double>(numerator) / static_cast<double>(denominator);
}

}  // namespace

void BlockCounts::clear(const MeasureConfig& config) {
    vocabulary = {};
    documents.clear();
    types.clear();
    distances.clear();
    first_ids.clear();
    last_ids.clear();
    columns = {};
    columns.integers.resize(config.signals.size());
    columns.floats.resize(config.signals.size());
    fingerprints.clear();
    totals = {};
}

DocumentCounter::DocumentCounter(const MeasureConfig& config)
    : config_(config),
      wants_characters_(config.wants(kCharEntropy)),
      wants_lines_(config.wants(kDuplicateLineShare)),
      wants_trigrams_(config.wants(kTopNgramShare) && config.tokens != TokenKind::kId),
      wants_markers_((config.wants(kMarkerRate) || wants_detector(config)) && config.markers && !config.markers->empty() &&
                     config.tokens == TokenKind::kWord),
      wants_perplexity_(config.wants(kPerplexity) && config.anchor && config.anchor->order > 0),
      wants_stream_(config.anchor && config.tokens == TokenKind::kWord &&
                    (config.ngrams || config.words || config.wants(kPerplexity) || config.wants(kOovRate) || config.wants(kTailShare))),
      wants_fingerprints_(config.tokens == TokenKind::kWord &&
                          (config.fingerprints || (config.anchor && config.anchor->fingerprints != nullptr && config.wants(kAnchorOverlap)))),
      wants_detector_(wants_detector(config)),
      vocabulary_(std::make_shared<Vocabulary>()) {
    detector_keys_.assign(1, 0);
    if (wants_fingerprints_) type_hashes_.assign(1, 0);
    if (!wants_stream_) return;
    tokenizer_.sentences.lengths = &sentence_lengths_;
    words_.assign(1, Anchor::kUnknown);
    if (wants_perplexity_) meter_.emplace(*config.anchor);
    if (config.ngrams) ngrams_.emplace(*config.ngrams);
}

Vocabulary::View DocumentCounter::begin_block() {
    Vocabulary::View given_up;
    if (vocabulary_->size() > kMaxTypes || vocabulary_->long_bytes() > kMaxLongBytes || position_ > kMaxPosition) {
        given_up = vocabulary();
        vocabulary_ = std::make_shared<Vocabulary>();
        if (wants_stream_) words_.assign(1, Anchor::kUnknown);
        if (wants_fingerprints_) type_hashes_.assign(1, 0);
        detector_keys_.assign(1, 0);
        position_ = 0;
    }
    position_ += kGap;
    return given_up;
}

void DocumentCounter::count(const uint8_t* text, size_t size, const DocumentOrigin& origin, BlockCounts& block,
                            SignalHistograms& histograms, std::span<const uint32_t> ids) {
    count_tokens(text, size, ids, block);
    const Integers sizes{size,
                         tokenizer_.characters(),
                         position_ - document_begin_,
                         n_types_,
                         tokenizer_.sentences.sentences,
                         tokenizer_.invisible_characters()};
    const Values values = measure(sizes, origin.line, block);
    append_row(sizes, values, origin, block, histograms);
}

void DocumentCounter::count_tokens(const uint8_t* text, size_t size, std::span<const uint32_t> ids, BlockCounts& block) {
    document_begin_ = position_;
    window_sum_ = 0;
    n_types_ = 0;
    ids_.clear();
    anchors_.clear();
    sentence_lengths_.clear();
    score_.begin();
    gap_begin_ = 0;
    tokenizer_.begin(text, size, config_.tokens);
    if (wants_lines_) lines_.begin(text, size);
    TokenChunk chunk;
    for (size_t begin = 0; tokenizer_.next(chunk);) {
        if (config_.tokens != TokenKind::kId) count_chunk(chunk, block);
        if (wants_detector_) score_chunk(text, chunk);
        const size_t end = tokenizer_.position() / 64 * 64;
        count_characters(text, begin, end, chunk);
        if (wants_lines_) lines_.advance(end);
        begin = end;
    }
    if (wants_detector_) score_.add_gap(config_.detector->weights.data(), text, gap_begin_, size);
    count_ids(ids, block);
    remember_border_ids(block);
    if (wants_characters_)
        for (size_t i = size / 64 * 64; i < size; ++i) characters_.add_ascii(text[i]);
}

void DocumentCounter::score_chunk(const uint8_t* text, const TokenChunk& chunk) {
    const int8_t* const weights = config_.detector->weights.data();
    const uint32_t* const ids = ids_.begin() + (ids_.size() - chunk.size);
    const uint32_t* const keys = detector_keys_.data();
    DetectorScore score = score_;  // in registers: the weights may alias anything
    size_t gap_begin = gap_begin_;
    for (size_t i = 0; i < chunk.size; ++i) {
        score.add_gap(weights, text, gap_begin, static_cast<size_t>(chunk.source_begin(i)));
        score.add_word(weights, keys[ids[i]]);
        gap_begin = static_cast<size_t>(chunk.source_end(i));
    }
    score_ = score;
    gap_begin_ = gap_begin;
}

// Of the chunk, while it is in the cache; ASCII in whole blocks.
void DocumentCounter::count_characters(const uint8_t* text, size_t begin, size_t end, const TokenChunk& chunk) {
    if (!wants_characters_) return;
    characters_.add_ascii(text + begin, (end - begin) / 64);
    for (size_t i = 0; i < chunk.high_characters_size; ++i) characters_.add(chunk.high_characters[i]);
}

// An id is the token of its decimal digits.
void DocumentCounter::count_ids(std::span<const uint32_t> ids, BlockCounts& block) {
    id_digits_.resize(kIdsAtOnce * kMaxDigits + kPaddingBehindTokens);
    id_starts_.resize(kIdsAtOnce);
    id_ends_.resize(kIdsAtOnce);
    for (; !ids.empty(); ids = ids.subspan(std::min(ids.size(), kIdsAtOnce))) {
        char* const digits = reinterpret_cast<char*>(id_digits_.data());
        TokenChunk chunk{};
        chunk.bytes = id_digits_.data();
        chunk.starts = id_starts_.data();
        chunk.ends = id_ends_.data();
        chunk.size = std::min(ids.size(), kIdsAtOnce);
        uint32_t at = 0;
        for (size_t i = 0; i < chunk.size; ++i) {
            id_starts_[i] = at;
            at = static_cast<uint32_t>(std::to_chars(digits + at, digits + at + kMaxDigits, ids[i]).ptr - digits);
            id_ends_[i] = at;
        }
        count_chunk(chunk, block);
    }
}

// The hot path: one look-up a token, in passes that each do little, so that the cache misses of many tokens overlap.
void DocumentCounter::count_chunk(const TokenChunk& chunk, BlockCounts& block) {
    const size_t size = chunk.size;
    if (size == 0) return;
    make_keys(chunk);
    const size_t before = block.distances.size();
    block.distances.resize(before + size);
    uint8_t* const distances = block.distances.data() + before;
    uint32_t* const ids = ids_.reserve_behind(size);
    note_occurrences(chunk, ids, distances);
    ids_.end_at(ids + size);
    add_distances(distances, size);
    position_ += static_cast<uint32_t>(size);
}

void DocumentCounter::make_keys(const TokenChunk& chunk) {
    Key* const keys = keys_.reserve(chunk.size + kAhead);
    const Vocabulary::Table table = vocabulary_->table();
    for (size_t i = 0; i < chunk.size; ++i) {
        const uint32_t start = chunk.starts[i];
        const TokenKey key = padded_key(chunk.bytes + start, chunk.ends[i] - start);
        keys[i] = {{key.low, key.high}, hash_of(key.low, key.high)};
        table.prefetch_slot(keys[i].hash);
    }
}

// A token that was not found at once: long, or new, or with another in its place.
[[gnu::noinline]] uint32_t DocumentCounter::find_or_add(const Key& key, const uint8_t* bytes, uint32_t size) {
    const uint32_t id = vocabulary_->find(key.bytes[0], key.bytes[1], key.hash, bytes, size);
    if (id != Vocabulary::kAbsent) return id;
    return add_type({key.bytes[0], key.bytes[1], bytes, size}, key.hash);
}

uint32_t DocumentCounter::add_type(const TokenKey& key, uint64_t hash) {
    const uint32_t id = vocabulary_->add(key, hash);
    if (wants_markers_) {
        VocabularyEntry& entry = (*vocabulary_)[id];
        entry.marker = config_.markers->number(key, hash);
        if (entry.marker & MarkerLexicon::kAnchor) entry.occurrences = VocabularyEntry::kAnchor;
    }
    if (wants_stream_) words_.push_back(config_.anchor->number_of(key));
    if (wants_fingerprints_) type_hashes_.push_back(token_hash(key.bytes, key.size));
    if (wants_detector_) detector_keys_.push_back(static_cast<uint32_t>(token_hash(key.bytes, key.size) >> 32));
    return id;
}

// All in local variables: `distances` may alias anything, so members would be loaded anew for each token.
void DocumentCounter::note_occurrences(const TokenChunk& chunk, uint32_t* ids, uint8_t* distances) {
    const size_t size = chunk.size;
    if (types_.size() < n_types_ + size + 1) types_.resize(2 * (n_types_ + size + 1));
    Vocabulary::Table table = vocabulary_->table();
    Key* const keys = keys_.data();
    TypeInDocument* types = types_.data() + n_types_;
    const uint32_t position = position_, document_begin = document_begin_;
    uint64_t anchors = 0;
    for (size_t i = 0; i < kAhead; ++i) keys[size + i] = keys[size - 1];
    for (size_t i = 0; i < size; ++i) {
        table.prefetch_entry(keys[i + kAhead].hash);
        uint32_t id = table.slots[keys[i].hash & table.mask];
        if (!table.holds(id, keys[i].bytes)) [[unlikely]] {
            id = find_or_add(keys[i], chunk.bytes + chunk.starts[i], chunk.ends[i] - chunk.starts[i]);
            table = vocabulary_->table();
        }
        ids[i] = id;
        const uint32_t here = position + static_cast<uint32_t>(i);
        const uint64_t occurrences = table.entries[id].occurrences;
        const uint32_t last = static_cast<uint32_t>(occurrences);
        table.entries[id].occurrences = occurrences + (uint64_t{1} << 32) - last + here;
        *types = TypeInDocument::before(id, occurrences);
        types += last < document_begin;
        distances[i] = static_cast<uint8_t>(std::min(here - last, kMattrWindow));
        anchors |= occurrences;
    }
    n_types_ = static_cast<uint32_t>(types - types_.data());
    if (anchors & VocabularyEntry::kAnchor) note_anchors(ids, ids_.size(), ids_.size() + size);
}

// Of the document's tokens [begin, end), whose numbers are `ids`.
void DocumentCounter::note_anchors(const uint32_t* ids, size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i)
        if ((*vocabulary_)[ids[i - begin]].marker & MarkerLexicon::kAnchor) anchors_.push_back(static_cast<uint32_t>(i));
}

void DocumentCounter::add_distances(const uint8_t* distances, size_t size) {
    uint64_t sum = 0;
    for (size_t i = 0; i < size; ++i) sum += distances[i];
    const size_t seen = position_ - document_begin_;
    for (size_t i = 0; i < size && seen + i < kBorder; ++i)  // what lies before the document is out of its sight
        sum -= distances[i] - std::min<uint64_t>(distances[i], seen + i + 1);
    window_sum_ += sum;
}

void DocumentCounter::remember_border_ids(BlockCounts& block) const {
    const uint32_t* ids = ids_.begin();
    const size_t size = ids_.size();
    if (block.first_ids.size() < kBorder)
        block.first_ids.insert(block.first_ids.end(), ids, ids + std::min(size, kBorder - block.first_ids.size()));
    const size_t taken = std::min<size_t>(size, kBorder);
    if (block.last_ids.size() + taken > kBorder)
        block.last_ids.erase(block.last_ids.begin(),
                             block.last_ids.begin() + static_cast<ptrdiff_t>(block.last_ids.size() + taken - kBorder));
    block.last_ids.insert(block.last_ids.end(), ids + size - taken, ids + size);
}

uint64_t DocumentCounter::document_window_sum(const BlockCounts& block, uint64_t tokens) const {
    if (tokens < kMattrWindow) return 0;
    uint64_t sum = window_sum_;
    const uint8_t* distances = block.distances.data() + block.distances.size() - tokens;
    for (uint64_t i = tokens - kBorder; i < tokens; ++i)
        sum -= claimed_beyond_end(i, tokens, std::min<uint32_t>(distances[i], static_cast<uint32_t>(std::min<uint64_t>(i + 1, kMattrWindow))));
    return sum;
}

DocumentCounter::Values DocumentCounter::measure(const Integers& sizes, uint64_t line, BlockCounts& block) {
    Values values;
    values.fill(kNull);
    const uint64_t tokens = sizes.tokens, types = sizes.types;
    uint64_t log_sum = 0, hapaxes = 0;
    const size_t first_type = block.types.size();
    block.types.resize(first_type + types);
    for (uint64_t i = 0; i < types; ++i) {
        const uint32_t id = types_[i].id, count = (*vocabulary_)[id].count() - types_[i].count;
        block.types[first_type + i] = {id, count};
        log_sum += log2_times_tabled(count);
        hapaxes += count == 1;
    }
    if (!config_.histogram) block.types.clear();
    if (tokens > 0) {
        values[kEntropy] = entropy_bits(tokens, log_sum);
        values[kEntropyMillerMadow] = miller_madow_bits(values[kEntropy], tokens, types);
        values[kMattr] = mattr(tokens, types, document_window_sum(block, tokens));
    }
    values[kTypeTokenRatio] = ratio(types, tokens);
    values[kHapaxRatio] = ratio(hapaxes, types);
    const SentenceSums& sentences = tokenizer_.sentences;
    if (sentences.sentences >= 2) {
        const unsigned __int128 variance =
            sentences.squares * sentences.sentences - static_cast<unsigned __int128>(sentences.words) * sentences.words;
        const double sigma = std::sqrt(static_cast<double>(variance)), mu = static_cast<double>(sentences.words);
        values[kBurstiness] = sigma / mu;
        values[kBurstinessGohBarabasi] = (sigma - mu) / (sigma + mu);
    }
    if (wants_characters_) {
        const uint64_t character_log_sum = characters_.take_log_sum();
        if (sizes.chars > 0) values[kCharEntropy] = entropy_bits(sizes.chars, character_log_sum);
    }
    if (wants_lines_) values[kDuplicateLineShare] = lines_.share();
    if (config_.tokens == TokenKind::kWord) {
        const auto marker_at = [&](size_t i) { return (*vocabulary_)[ids_.begin()[i]].marker; };
        const uint64_t matches = anchors_.empty() ? 0 : config_.markers->count_matches(anchors_, tokens, marker_at);
        values[kMarkerRate] = ratio(1000 * matches, tokens);
    }
    if (wants_trigrams_) {
        const auto characters = [&](uint32_t id) { return characters_of(vocabulary_->key(id)); };
        const Trigrams::Top top = trigrams_.top({ids_.begin(), ids_.size()}, characters);
        if (top.count > 0) values[kTopNgramShare] = std::min(1.0, ratio(top.count * top.characters, sizes.chars));
    }
    if (wants_stream_ && tokens > 0) compare_with_anchor(sizes, values);
    if (wants_fingerprints_) compare_fingerprints(line, values, block);
    if (wants_detector_) {
        values[kSyntheticLogit] =
            config_.detector->logit(score_.sum(), score_.features(), tokens, values[kMarkerRate], values[kBurstiness]);
        values[kSyntheticProbability] = config_.detector->probability(values[kSyntheticLogit]);
        is_suspected_ = config_.detector->suspects(values[kSyntheticLogit], tokens);
    }
    return values;
}

void DocumentCounter::compare_with_anchor(const Integers& sizes, Values& values) {
    stream_.gather(*config_.anchor, ids_.begin(), sizes.tokens, words_.data(), sentence_lengths_);
    if (ngrams_) ngrams_->add(stream_);
    if (wants_perplexity_) values[kPerplexity] = perplexity_of(meter_->cost(stream_), sizes.tokens + sizes.sentences);
    values[kOovRate] = ratio(stream_.unknown, sizes.tokens);
    if (config_.anchor->tail_end > 0) values[kTailShare] = ratio(stream_.rare, sizes.tokens);
}

void DocumentCounter::compare_fingerprints(uint64_t line, Values& values, BlockCounts& block) {
    find_fingerprints(ids_.begin(), ids_.size(), type_hashes_.data(), fingerprints_);
    if (config_.fingerprints)
        for (const uint64_t hash : fingerprints_) block.fingerprints.push_back({hash, line});
    if (config_.anchor && config_.anchor->fingerprints != nullptr)
        values[kAnchorOverlap] = ratio(count_overlap(*config_.anchor, fingerprints_, config_.met), fingerprints_.size());
}

void DocumentCounter::append_row(const Integers& sizes, const Values& values, const DocumentOrigin& origin,
                                 BlockCounts& block, SignalHistograms& histograms) {
    const auto integer = [&](Signal signal) -> uint64_t {
        switch (signal) {
            case kBytes: return sizes.bytes;
            case kChars: return sizes.chars;
            case kTokens: return sizes.tokens;
            case kTypes: return sizes.types;
            case kSentences: return sizes.sentences;
            default: return sizes.invisible;
        }
    };
    for (size_t i = 0; i < config_.signals.size(); ++i) {
        const Signal signal = config_.signals[i];
        if (kSignals[signal].is_integer) {
            histograms.add(signal, integer(signal));
            if (config_.columns) block.columns.integers[i].push_back(static_cast<int64_t>(integer(signal)));
        } else {
            histograms.add(signal, values[signal]);
            if (config_.columns) block.columns.floats[i].push_back(values[signal]);
        }
    }
    if (config_.columns) {
        DocumentColumns& columns = block.columns;
        columns.replaced.push_back(static_cast<int64_t>(origin.replaced));
        columns.byte_offset.push_back(static_cast<int64_t>(origin.byte_offset));
        columns.line.push_back(static_cast<int64_t>(origin.line));
        columns.id_bytes.insert(columns.id_bytes.end(), origin.id.begin(), origin.id.end());
        columns.id_offsets.push_back(static_cast<int64_t>(columns.id_bytes.size()));
        columns.id_null.push_back(!origin.has_id);
    }
    if (config_.words) {
        DocumentColumns& columns = block.columns;
        if (sizes.tokens > 0)
            std::copy_if(stream_.words.begin() + WordStream::kLead, stream_.words.end(), std::back_inserter(columns.words),
                         [](uint32_t word) { return word != Anchor::kBegin; });
        columns.word_offsets.push_back(static_cast<int64_t>(columns.words.size()));
    }
    block.totals.merge({1, sizes.tokens, sizes.bytes, sizes.chars, sizes.sentences, origin.replaced, 0});
    block.documents.push_back({block.types.size(), block.distances.size(), origin.byte_offset, origin.line});
}

}  // namespace textassay
