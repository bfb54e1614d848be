// Files in, a profile out. The only place with threads.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "batches.hpp"
#include "documents.hpp"
#include "frames.hpp"
#include "lines.hpp"
#include "profile.hpp"
#include "rows.hpp"
#include "text.hpp"

namespace textassay {

// How far the work goes; the stages before Histogram are for benchmarks.
enum class Stage : uint8_t { kDecompress, kJson, kWords, kSignals, kHistogram };

struct ScanConfig {
    MeasureConfig measure;
    std::vector<FieldPath> text_fields{{"text"}};
    FieldPath id_field{"id"};
    std::shared_ptr<const ProvenanceRules> provenance;  // if there are rules
    uint64_t batch_tokens = 1 << 20;
    uint64_t max_types = 1 << 24;
    size_t max_record_bytes = size_t{64} << 20;
    int max_window_log = 27;
    unsigned threads = 1;
    Stage stage = Stage::kHistogram;
};


struct RecordError {
    uint64_t line;  // 1-based
    uint64_t byte_offset;
    Malformed reason;
};

// Where every byte went.
struct Account {
    uint64_t parsed = 0, malformed = 0, blank = 0, too_long = 0;  // bytes
    uint64_t lines = 0, documents = 0;
    std::array<uint64_t, static_cast<size_t>(Malformed::kReasons)> records_by_reason{};

    void merge(const Account& other);
};

// How far a file has been counted, so that another scan can go on with it. Offsets without a word are of uncompressed bytes, in a
// file of rows of those of their texts.
struct FileState {
    std::string format = "plain";
    FrameBegin from;  // where to read on, at or before `begin`; of no use for rows
    uint64_t begin = 0, begin_line = 0;  // what lies between here and `end` is in no batch yet, but counted else
    uint64_t end = 0;                    // all before has been counted
    uint64_t batch = 0, first_document = 0;  // that begins at `begin`
    Account account;                         // of what lies before `end`
};

// One file: lines of JSON, or with a reader rows.
struct ScanSource {
    SourceName name;
    std::unique_ptr<RowReader> rows;
    std::optional<FileState> state;  // where to go on
    bool is_done = false;            // nothing is left to do
};

enum class FileStatus : uint8_t { kOk, kDamaged, kUnreadable };

struct FileOutcome {
    FileStatus status = FileStatus::kOk;
    std::string reason;
    std::string format = "plain";
    uint64_t bytes = 0, bytes_compressed = 0, compressed_offset = 0, bytes_lost = 0;
    FrameCounts frames;
    Account account;
};

// What a scan hands over. Those of one file come in its order; those of different files interleave.
struct ScanEvent {
    size_t file = 0;
    std::optional<DocumentColumns> documents;
    std::vector<RecordError> errors;
    std::vector<BatchRow> batches;
    std::optional<FileOutcome> outcome;  // only in the file's last event
};

struct ScanProgress {
    uint64_t bytes_compressed = 0, bytes = 0, documents = 0, files = 0;
};

class Scan {
   public:
    // What is counted is added to `profile`, if there is one, which is the scan's own from then on.
    Scan(std::vector<ScanSource> sources, ScanConfig config, std::shared_ptr<Profile> profile = nullptr);
    ~Scan();
    Scan(const Scan&) = delete;

    enum class Next { kEvent, kDone, kTimeout };
    // The first call starts the threads. Waits for the next event, at most `timeout` if that is not negative, and not at all if the
    // scan is paused. Rethrows what a worker threw.
    Next next(std::chrono::duration<double> timeout, ScanEvent& event);
    ScanProgress progress();
    // Nothing is read any more; what has been is counted to its end, which is_paused() tells once all events are taken.
    void pause();
    bool is_paused();
    // Of a scan that is paused: the files that have been begun and not ended, by index. The profile holds what they say.
    std::vector<std::pair<size_t, FileState>> states();
    void resume();
    void cancel();
    // Cancels, and returns when no thread is left.
    void stop();
    // Once next() has said kDone, or after states().
    std::shared_ptr<Profile> profile();

   private:
    struct File;
    struct BlockResult;
    struct Worker;
    struct Task;
    struct Unit;

    void start();
    void run(Worker& worker);
    bool wait_for_task(Task& task, Worker& worker);
    bool take_task(Task& task, Worker& worker);
    File* file_to_read(Worker& worker);
    // What waits to be parsed while a file is being read: one reader doesn't keep more than some workers busy.
    size_t blocks_ahead() const { return std::min(workers_.size(), workers_.size() / 4 + 4); }
    bool is_quiet() const { return pausing_ && idle_ == workers_running_ && merges_.empty() && blocks_.empty() && events_.empty(); }
    void merge_counts();
    bool finished() const { return cancelled_ || files_done_ == files_.size(); }

    void read(File& file, Worker& worker);
    bool open(File& file, Worker& worker);
    void read_rows(File& file, uint64_t number, Worker& worker);
    void stop_reading(File& file, bool at_end, uint64_t consumed);
    void deliver_unit(File& file, uint64_t number, Unit unit, Worker& worker);
    void cut_unit(File& file, Unit unit, std::vector<Block>& blocks);
    void parse(File& file, Block block, Worker& worker);
    void parse_records(const File& file, const Block& block, BlockResult& result, Worker& worker);
    void encode_texts(const File& file, const Block& block, Worker& worker);
    void parse_lines(const File& file, const Block& block, BlockResult& result, Worker& worker);
    void parse_rows(const File& file, const Block& block, BlockResult& result, Worker& worker);
    void settle(const File& file, const Record& record, uint64_t bytes, uint64_t offset, BlockResult& result, Worker& worker);
    void note_provenance(const File& file, const Record& record, const Totals& before, BlockResult& result, Worker& worker);
    void deliver_result(File& file, std::unique_ptr<BlockResult> result, Worker& worker);
    void assign(File& file, BlockResult& result);
    void merge(File& file, std::unique_ptr<BlockResult> result, Worker& worker);
    void finish_if_complete(File& file, Worker& worker);
    bool is_being_read(const File& file);
    void push_event(ScanEvent event);
    std::unique_ptr<BlockResult> take_result();
    Buffer take_buffer(size_t bytes);
    void give_back(Buffer buffer);

    const ScanConfig config_;
    const std::shared_ptr<Profile> profile_;
    std::mutex provenance_mutex_;  // of the profile's tables of provenance

    std::vector<std::unique_ptr<File>> files_;

    // Of all that follows. Taken after a file's mutex, never before.
    std::mutex mutex_;
    std::condition_variable work_, events_ready_;
    std::deque<File*> unopened_;  // largest first
    std::vector<File*> open_;     // not yet read to the end
    std::deque<std::pair<File*, Block>> blocks_;
    std::deque<std::pair<File*, std::unique_ptr<BlockResult>>> merges_;
    std::vector<std::unique_ptr<BlockResult>> spare_results_;
    std::vector<Buffer> spare_buffers_;
    std::deque<ScanEvent> events_;
    size_t in_flight_ = 0;  // units being read, and blocks not merged: what bounds the memory
    size_t files_done_ = 0;
    ScanProgress progress_;
    bool cancelled_ = false, pausing_ = false;
    size_t idle_ = 0;  // workers that wait for a task
    std::exception_ptr failure_;
    size_t workers_running_ = 0;
    bool profile_complete_ = false;

    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<std::thread> threads_;
    std::once_flag started_;
};

}  // namespace textassay
