// Who does what. Any worker takes any task: merge a block's counts into the corpus; parse and count a block; read on in a file
// (one worker a file at a time). A unit is what one step of reading brings; units are cut into blocks, and blocks assigned to
// batches, in the order of the file; everything between runs as it comes. One large file thus keeps all workers busy: while
// one decompresses, the others parse; with many files each worker reads its own and parses the block while it is in its cache.
#include "scan.hpp"

#include <sys/stat.h>
#ifdef __GLIBCXX__
#include <cxxabi.h>
#endif

#include <algorithm>
#include <cstring>
#include <utility>

#include "error.hpp"

namespace textassay {

namespace {

constexpr size_t kUnitBytes = size_t{2} << 20;
constexpr size_t kEventsAhead = 16;

uint64_t size_of(const SourceName& name) {
    struct stat status;
    const int result = name.descriptor >= 0 ? ::fstat(name.descriptor, &status) : ::stat(name.path.c_str(), &status);
    return result == 0 && S_ISREG(status.st_mode) ? static_cast<uint64_t>(status.st_size) : 0;
}

bool is_blank(const uint8_t* line, size_t size) {
    for (size_t i = 0; i < size; ++i)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') return false;
    return true;
}

}  // namespace

struct Scan::Unit {
    Buffer buffer;  // data from kHeadroom on
    Decoded decoded;
    std::vector<Block> rows;  // instead, of a file of rows
    FrameCounts frames;
    uint64_t compressed_offset = 0;  // behind it
    std::optional<FrameBegin> last_begin;  // in it; counted from its begin
};

struct Scan::BlockResult {
    uint64_t order = 0;
    uint64_t byte_offset = 0;
    bool is_replayed = false;
    BlockCounts counts;
    std::vector<RecordError> errors;  // `line` counts from the block's first, 0
    Account account;
    std::vector<BatchPiece> pieces;
};

struct Scan::File {
    File(size_t index, ScanSource from, const ScanConfig& config, Histogram& histogram)
        : index(index),
          name(std::move(from.name)),
          has_rows(from.rows != nullptr),
          size(has_rows ? from.rows->size_on_disk() : size_of(name)),
          rows(std::move(from.rows)),
          begun(std::move(from.state)),
          cutter(config.max_record_bytes, lines_begin()),
          batches(config.batch_tokens, histogram, {state().batch, state().first_document}),
          done(from.is_done) {
        if (has_rows) outcome.format = rows->format();
        outcome.frames = state().from.frames;
        outcome.account = state().account;
        consumed_before = has_rows ? 0 : state().from.compressed;
        rows_to_replay = has_rows ? state().account.lines - state().begin_line : 0;
        row_bytes = state().begin;
        lines = state().begin_line;
        decoded = state().from.bytes;
        frame_begins.push_back(state().from);
    }

    const FileState& state() const {
        static const FileState kNone;
        return begun ? *begun : kNone;
    }
    LinesBegin lines_begin() const { return {state().begin - state().from.bytes, state().begin, state().end}; }

    const size_t index;
    const SourceName name;
    const bool has_rows;
    const uint64_t size;

    // Of the worker that reads; `reading` and `read_to_end` belong to the scan's mutex.
    bool opened = false;
    std::unique_ptr<Source> source;
    std::unique_ptr<Decoder> decoder;
    std::unique_ptr<RowReader> rows;  // until the last row has been read
    const std::optional<FileState> begun;  // by another scan
    uint64_t rows_to_replay = 0;
    uint64_t next_unit = 0;
    uint64_t consumed_before = 0;
    bool reading = false, read_to_end = false;

    std::mutex mutex;  // of what follows
    std::map<uint64_t, Unit> units;  // decoded, waiting for those before
    uint64_t next_cut = 0;
    LineCutter cutter;
    uint64_t row_bytes = 0;  // of the texts of all rows cut so far
    uint64_t decoded = 0;    // bytes of all units cut so far
    std::deque<FrameBegin> frame_begins;  // from the one on where another scan would have to begin
    bool ended = false;  // nothing will be cut any more
    uint64_t blocks = 0;
    std::map<uint64_t, std::unique_ptr<BlockResult>> results;  // counted, waiting for those before
    uint64_t next_assign = 0, merged = 0;
    uint64_t lines = 0;  // of the blocks assigned
    BatchAssembler batches;
    bool batches_finished = false, done;
    FileOutcome outcome;

