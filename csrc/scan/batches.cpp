#include "batches.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <unordered_map>

#include "fixed_log.hpp"
#include "moving_ttr.hpp"

namespace textassay {

namespace {

constexpr uint64_t kBorder = kMattrWindow - 1;

void count_row(const BatchRow& row, Totals& totals, SignalHistograms& distributions) {
    ++totals.batches;
    distributions.add(kBatchTokens, row.tokens);
    distributions.add(kBatchEntropy, row.entropy_bits);
    distributions.add(kBatchEntropyMillerMadow, row.entropy_mm_bits);
    distributions.add(kBatchTypeTokenRatio, row.type_token_ratio);
    distributions.add(kBatchMattr, row.mattr);
}

// Vocabularies whose tallies a batch keeps side by side before they become one table.
constexpr size_t kTallies = 4;

TypeCount type_count(const TokenKey& key, uint64_t count, uint64_t documents) {
    return {key, hash_of(key.low, key.high), count, documents, static_cast<uint32_t>(count)};
}

std::span<const TypeInDocument> types_of(const BlockCounts& block, const BatchPiece& piece) {
    const uint64_t begin = piece.begin == 0 ? 0 : block.documents[piece.begin - 1].types;
    return {block.types.data() + begin, block.types.data() + block.documents[piece.end - 1].types};
}

void list_tally(const VocabularyTally& tally, std::vector<TypeCount>& types) {
    for (uint32_t id = 0; id < tally.types.size(); ++id)
        if (tally.types[id].documents > 0)
            types.push_back(type_count(tally.vocabulary.key(id), tally.types[id].count, tally.types[id].documents));
}

// From tallies to one table. `types` is scratch.
void merge_tallies(OpenBatch& batch, std::vector<TypeCount>& types) {
    for (const VocabularyTally& tally : batch.tallies) {
        types.clear();
        list_tally(tally, types);
        for (TypeCount& type : types) type.peak = 0;  // known when the batch is complete
        batch.types.reserve(types.size());
        batch.types.add_all(types.data(), types.size());
    }
    batch.tallies.clear();
}

// The types of a complete batch; their count is their peak. They live as long as the batch's tallies and table.
void list_types(OpenBatch& batch, std::vector<TypeCount>& types) {
    types.clear();
    if (batch.types.size() == 0 && batch.tallies.size() == 1) return list_tally(batch.tallies[0], types);
    merge_tallies(batch, types);
    types.clear();
    for (size_t i = 0; i < batch.types.size(); ++i) {
        const TypeEntry& entry = batch.types.entry(i);
        types.push_back(type_count(batch.types.key(entry), entry.count, entry.documents));
    }
}

void describe_batch(BatchRow& row, uint64_t window_sum, const std::vector<TypeCount>& types) {
    row.types = types.size();
    if (row.tokens == 0) {
        row.entropy_bits = row.entropy_mm_bits = row.type_token_ratio = row.mattr = std::nan("");
        return;
    }
    uint64_t log_sum = 0;
    for (const TypeCount& type : types) log_sum += log2_times_tabled(type.count);
    row.entropy_bits = entropy_bits(row.tokens, log_sum);
    row.entropy_mm_bits = miller_madow_bits(row.entropy_bits, row.tokens, row.types);
    row.type_token_ratio = static_cast<double>(row.types) / static_cast<double>(row.tokens);
    row.mattr = mattr(row.tokens, row.types, window_sum);
}

std::vector<VocabularyTally>::iterator tally_of(OpenBatch& batch, const Vocabulary::View& vocabulary) {
    return std::find_if(batch.tallies.begin(), batch.tallies.end(), [&](const VocabularyTally& tally) {
        return tally.vocabulary.same_vocabulary(vocabulary);
    });
}

}  // namespace

void move_tally(OpenBatch& batch, const Vocabulary::View& given_up, DocumentCounter& counter) {
    constexpr int64_t kMaxMoved = 24'000;  // a vocabulary has to have room for others
    const std::lock_guard lock(batch.mutex);
    const auto tally = tally_of(batch, given_up);
    if (tally == batch.tallies.end()) return;
    const auto is_counted = [](const TypeTally& type) { return type.documents > 0; };
    if (std::count_if(tally->types.begin(), tally->types.end(), is_counted) > kMaxMoved) return;
    std::vector<TypeTally> moved(1);
    for (uint32_t id = 0; id < tally->types.size(); ++id) {
        if (!is_counted(tally->types[id])) continue;
        const TokenKey key = tally->vocabulary.key(id);
        counter.add_type(key, hash_of(key.low, key.high));
        moved.push_back(tally->types[id]);
    }
    *tally = {counter.vocabulary(), std::move(moved)};
}

void BatchAssembler::open_batch(const DocumentEnd& first, uint64_t lines_before) {
    open_ = std::make_shared<OpenBatch>();
    open_->row.batch = begin_.batch;
    open_->row.first_document = begin_.first_document;
    begin_.is_open = true;
    begin_.byte_offset = first.byte_offset;
    begin_.line = lines_before + first.line;
    tail_tokens_.clear();
    tail_distances_.clear();
    const std::lock_guard lock(rows_mutex_);
    begun_.push_back(open_);
}

std::vector<BatchPiece> BatchAssembler::assign(BlockCounts& block, uint64_t lines_before) {
    std::vector<BatchPiece> pieces;
    uint64_t token = 0;        // of the block
    uint64_t batch_begin = 0;  // first token of the open batch in this block
    if (open_) connect_to_earlier_blocks(block);
    for (size_t document = 0; document < block.documents.size(); ++document) {
        const uint64_t end = block.documents[document].tokens;
        const bool opens = !open_;
        if (opens) {
            open_batch(block.documents[document], lines_before);
            batch_begin = token;
            clamp_distances(block, token);
        }
        if (opens || pieces.empty()) {
            pieces.push_back({open_, document, document, false});
            const std::lock_guard lock(open_->mutex);
            ++open_->pieces_assigned;
        }
        pieces.back().end = document + 1;
        add_document(block, token, end);
        token = end;
        if (open_->row.tokens >= batch_tokens_) {
            pieces.back().is_whole_batch = open_->pieces_assigned == 1;
            close_batch(&block, batch_begin, token);
        }
    }
    if (open_) remember_tail(block, batch_begin);
    return pieces;
}

// The first tokens of a block don't know of the blocks before: their types may have occurred there.
void BatchAssembler::connect_to_earlier_blocks(BlockCounts& block) const {
    std::unordered_map<std::string_view, uint64_t> from_end;  // 1 for the token directly before the block
    for (size_t i = 0; i < tail_tokens_.size(); ++i) from_end[tail_tokens_[i]] = tail_tokens_.size() - i;
    for (uint64_t i = 0; i < block.first_ids.size(); ++i) {
        uint8_t& distance = block.distances[i];
        if (distance <= i) continue;  // it occurred in this block
        const TokenKey key = block.vocabulary.key(block.first_ids[i]);
        const auto found = from_end.find({reinterpret_cast<const char*>(key.bytes), key.size});
        const uint64_t here = found == from_end.end() ? kMattrWindow : i + found->second;
        distance = static_cast<uint8_t>(std::min<uint64_t>({here, kMattrWindow, open_->row.tokens + i + 1}));
    }
}

// What came before the batch is out of its sight.
void BatchAssembler::clamp_distances(BlockCounts& block, uint64_t begin) const {
    const uint64_t end = std::min<uint64_t>(block.distances.size(), begin + kBorder);
    for (uint64_t i = begin; i < end; ++i)
        block.distances[i] = static_cast<uint8_t>(std::min<uint64_t>(block.distances[i], i - begin + 1));
}

void BatchAssembler::add_document(const BlockCounts& block, uint64_t begin, uint64_t end) {
    uint64_t sum = 0;
    for (uint64_t i = begin; i < end; ++i) sum += block.distances[i];
    open_->window_sum += sum;
    open_->row.tokens += end - begin;
    ++open_->row.documents;
}

// What the batch's last tokens claim of windows beyond its end. Its tokens in `block`, if any, are [begin, end).
uint64_t BatchAssembler::claimed_beyond_batch(const BlockCounts* block, uint64_t begin, uint64_t end) const {
    const uint64_t total = open_->row.tokens, in_block = end - begin;
    if (total < kMattrWindow) return 0;
    uint64_t claimed = 0;
    for (uint64_t back = 1; back <= kBorder; ++back) {
        const uint8_t distance = back <= in_block ? block->distances[end - back]
                                                  : tail_distances_[tail_distances_.size() - (back - in_block)];
        claimed += claimed_beyond_end(total - back, total, distance);
    }
    return claimed;
}

bool BatchAssembler::close_batch(const BlockCounts* block, uint64_t begin, uint64_t end) {
    open_->window_sum -= claimed_beyond_batch(block, begin, end);
    begin_ = {begin_.batch + 1, begin_.first_document + open_->row.documents};
    const std::shared_ptr<OpenBatch> batch = std::move(open_);
    // Both under one lock: the last merge counts a batch that it finds closed, and would count this one, too.
    const std::lock_guard lock(batch->mutex);
    batch->closed = true;
    return batch->pieces_merged == batch->pieces_assigned;
}

void BatchAssembler::remember_tail(const BlockCounts& block, uint64_t batch_begin) {
    const uint64_t here = std::min<uint64_t>(block.distances.size() - batch_begin, kBorder);
    const uint64_t kept = std::min<uint64_t>(tail_tokens_.size(), kBorder - here);
    tail_tokens_.erase(tail_tokens_.begin(), tail_tokens_.end() - static_cast<ptrdiff_t>(kept));
    tail_distances_.erase(tail_distances_.begin(), tail_distances_.end() - static_cast<ptrdiff_t>(kept));
    for (uint64_t back = here; back > 0; --back) {
        const TokenKey key = block.vocabulary.key(block.last_ids[block.last_ids.size() - back]);
        tail_tokens_.emplace_back(reinterpret_cast<const char*>(key.bytes), key.size);
        tail_distances_.push_back(block.distances[block.distances.size() - back]);
    }
}

void BatchAssembler::merge(const BlockCounts& block, const std::vector<BatchPiece>& pieces, WorkerCounts& worker) {
    for (const BatchPiece& piece : pieces) {
        if (piece.is_whole_batch) {
            count_whole_batch(block, piece, worker);
            continue;
        }
        OpenBatch& batch = *piece.batch;
        const std::lock_guard lock(batch.mutex);
        gather(block, piece, batch, worker);
        ++batch.pieces_merged;
        if (batch.closed && batch.pieces_merged == batch.pieces_assigned) count_gathered(batch, worker);
    }
}

void BatchAssembler::count_whole_batch(const BlockCounts& block, const BatchPiece& piece, WorkerCounts& worker) {
    if (worker.tally.size() < block.vocabulary.size()) worker.tally.resize(block.vocabulary.size());
    worker.touched.resize(block.vocabulary.size() + 1);  // the last element is only written to
    size_t touched = 0;
    for (const TypeInDocument& type : types_of(block, piece)) {
        TypeTally& tally = worker.tally[type.id];
        worker.touched[touched] = type.id;
        touched += tally.documents == 0;
        ++tally.documents;
        tally.count += type.count;
    }
    worker.types.clear();
    for (size_t i = 0; i < touched; ++i) {
        TypeTally& tally = worker.tally[worker.touched[i]];
        worker.types.push_back(type_count(block.vocabulary.key(worker.touched[i]), tally.count, tally.documents));
        tally = {};
    }
    count_listed(*piece.batch, worker);
}

void BatchAssembler::gather(const BlockCounts& block, const BatchPiece& piece, OpenBatch& batch, WorkerCounts& worker) {
    auto found = tally_of(batch, block.vocabulary);
    if (found == batch.tallies.end()) {
        if (batch.tallies.size() == kTallies) merge_tallies(batch, worker.types);
        batch.tallies.emplace_back();
        found = batch.tallies.end() - 1;
    }
    if (found->types.size() < block.vocabulary.size()) {  // the vocabulary has grown since
        found->vocabulary = block.vocabulary;
        found->types.resize(block.vocabulary.size());
    }
    for (const TypeInDocument& type : types_of(block, piece)) {
        TypeTally& tally = found->types[type.id];
        ++tally.documents;
        tally.count += type.count;
    }
}

void BatchAssembler::finish(WorkerCounts& worker) {
    if (!open_) return;
    const std::shared_ptr<OpenBatch> last = open_;
    if (close_batch(nullptr, 0, 0)) count_gathered(*last, worker);
}

void BatchAssembler::count_gathered(OpenBatch& batch, WorkerCounts& worker) {
    list_types(batch, worker.types);
    count_listed(batch, worker);
    batch.tallies.clear();
    batch.types = {};
}

// A complete batch, whose types worker.types lists.
void BatchAssembler::count_listed(OpenBatch& batch, WorkerCounts& worker) {
    describe_batch(batch.row, batch.window_sum, worker.types);
    count_row(batch.row, worker.totals, worker.distributions);
    mark_counted(batch);
    histogram_.add(worker.types);
}

void BatchAssembler::count_open(Profile& profile) const {
    if (!open_) return;
    std::vector<TypeCount> types;
    list_types(*open_, types);
    BatchRow row = open_->row;
    describe_batch(row, open_->window_sum - claimed_beyond_batch(nullptr, 0, 0), types);
    count_row(row, profile.totals, profile.distributions);
    profile.histogram.add(types);
}

void BatchAssembler::mark_counted(OpenBatch& batch) {
    const std::lock_guard lock(rows_mutex_);
    batch.counted = true;
}

std::vector<BatchRow> BatchAssembler::take_rows() {
    std::vector<BatchRow> rows;
    const std::lock_guard lock(rows_mutex_);
    size_t taken = 0;
    while (taken < begun_.size() && begun_[taken]->counted) rows.push_back(begun_[taken++]->row);
    begun_.erase(begun_.begin(), begun_.begin() + static_cast<ptrdiff_t>(taken));
    return rows;
}

}  // namespace textassay
