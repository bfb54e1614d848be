// From blocks to batches to the corpus. The blocks of a file are assigned to batches in order, since where a batch ends depends on
// all documents before; the counting of each block's share needs no order.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "documents.hpp"
#include "profile.hpp"

namespace textassay {

struct BatchRow {
    uint64_t batch = 0, first_document = 0, documents = 0, tokens = 0, types = 0;
    double entropy_bits = 0, entropy_mm_bits = 0, type_token_ratio = 0, mattr = 0;  // NaN for null
};

// A type's share of a batch.
struct TypeTally {
    uint32_t documents, count;
};

// By type number; zero where the batch doesn't hold the type.
struct VocabularyTally {
    Vocabulary::View vocabulary;
    std::vector<TypeTally> types;
};

// Where a file's batches stand: the batch that is open, or will be next, and the place of its first document if that is known.
struct BatchBegin {
    uint64_t batch = 0, first_document = 0;
    bool is_open = false;
    uint64_t byte_offset = 0, line = 0;
};

// A batch that has begun. Its types gather here only where it takes more than one block.
struct OpenBatch {
    BatchRow row;
    std::mutex mutex;  // of what follows
    std::vector<VocabularyTally> tallies;  // at most kTallies
    TypeTable types;                       // of those that were more
    size_t pieces_assigned = 0, pieces_merged = 0;
    bool closed = false, counted = false;
    uint64_t window_sum = 0;  // for MATTR; complete when closed
};

// What `batch` counts by the numbers of `given_up` it counts by those of the counter's vocabulary from now on. The counter has not
// used that yet; it begins with the types that its next documents need most, and the batch stays in one vocabulary.
void move_tally(OpenBatch& batch, const Vocabulary::View& given_up, DocumentCounter& counter);

// Documents [begin, end) of a block, all of one batch.
struct BatchPiece {
    std::shared_ptr<OpenBatch> batch;
    size_t begin, end;
    bool is_whole_batch;
};

// What a worker gathers and adds to the profile now and then.
struct WorkerCounts {
    Totals totals;
    SignalHistograms distributions;
    std::vector<TypeCount> types;    // scratch
    std::vector<TypeTally> tally;    // scratch, all zero: by type number
    std::vector<uint32_t> touched;   // scratch: types of the piece

};

class BatchAssembler {
   public:
    // The first document opens the batch `begin`.
    BatchAssembler(uint64_t batch_tokens, Histogram& histogram, const BatchBegin& begin = {})
        : batch_tokens_(batch_tokens), histogram_(histogram), begin_{begin.batch, begin.first_document} {}

    // Blocks in the order of the file, one call at a time. Corrects the distances at the block's begin.
    std::vector<BatchPiece> assign(BlockCounts& block, uint64_t lines_before = 0);
    const BatchBegin& begin() const { return begin_; }
    // After the last block: closes the batch that is open.
    void finish(WorkerCounts& worker);

    // Adds the open batch to `profile` as if it were closed; it stays open. Not while others merge.
    void count_open(Profile& profile) const;

    // In any order and from any thread, once for each assigned block.
    void merge(const BlockCounts& block, const std::vector<BatchPiece>& pieces, WorkerCounts& worker);

    // Closed and counted batches, in order, each once. Safe while others merge.
    std::vector<BatchRow> take_rows();

   private:
    void open_batch(const DocumentEnd& first, uint64_t lines_before);
    void connect_to_earlier_blocks(BlockCounts& block) const;
    void clamp_distances(BlockCounts& block, uint64_t begin) const;
    void add_document(const BlockCounts& block, uint64_t begin, uint64_t end);
    // Whether all its pieces are merged: nobody else will count it then.
    bool close_batch(const BlockCounts* block, uint64_t begin, uint64_t end);
    uint64_t claimed_beyond_batch(const BlockCounts* block, uint64_t begin, uint64_t end) const;
    void remember_tail(const BlockCounts& block, uint64_t batch_begin);
    void count_whole_batch(const BlockCounts& block, const BatchPiece& piece, WorkerCounts& worker);
    void gather(const BlockCounts& block, const BatchPiece& piece, OpenBatch& batch, WorkerCounts& worker);
    void count_gathered(OpenBatch& batch, WorkerCounts& worker);
    void count_listed(OpenBatch& batch, WorkerCounts& worker);
    void mark_counted(OpenBatch& batch);

    const uint64_t batch_tokens_;
    Histogram& histogram_;

    // State of the assignment.
    std::shared_ptr<OpenBatch> open_;
    BatchBegin begin_;
    // The open batch's last tokens in earlier blocks, at most kMattrWindow - 1, and their distances.
    std::vector<std::string> tail_tokens_;
    std::vector<uint8_t> tail_distances_;

    std::mutex rows_mutex_;
    std::vector<std::shared_ptr<OpenBatch>> begun_;  // not yet taken, in order
};

}  // namespace textassay