    uint64_t bytes() const { return has_rows ? row_bytes : cutter.bytes(); }
    // The same, with all that another scan has counted, though some of it is read again.
    uint64_t bytes_known() const { return std::max(bytes(), state().end); }
    void forget_frames_before(uint64_t offset) {
        while (frame_begins.size() > 1 && frame_begins[1].bytes <= offset) frame_begins.pop_front();
    }
};

struct Scan::Worker {
    explicit Worker(const ScanConfig& config)
        : parser(config.text_fields, config.id_field,
                 config.provenance ? config.provenance->fields : std::vector<FieldPath>{}),
          rows(config.text_fields.size(), config.provenance ? config.provenance->fields.size() : 0),
          counter(config.measure) {
        if (config.measure.fingerprints) fingerprints.emplace(*config.measure.fingerprints);
    }

    RecordParser parser;
    RowParser rows;
    DocumentCounter counter;
    Tokenizer tokenizer;  // for Stage::kWords
    // With an encoder: the current block's texts, and their ids.
    TextsToEncode texts;
    bool is_gathering = false;
    TextIds ids;
    size_t texts_counted = 0;
    WorkerCounts counts;
    SignalHistograms replayed;  // not looked at
    ProvenanceTables provenance;  // of the current block
    std::optional<FingerprintCollector> fingerprints;
    File* last_file = nullptr;
    std::shared_ptr<OpenBatch> last_batch;  // that it merged something into
};

struct Scan::Task {
    enum Kind { kMerge, kParse, kRead } kind = kRead;
    File* file = nullptr;
    Block block;
    std::unique_ptr<BlockResult> result;
};

void Account::merge(const Account& other) {
    parsed += other.parsed;
    malformed += other.malformed;
    blank += other.blank;
    too_long += other.too_long;
    lines += other.lines;
    documents += other.documents;
    for (size_t i = 0; i < records_by_reason.size(); ++i) records_by_reason[i] += other.records_by_reason[i];
}

Scan::Scan(std::vector<ScanSource> sources, ScanConfig config, std::shared_ptr<Profile> profile)
    : config_(std::move(config)),
      profile_(profile ? std::move(profile) : std::make_shared<Profile>(config_.measure.signals, config_.max_types)) {
    for (size_t i = 0; i < sources.size(); ++i)
        files_.push_back(std::make_unique<File>(i, std::move(sources[i]), config_, profile_->histogram));
    for (const auto& file : files_)
        if (!file->done) unopened_.push_back(file.get());
    files_done_ = files_.size() - unopened_.size();
    std::stable_sort(unopened_.begin(), unopened_.end(), [](const File* a, const File* b) {
        return std::pair(a->begun.has_value(), a->size) > std::pair(b->begun.has_value(), b->size);
    });
    for (unsigned i = 0; i < std::max(1u, config_.threads); ++i) workers_.push_back(std::make_unique<Worker>(config_));
    workers_running_ = workers_.size();
}

Scan::~Scan() { stop(); }

// Not sooner than somebody wants an event: who has the scan in hand can cancel it, and let go of what its threads wait for.
void Scan::start() {
    try {
        threads_.reserve(workers_.size());
        for (const auto& worker : workers_) threads_.emplace_back([this, &worker] { run(*worker); });
    } catch (...) {
        stop();
        const std::lock_guard lock(mutex_);
        workers_running_ -= workers_.size() - threads_.size();
        failure_ = std::current_exception();
    }
}

void Scan::stop() {
    cancel();
    for (std::thread& thread : threads_)
        if (thread.joinable()) thread.join();
}

void Scan::pause() {
    const std::lock_guard lock(mutex_);
    pausing_ = true;
}

bool Scan::is_paused() {
    const std::lock_guard lock(mutex_);
    return is_quiet();
}

std::vector<std::pair<size_t, FileState>> Scan::states() {
    const std::lock_guard lock(mutex_);
    if (!is_quiet()) throw std::runtime_error("states: wanted a scan that is paused, this one is not");
    merge_counts();
    std::vector<std::pair<size_t, FileState>> states;
    for (const auto& file : files_) {
        if (file->done) continue;
        const FileState& begun = file->state();
        const uint64_t end = file->has_rows ? file->row_bytes : file->cutter.line_offset();
        if (end <= begun.end && file->lines <= begun.account.lines) {  // nothing new, or not even what was known before
            if (file->begun) states.emplace_back(file->index, begun);
            continue;
        }
        const BatchBegin& batch = file->batches.begin();
        FileState state{file->has_rows ? "rows" : file->decoder->format(), {}, end, file->lines, end, batch.batch, batch.first_document,
                        file->outcome.account};
        state.account.blank += file->cutter.bytes_in_byte_order_mark();
        if (batch.is_open) {
            state.begin = batch.byte_offset;
            state.begin_line = batch.line;
        }
        file->forget_frames_before(state.begin);
        state.from = file->frame_begins.front();
        states.emplace_back(file->index, std::move(state));
    }
    return states;
}

void Scan::resume() {
    const std::lock_guard lock(mutex_);
    pausing_ = false;
    work_.notify_all();
}

// Not while a worker counts.
void Scan::merge_counts() {
    for (const auto& worker : workers_) {
        profile_->totals.merge(std::exchange(worker->counts.totals, {}));
        profile_->distributions.merge(worker->counts.distributions);
        worker->counts.distributions = {};
    }
}

void Scan::cancel() {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    work_.notify_all();
}

ScanProgress Scan::progress() {
    const std::lock_guard lock(mutex_);
    return progress_;
}

Scan::Next Scan::next(std::chrono::duration<double> timeout, ScanEvent& event) {
    std::call_once(started_, &Scan::start, this);
    std::unique_lock lock(mutex_);
    const auto ready = [&] { return !events_.empty() || workers_running_ == 0 || is_quiet(); };
    if (timeout.count() < 0) {
        events_ready_.wait(lock, ready);
    } else if (!events_ready_.wait_for(lock, timeout, ready)) {
        return Next::kTimeout;
    }
    if (!events_.empty()) {
        event = std::move(events_.front());
        events_.pop_front();
        work_.notify_one();
        return Next::kEvent;
    }
    if (workers_running_ > 0) return Next::kTimeout;
    if (failure_) std::rethrow_exception(failure_);
    merge_counts();
    profile_complete_ = true;
    return Next::kDone;
}

std::shared_ptr<Profile> Scan::profile() {
    const std::lock_guard lock(mutex_);
    if (!profile_complete_ && !is_quiet()) throw std::runtime_error("profile: wanted a scan that is over, this one is not");
    return profile_;
}

void Scan::run(Worker& worker) {
    try {
        Task task;
        while (wait_for_task(task, worker)) {
            switch (task.kind) {
                case Task::kMerge: merge(*task.file, std::move(task.result), worker); break;
                case Task::kParse: parse(*task.file, std::move(task.block), worker); break;
                case Task::kRead: read(*task.file, worker); break;
            }
        }
        worker.counter.finish();
        if (worker.fingerprints) worker.fingerprints->finish();
#ifdef __GLIBCXX__
    } catch (abi::__forced_unwind&) {
        throw;  // a thread that calls Python is ended so where the interpreter is ending; it must not be stopped
#endif
    } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
        cancelled_ = true;
    }
    const std::lock_guard lock(mutex_);
    --workers_running_;
    work_.notify_all();
    events_ready_.notify_all();
}

