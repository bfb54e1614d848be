#include "batches.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "fixed_log.hpp"
#include "moving_ttr.hpp"

namespace textassay {

namespace {

constexpr uint64_t kBorder = kMattrWindow - 1;

void describe_batch(BatchRow& row, uint64_t window_sum, uint64_t types, uint64_t log_sum) {
    row.types = types;
    if (row.tokens == 0) {
        row.entropy_bits = row.entropy_mm_bits = row.type_token_ratio = row.mattr = std::nan("");
        return;
    }
    row.entropy_bits = entropy_bits(row.tokens, log_sum);
    row.entropy_mm_bits = miller_madow_bits(row.entropy_bits, row.tokens, types);
    row.type_token_ratio = static_cast<double>(types) / static_cast<double>(row.tokens);
    row.mattr = mattr(row.tokens, types, window_sum);
}

void count_row(const BatchRow& row, Totals& totals, SignalHistograms& distributions) {
    ++totals.batches;
    distributions.add(kBatchTokens, row.tokens);
    distributions.add(kBatchEntropy, row.entropy_bits);
    distributions.add(kBatchEntropyMillerMadow, row.entropy_mm_bits);
    distributions.add(kBatchTypeTokenRatio, row.type_token_ratio);
    distributions.add(kBatchMattr, row.mattr);
}

// The types of a complete batch; their count is their peak. Returns the sum of log2_times over the counts.
uint64_t list_types(const TypeTable& table, std::vector<TypeCount>& types) {
    types.clear();
    uint64_t log_sum = 0;
    for (size_t i = 0; i < table.size(); ++i) {
        const TypeEntry& entry = table.entry(i);
        const TokenKey key = table.key(entry);
        types.push_back({key, hash_of(key.low, key.high), entry.count, entry.documents, static_cast<uint32_t>(entry.count)});
        log_sum += log2_times_tabled(entry.count);
    }
    return log_sum;
}

}  // namespace

void BatchAssembler::open_batch() {
    open_ = std::make_shared<OpenBatch>();
    open_->row.batch = next_batch_++;
    open_->row.first_document = documents_;
    tail_tokens_.clear();
    tail_distances_.clear();
    const std::lock_guard lock(rows_mutex_);
    begun_.push_back(open_);
}

std::vector<BatchPiece> BatchAssembler::assign(BlockCounts& block) {
    std::vector<BatchPiece> pieces;
    uint64_t token = 0;        // of the block
    uint64_t batch_begin = 0;  // first token of the open batch in this block
    if (open_) connect_to_earlier_blocks(block);
    for (size_t document = 0; document < block.documents.size(); ++document) {
        const uint64_t end = block.documents[document].tokens;
        const bool opens = !open_;
        if (opens) {
            open_batch();
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
        ++documents_;
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

void BatchAssembler::close_batch(const BlockCounts* block, uint64_t begin, uint64_t end) {
    open_->window_sum -= claimed_beyond_batch(block, begin, end);
    const std::lock_guard lock(open_->mutex);
    open_->closed = true;
    open_.reset();
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

void BatchAssembler::tally_piece(const BlockCounts& block, const BatchPiece& piece, WorkerCounts& worker) const {
    if (worker.tally.size() < block.vocabulary.size()) worker.tally.resize(block.vocabulary.size());
    worker.touched.resize(block.vocabulary.size() + 1);  // the last element is only written to
    size_t touched = 0;
    const uint64_t begin = piece.begin == 0 ? 0 : block.documents[piece.begin - 1].types;
    const uint64_t end = block.documents[piece.end - 1].types;
    // `id` stands for the number of documents here: the same two integers.
    for (uint64_t i = begin; i < end; ++i) {
        const TypeInDocument type = block.types[i];
        TypeInDocument& tally = worker.tally[type.id];
        worker.touched[touched] = type.id;
        touched += tally.id == 0;
        ++tally.id;
        tally.count += type.count;
    }
    worker.touched.resize(touched);
}

void BatchAssembler::merge(const BlockCounts& block, const std::vector<BatchPiece>& pieces, WorkerCounts& worker) {
    for (const BatchPiece& piece : pieces) {
        tally_piece(block, piece, worker);
        worker.types.clear();
        uint64_t log_sum = 0;
        for (const uint32_t id : worker.touched) {
            TypeInDocument& tally = worker.tally[id];
            const TokenKey key = block.vocabulary.key(id);
            worker.types.push_back({key, hash_of(key.low, key.high), tally.count, tally.id, tally.count});
            log_sum += log2_times_tabled(tally.count);
            tally = {};
        }
        OpenBatch& batch = *piece.batch;
        if (piece.is_whole_batch) {
            describe_batch(batch.row, batch.window_sum, worker.types.size(), log_sum);
            count_row(batch.row, worker.totals, worker.distributions);
            mark_counted(batch);
            histogram_.add(worker.types);
            continue;
        }
        const std::lock_guard lock(batch.mutex);
        batch.types.reserve(worker.types.size());
        for (TypeCount& type : worker.types) type.peak = 0;  // known when the batch is complete
        batch.types.add_all(worker.types.data(), worker.order(), worker.types.size());
        ++batch.pieces_merged;
        if (batch.closed && batch.pieces_merged == batch.pieces_assigned) count_gathered(batch, worker);
    }
}

void BatchAssembler::finish(WorkerCounts& worker) {
    if (!open_) return;
    const std::shared_ptr<OpenBatch> last = open_;
    close_batch(nullptr, 0, 0);
    const std::lock_guard lock(last->mutex);
    if (last->pieces_merged == last->pieces_assigned) count_gathered(*last, worker);
}

void BatchAssembler::count_gathered(OpenBatch& batch, WorkerCounts& worker) {
    const uint64_t log_sum = list_types(batch.types, worker.types);
    describe_batch(batch.row, batch.window_sum, worker.types.size(), log_sum);
    count_row(batch.row, worker.totals, worker.distributions);
    mark_counted(batch);
    histogram_.add(worker.types);
    batch.types = {};
}

void BatchAssembler::count_open(Profile& profile) const {
    if (!open_) return;
    std::vector<TypeCount> types;
    const uint64_t log_sum = list_types(open_->types, types);
    BatchRow row = open_->row;
    describe_batch(row, open_->window_sum - claimed_beyond_batch(nullptr, 0, 0), types.size(), log_sum);
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