bool Scan::wait_for_task(Task& task, Worker& worker) {
    std::unique_lock lock(mutex_);
    for (;;) {
        if (finished()) return false;
        if (take_task(task, worker)) return true;
        ++idle_;
        if (is_quiet()) events_ready_.notify_all();
        work_.wait(lock);
        --idle_;
    }
}

bool Scan::take_task(Task& task, Worker& worker) {
    if (!merges_.empty()) {
        task.kind = Task::kMerge;
        task.file = merges_.front().first;
        task.result = std::move(merges_.front().second);
        merges_.pop_front();
        return true;
    }
    // With fewer files than workers, keep some blocks ahead for those who can't read.
    const size_t enough = open_.size() + unopened_.size() >= workers_.size() ? 1 : blocks_ahead();
    File* file = blocks_.size() >= enough ? nullptr : file_to_read(worker);
    if (file == nullptr && !blocks_.empty()) {
        task.kind = Task::kParse;
        task.file = blocks_.front().first;
        task.block = std::move(blocks_.front().second);
        blocks_.pop_front();
        return true;
    }
    if (file == nullptr) return false;
    task.kind = Task::kRead;
    task.file = worker.last_file = file;
    file->reading = true;
    ++in_flight_;
    return true;
}

Scan::File* Scan::file_to_read(Worker& worker) {
    if (pausing_) return nullptr;
    if (in_flight_ >= workers_.size() + blocks_ahead() + 2 || events_.size() >= 2 * workers_.size() + kEventsAhead) return nullptr;
    const auto readable = [](const File* file) { return !file->reading && !file->read_to_end; };
    if (worker.last_file != nullptr && readable(worker.last_file)) return worker.last_file;
    if (open_.size() < workers_.size() && !unopened_.empty()) {
        open_.push_back(unopened_.front());
        unopened_.pop_front();
        return open_.back();
    }
    const auto found = std::find_if(open_.begin(), open_.end(), readable);
    return found == open_.end() ? nullptr : *found;
}

// One step: a unit of frames to decode in parallel with others, or the next piece of a stream.
void Scan::read(File& file, Worker& worker) {
    if (!file.opened && !open(file, worker)) return;
    const uint64_t number = file.next_unit++;
    if (file.has_rows) return read_rows(file, number, worker);
    Unit unit;
    FrameGroup group;
    if (file.decoder->takes_frame_groups() && take_frame_group(*file.source, kUnitBytes, group)) {
        const uint64_t begin = file.source->consumed() - group.compressed.size();
        unit.last_begin = {begin, 0, {}};
        stop_reading(file, false, file.source->consumed());
        const size_t capacity = group.content_size + 1;
        unit.buffer = take_buffer(kHeadroom + capacity + kPaddingBehind);
        unit.decoded = decode_frame_group(group, config_.max_window_log, unit.buffer.data() + kHeadroom, capacity);
        unit.frames = unit.decoded.frames;
        unit.compressed_offset = begin + unit.decoded.compressed_bytes;
    } else {
        unit.buffer = take_buffer(kHeadroom + kUnitBytes + kPaddingBehind);
        unit.decoded = file.decoder->decode(unit.buffer.data() + kHeadroom, kUnitBytes);
        unit.frames = std::exchange(file.decoder->counts, {});
        unit.last_begin = unit.decoded.last_begin;
        if (!file.source->failure().empty()) unit.decoded.damage = file.source->failure();
        unit.compressed_offset = file.source->consumed();
        stop_reading(file, unit.decoded.end || !unit.decoded.damage.empty(), file.source->consumed());
    }
    deliver_unit(file, number, std::move(unit), worker);
}

bool Scan::open(File& file, Worker& worker) {
    try {
        if (file.has_rows) {
            file.rows->open();
            if (file.begun) file.rows->skip(file.begun->begin_line);
        } else {
            file.source = std::make_unique<Source>(file.name, file.state().from.compressed);
            file.decoder = file.begun ? open_decoder(*file.source, config_.max_window_log, file.begun->format)
                                      : open_decoder(*file.source, config_.max_window_log);
            // A folder opens but can't be read.
            if (!file.source->failure().empty() && file.source->available() == 0) throw ScanError(file.source->failure(), 0);
        }
        file.opened = true;
        return true;
    } catch (const ScanError& error) {
        if (file.begun) throw;  // it has been read before: no outcome says what became of that
        {
            const std::lock_guard lock(file.mutex);
            file.outcome.status = FileStatus::kUnreadable;
            file.outcome.reason = error.what();
            file.ended = true;
        }
        stop_reading(file, true, 0);
        const std::lock_guard file_lock(file.mutex);
        finish_if_complete(file, worker);
        const std::lock_guard lock(mutex_);
        --in_flight_;
        return false;
    }
}

void Scan::read_rows(File& file, uint64_t number, Worker& worker) {
    const RowCutter cutter(config_.text_fields.size(), config_.max_record_bytes, kUnitBytes);
    Unit unit;
    try {
        unit.decoded.end = !file.rows->read([&](const Rows& rows) {
            const size_t replayed = static_cast<size_t>(std::min<uint64_t>(file.rows_to_replay, rows.size));
            const auto take = [&](size_t bytes) { return take_buffer(bytes); };
            cutter.cut(rows, 0, replayed, take, unit.rows);
            for (Block& block : unit.rows) block.is_replayed = true;
            cutter.cut(rows, replayed, rows.size, take, unit.rows);
            file.rows_to_replay -= replayed;
        });
    } catch (const ScanError& error) {
        unit.decoded.damage = error.what();
    }
    unit.compressed_offset = file.rows->position();
    const bool at_end = unit.decoded.end || !unit.decoded.damage.empty();
    if (at_end) file.rows.reset();
    stop_reading(file, at_end, unit.compressed_offset);
    deliver_unit(file, number, std::move(unit), worker);
}

void Scan::stop_reading(File& file, bool at_end, uint64_t consumed) {
    const std::lock_guard lock(mutex_);
    file.reading = false;
    if (at_end && !file.read_to_end) {
        file.read_to_end = true;
        std::erase(open_, &file);
    }
    progress_.bytes_compressed += consumed - file.consumed_before;
    file.consumed_before = consumed;
    work_.notify_one();
}

void Scan::deliver_unit(File& file, uint64_t number, Unit unit, Worker& worker) {
    std::vector<Block> blocks;
    const std::lock_guard file_lock(file.mutex);
    file.units.emplace(number, std::move(unit));
    size_t units_cut = 0;
    const uint64_t bytes_before = file.bytes_known();
    for (auto next = file.units.begin(); next != file.units.end() && next->first == file.next_cut; next = file.units.begin()) {
        Unit ready = std::move(next->second);
        file.units.erase(next);
        ++file.next_cut;
        ++units_cut;
        if (!file.ended) cut_unit(file, std::move(ready), blocks);
    }
    const bool ended = file.ended;
    {
        const std::lock_guard lock(mutex_);
        in_flight_ += blocks.size();
        in_flight_ -= units_cut;
        progress_.bytes += file.bytes_known() - bytes_before;
        for (Block& block : blocks) {
            blocks_.emplace_back(&file, std::move(block));
            work_.notify_one();
        }
        if (ended && !file.read_to_end) {  // a damaged group; what was read behind it doesn't count
            file.read_to_end = true;
            std::erase(open_, &file);
        }
        work_.notify_one();
    }
    if (ended) finish_if_complete(file, worker);
}

void Scan::cut_unit(File& file, Unit unit, std::vector<Block>& blocks) {
    const bool is_damaged = !unit.decoded.damage.empty();
    const auto emit = [&](Block block) {
        ++file.blocks;
        blocks.push_back(std::move(block));
    };
    if (unit.last_begin) {
        FrameBegin begin = *unit.last_begin;
        begin.bytes += file.decoded;
        begin.frames.merge(file.outcome.frames);
        file.frame_begins.push_back(begin);
    }
    file.decoded += unit.decoded.bytes;
    file.outcome.frames.merge(unit.frames);
    if (file.has_rows) {
        for (Block& block : unit.rows) {
            block.order = file.blocks;
            block.byte_offset = file.row_bytes;
            file.row_bytes += block.text_bytes;
            emit(std::move(block));
        }
    } else {
        file.cutter.cut(std::move(unit.buffer), unit.decoded.bytes, emit);
    }
    if (!is_damaged && !unit.decoded.end) return;
    file.cutter.finish(is_damaged, emit);
    file.ended = true;
    FileOutcome& outcome = file.outcome;
    outcome.status = is_damaged ? FileStatus::kDamaged : FileStatus::kOk;
    outcome.reason = unit.decoded.damage;
    outcome.compressed_offset = unit.compressed_offset;
    outcome.bytes = file.bytes();
    outcome.account.blank += file.cutter.bytes_in_byte_order_mark();
}

void Scan::parse(File& file, Block block, Worker& worker) {
    std::unique_ptr<BlockResult> result = take_result();
    result->order = block.order;
    result->byte_offset = block.byte_offset;
    result->is_replayed = block.is_replayed;
    if (const Vocabulary::View given_up = worker.counter.begin_block(); given_up && worker.last_batch)
        move_tally(*worker.last_batch, given_up, worker.counter);
    if (config_.measure.encoder && config_.stage >= Stage::kSignals) encode_texts(file, block, worker);
    if (config_.stage >= Stage::kJson) parse_records(file, block, *result, worker);
    if (config_.provenance) {
        const std::lock_guard lock(provenance_mutex_);
        profile_->provenance.take(worker.provenance);
    }
    worker.counter.end_block(result->counts);
    give_back(std::move(block.buffer));
    deliver_result(file, std::move(result), worker);
}

void Scan::parse_records(const File& file, const Block& block, BlockResult& result, Worker& worker) {
    if (block.cells.empty()) {
        parse_lines(file, block, result, worker);
    } else {
        parse_rows(file, block, result, worker);
    }
}

// All of a block at once. To parse it twice costs next to nothing beside that.
void Scan::encode_texts(const File& file, const Block& block, Worker& worker) {
    BlockResult unused;
    worker.texts.clear();
    worker.is_gathering = true;
    parse_records(file, block, unused, worker);
    worker.is_gathering = false;
    worker.ids = worker.texts.encode(*config_.measure.encoder);
    worker.texts_counted = 0;
}

void Scan::parse_lines(const File& file, const Block& block, BlockResult& result, Worker& worker) {
    Account& account = result.account;
    if (block.lost_line != Malformed::kNone) {
        ++account.lines;
        (block.lost_line == Malformed::kTooLong ? account.too_long : account.malformed) += block.lost_bytes;
        ++account.records_by_reason[static_cast<size_t>(block.lost_line)];
        result.errors.push_back({0, block.byte_offset, block.lost_line});
        return;
    }
    const uint8_t* const base = block.buffer.data();
    for (size_t at = block.begin; at < block.end;) {
        const void* found = std::memchr(base + at, '\n', block.end - at);
        const size_t line_end = found != nullptr ? static_cast<size_t>(static_cast<const uint8_t*>(found) - base) : block.end;
        const size_t next = found != nullptr ? line_end + 1 : line_end;
        const uint64_t bytes = next - at, offset = block.byte_offset + (at - block.begin);
        const size_t size = line_end - at - (found != nullptr && line_end > at && base[line_end - 1] == '\r');
        const uint8_t* const text = base + at;
        at = next;
        Record record;
        if (size > config_.max_record_bytes) {
            record.malformed = Malformed::kTooLong;
        } else if (is_blank(text, size)) {
            account.blank += bytes;
            ++account.lines;
            continue;
        } else {
            record = worker.parser.parse(text, size);
        }
        settle(file, record, bytes, offset, result, worker);
    }
}

void Scan::parse_rows(const File& file, const Block& block, BlockResult& result, Worker& worker) {
    const std::span<const Cell> cells(block.cells);
    const size_t width = worker.rows.width();
    uint64_t offset = block.byte_offset;
    for (size_t at = 0; at < cells.size(); at += width) {
        const std::span<const Cell> row = cells.subspan(at, width);
        const uint64_t bytes = worker.rows.text_bytes(row);
        settle(file, worker.rows.parse(block.buffer.data(), row), bytes, offset, result, worker);
        offset += bytes;
    }
}

// The next line or row of the file: what becomes of it, and where its bytes go.
void Scan::settle(const File& file, const Record& record, uint64_t bytes, uint64_t offset, BlockResult& result, Worker& worker) {
    Account& account = result.account;
    const uint64_t line = account.lines++;
    if (record.malformed != Malformed::kNone) {
        (record.malformed == Malformed::kTooLong ? account.too_long : account.malformed) += bytes;
        ++account.records_by_reason[static_cast<size_t>(record.malformed)];
        result.errors.push_back({line, offset, record.malformed});
        return;
    }
    if (worker.is_gathering) return worker.texts.add(record.text);
    account.parsed += bytes;
    ++account.documents;
    const auto* document = reinterpret_cast<const uint8_t*>(record.text.data());
    if (config_.stage >= Stage::kSignals) {
        const Totals before = result.counts.totals;
        const auto ids = config_.measure.encoder ? worker.ids.of(worker.texts_counted++) : std::span<const uint32_t>{};
        worker.counter.count(document, record.text.size(), {offset, line, record.replaced, record.has_id, record.id},
                             result.counts, result.is_replayed ? worker.replayed : worker.counts.distributions, ids);
        if (config_.provenance && !result.is_replayed) note_provenance(file, record, before, result, worker);
        return;
    }
    if (config_.stage == Stage::kWords) {
        worker.tokenizer.begin(document, record.text.size(), config_.measure.tokens);
        TokenChunk chunk;
        while (worker.tokenizer.next(chunk)) result.counts.totals.tokens += chunk.size;
    }
    ++result.counts.totals.documents;
    result.counts.totals.bytes += record.text.size();
}

// Of the document just counted; `before` are the block's totals without it.
void Scan::note_provenance(const File& file, const Record& record, const Totals& before, BlockResult& result, Worker& worker) {
    const Provenance found = config_.provenance->find(file.index, record.values, worker.counter.is_suspected());
    const Totals& totals = result.counts.totals;
    worker.provenance.add(found, {1, totals.tokens - before.tokens, totals.bytes - before.bytes});
    if (config_.measure.columns) result.counts.columns.append(found);
}

void Scan::deliver_result(File& file, std::unique_ptr<BlockResult> result, Worker& worker) {
    std::vector<std::unique_ptr<BlockResult>> ready;
    {
        const std::lock_guard file_lock(file.mutex);
        file.results.emplace(result->order, std::move(result));
        for (auto next = file.results.begin(); next != file.results.end() && next->first == file.next_assign;
             next = file.results.begin()) {
            ready.push_back(std::move(next->second));
            file.results.erase(next);
            ++file.next_assign;
            assign(file, *ready.back());
        }
    }
    if (ready.empty()) return;
    if (ready.size() > 1) {
        const std::lock_guard lock(mutex_);
        for (size_t i = 1; i < ready.size(); ++i) {
            merges_.emplace_back(&file, std::move(ready[i]));
            work_.notify_one();
        }
    }
    merge(file, std::move(ready[0]), worker);
}

// In the order of the file.
void Scan::assign(File& file, BlockResult& result) {
    const uint64_t lines_before = file.lines;
    file.lines += result.account.lines;
    if (config_.stage == Stage::kHistogram) result.pieces = file.batches.assign(result.counts, lines_before);
    const BatchBegin& batch = file.batches.begin();
    file.forget_frames_before(batch.is_open ? batch.byte_offset : result.byte_offset);
    if (result.is_replayed) {
        result.counts.totals = {};
        result.counts.fingerprints.clear();
        return;
    }
    file.outcome.account.merge(result.account);
    ScanEvent event;
    event.file = file.index;
    for (RecordError& error : result.errors) error.line += lines_before + 1;
    event.errors = std::move(result.errors);
    if (config_.measure.columns && !result.counts.columns.line.empty()) {
        for (int64_t& line : result.counts.columns.line) line += static_cast<int64_t>(lines_before + 1);
        event.documents = std::move(result.counts.columns);
    }
    const uint64_t document = file.index << Fingerprint::kLineBits | (lines_before + 1);
    for (Fingerprint& fingerprint : result.counts.fingerprints) fingerprint.document += document;
    if (event.documents || !event.errors.empty()) push_event(std::move(event));
    const std::lock_guard lock(mutex_);
    progress_.documents += result.account.documents;
}

void Scan::merge(File& file, std::unique_ptr<BlockResult> result, Worker& worker) {
    if (config_.stage == Stage::kHistogram) {
        file.batches.merge(result->counts, result->pieces, worker.counts);
        worker.last_batch = result->pieces.empty() ? nullptr : result->pieces.back().batch;
    }
    worker.counts.totals.merge(result->counts.totals);
    if (worker.fingerprints) worker.fingerprints->add(result->counts.fingerprints);
    {
        const std::lock_guard file_lock(file.mutex);
        ++file.merged;
        finish_if_complete(file, worker);
        if (!file.done) {
            ScanEvent event;
            event.file = file.index;
            event.batches = file.batches.take_rows();
            if (!event.batches.empty()) push_event(std::move(event));
        }
    }
    const std::lock_guard lock(mutex_);
    --in_flight_;
    spare_results_.push_back(std::move(result));
    work_.notify_one();
}

// A worker may read on in a file that a damage has ended; it comes by here when it is back.
bool Scan::is_being_read(const File& file) {
    const std::lock_guard lock(mutex_);
    return file.reading;
}

// With the file's mutex held.
void Scan::finish_if_complete(File& file, Worker& worker) {
    if (!file.ended || file.done) return;
    if (file.next_assign == file.blocks && !file.batches_finished) {
        file.batches_finished = true;
        if (config_.stage == Stage::kHistogram) file.batches.finish(worker.counts);
    }
    if (file.merged < file.blocks || is_being_read(file)) return;
    file.done = true;
    FileOutcome& outcome = file.outcome;
    if (file.decoder) outcome.format = file.decoder->format();
    if (file.opened) {
        const uint64_t size = file.has_rows ? file.size : file.source->size_on_disk();
        outcome.bytes_compressed = std::max(size, outcome.compressed_offset);
        if (outcome.status == FileStatus::kDamaged && size > outcome.compressed_offset)
            outcome.bytes_lost = size - outcome.compressed_offset;
    }
    ScanEvent event;
    event.file = file.index;
    event.batches = file.batches.take_rows();
    event.outcome = outcome;
    push_event(std::move(event));
    file.decoder.reset();
    file.source.reset();
    const std::lock_guard lock(mutex_);
    ++files_done_;
    ++progress_.files;
    if (finished()) work_.notify_all();
}

void Scan::push_event(ScanEvent event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    events_ready_.notify_one();
}

Buffer Scan::take_buffer(size_t bytes) {
    Buffer buffer;
    {
        const std::lock_guard lock(mutex_);
        if (!spare_buffers_.empty()) {
            buffer = std::move(spare_buffers_.back());
            spare_buffers_.pop_back();
        }
    }
    buffer.reserve(bytes);
    return buffer;
}

void Scan::give_back(Buffer buffer) {
    if (buffer.capacity() == 0 || buffer.capacity() > 2 * (kHeadroom + kUnitBytes)) return;  // one that a huge line took
    const std::lock_guard lock(mutex_);
    // More come back than were taken: a line that lies in several units has a buffer of its own.
    if (spare_buffers_.size() < workers_.size() + blocks_ahead()) spare_buffers_.push_back(std::move(buffer));
}

std::unique_ptr<Scan::BlockResult> Scan::take_result() {
    std::unique_ptr<BlockResult> result;
    {
        const std::lock_guard lock(mutex_);
        if (!spare_results_.empty()) {
            result = std::move(spare_results_.back());
            spare_results_.pop_back();
        }
    }
    if (!result) result = std::make_unique<BlockResult>();
    result->counts.clear(config_.measure);
    result->errors.clear();
    result->account = {};
    result->pieces.clear();
    return result;
}

}  // namespace textassay
