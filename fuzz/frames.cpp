// A file's bytes to what its frames hold: zstd, gzip or plain, whole or damaged. Whatever steps the decoder is asked in, streamed or
// in groups of frames, and however many threads scan the file: the same bytes come out, and every one lands in one counter.
#include "frames.hpp"

#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "error.hpp"
#include "scan.hpp"
#include "target.hpp"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace textassay::fuzz {

namespace {

constexpr size_t kStep = size_t{1} << 17;
constexpr size_t kMostDecoded = size_t{8} << 20;  // what expands to more is left to the tests of bombs

// A file without a name.
class MemoryFile {
   public:
    MemoryFile(const uint8_t* data, size_t size) : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
        REQUIRE(descriptor_ >= 0);
        REQUIRE(::write(descriptor_, data, size) == static_cast<ssize_t>(size));
    }
    ~MemoryFile() { ::close(descriptor_); }
    MemoryFile(const MemoryFile&) = delete;

    SourceName from_begin() const {
        REQUIRE(::lseek(descriptor_, 0, SEEK_SET) == 0);
        return {{}, descriptor_};
    }

   private:
    const int descriptor_;
};

struct Whole {
    std::string format, bytes, damage;
    FrameCounts counts;
    uint64_t consumed = 0;
    bool too_large = false;
};

// As a scan reads a file, in steps of `step` bytes; `groups`: where frames can be taken whole, so many bytes' worth at a time.
Whole decode(const MemoryFile& file, int max_window_log, size_t step, size_t groups) {
    Source source(file.from_begin());
    const std::unique_ptr<Decoder> decoder = open_decoder(source, max_window_log);
    Whole whole;
    whole.format = decoder->format();
    static std::vector<uint8_t> out;
    for (Decoded decoded; !decoded.end && decoded.damage.empty();) {
        FrameGroup group;
        if (groups > 0 && decoder->takes_frame_groups() && take_frame_group(source, groups, group)) {
            const uint64_t begin = source.consumed() - group.compressed.size();
            Exact room(group.content_size + 1);
            decoded = decode_frame_group(group, max_window_log, room.data(), room.size());
            whole.bytes.append(reinterpret_cast<const char*>(room.data()), decoded.bytes);
            whole.counts.merge(decoded.frames);
            whole.consumed = begin + decoded.compressed_bytes;
            REQUIRE(decoded.bytes <= group.content_size);
            REQUIRE(!decoded.damage.empty() || decoded.bytes == group.content_size);
            REQUIRE(!decoded.damage.empty() || decoded.compressed_bytes == group.compressed.size());
        } else {
            out.resize(std::max(out.size(), step));
            decoded = decoder->decode(out.data(), step);
            whole.bytes.append(reinterpret_cast<const char*>(out.data()), decoded.bytes);
            whole.consumed = source.consumed();
            REQUIRE(decoded.bytes == step || decoded.end || !decoded.damage.empty());
        }
        whole.damage = decoded.damage;
        whole.too_large = whole.bytes.size() > kMostDecoded;
        if (whole.too_large) break;
    }
    whole.counts.merge(decoder->counts);
    REQUIRE(source.failure().empty());
    return whole;
}

struct Scanned {
    FileOutcome outcome;
    Totals totals;
    std::vector<std::tuple<uint64_t, uint64_t, Malformed>> errors;
};

Scanned scan(const MemoryFile& file, int max_window_log, unsigned threads) {
    ScanConfig config;
    config.measure.signals = {kBytes, kTokens};
    config.measure.markers = std::make_shared<const MarkerLexicon>(std::vector<std::vector<std::string>>{});
    config.max_window_log = max_window_log;
    config.max_record_bytes = 1000;
    config.max_types = 1 << 16;
    config.batch_tokens = 50;
    config.threads = threads;
    std::vector<ScanSource> sources;
    sources.emplace_back().name = file.from_begin();
    Scan scan(std::move(sources), std::move(config));
    Scanned scanned;
    ScanEvent event;
    while (scan.next(std::chrono::duration<double>(-1), event) == Scan::Next::kEvent) {
        for (const RecordError& error : event.errors) scanned.errors.emplace_back(error.line, error.byte_offset, error.reason);
        if (event.outcome) scanned.outcome = *event.outcome;
        event = {};
    }
    scanned.totals = scan.profile()->totals;
    return scanned;
}

void check_account(const Scanned& scanned, const Whole& whole, uint64_t size) {
    const FileOutcome& outcome = scanned.outcome;
    const Account& account = outcome.account;
    REQUIRE(outcome.status == (whole.damage.empty() ? FileStatus::kOk : FileStatus::kDamaged));
    REQUIRE(outcome.format == whole.format);
    REQUIRE(outcome.bytes == whole.bytes.size());
    REQUIRE(account.parsed + account.malformed + account.blank + account.too_long == outcome.bytes);
    REQUIRE(outcome.bytes_compressed == size);
    REQUIRE(outcome.compressed_offset == whole.consumed);
    REQUIRE(outcome.compressed_offset + outcome.bytes_lost == size);
    uint64_t malformed = 0;
    for (const uint64_t records : account.records_by_reason) malformed += records;
    REQUIRE(malformed == scanned.errors.size());
    REQUIRE(account.documents + malformed <= account.lines);
    REQUIRE(scanned.totals.documents == account.documents);
    REQUIRE(outcome.frames.frames == whole.counts.frames);
}

void check_alike(const Scanned& one, const Scanned& other) {
    REQUIRE(one.outcome.reason == other.outcome.reason);
    REQUIRE(one.outcome.account.lines == other.outcome.account.lines);
    REQUIRE(one.outcome.account.parsed == other.outcome.account.parsed);
    REQUIRE(one.outcome.account.blank == other.outcome.account.blank);
    REQUIRE(one.outcome.account.records_by_reason == other.outcome.account.records_by_reason);
    REQUIRE(one.errors == other.errors);
    REQUIRE(one.totals.tokens == other.totals.tokens && one.totals.batches == other.totals.batches);
}

std::string as_zstd(const std::string& data, Sequence& sequence) {
    const auto context = std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)>(ZSTD_createCCtx(), &ZSTD_freeCCtx);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, static_cast<int>(sequence.below(2)));
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, static_cast<int>(1 + sequence.below(5)));
    if (sequence.below(2) == 0) ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, static_cast<int>(10 + sequence.below(13)));
    std::string out(ZSTD_compressBound(data.size()) + 1024, '\0');
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    if (sequence.below(2) == 0) {  // the content size is known, and mostly declared
        ZSTD_CCtx_setParameter(context.get(), ZSTD_c_contentSizeFlag, sequence.below(4) != 0);
        ZSTD_inBuffer input{data.data(), data.size(), 0};
        ZSTD_compressStream2(context.get(), &output, &input, ZSTD_e_end);
    } else {  // in blocks
        for (size_t at = 0; at < data.size();) {
            const size_t size = std::min(data.size() - at, 1 + sequence.below(data.size()));
            ZSTD_inBuffer input{data.data() + at, size, 0};
            ZSTD_compressStream2(context.get(), &output, &input, ZSTD_e_flush);
            at += size;
        }
        ZSTD_inBuffer nothing{nullptr, 0, 0};
        ZSTD_compressStream2(context.get(), &output, &nothing, ZSTD_e_end);
    }
    out.resize(output.pos);
    return out;
}

std::string as_gzip(const std::string& data, Sequence& sequence) {
    z_stream stream{};
    REQUIRE(deflateInit2(&stream, static_cast<int>(sequence.below(10)), Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    std::string out(deflateBound(&stream, data.size()) + 64, '\0');
    stream.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(data.data()));
    stream.avail_in = static_cast<uInt>(data.size());
    stream.next_out = reinterpret_cast<uint8_t*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

std::string as_skippable(const std::string& data, Sequence& sequence) {
    std::string out{static_cast<char>(0x50 | sequence.below(16)), 0x2A, 0x4D, 0x18};
    const size_t lie = sequence.below(8) == 0 ? sequence.below(1 << 16) : 0;
    for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>((data.size() + lie) >> shift));
    return out + data;
}

}  // namespace

}  // namespace textassay::fuzz

constexpr size_t kParameters = 3;  // bytes in front of the file's

// Half of the time plain text is mutated and compressed anew: no mutation of bytes finds its way through an entropy coder.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
    using namespace textassay::fuzz;
    Sequence sequence(seed);
    if (size <= kParameters || sequence.below(2) == 0) return LLVMFuzzerMutate(data, size, max_size);
    const MemoryFile file(data + kParameters, size - kParameters);
    std::string text = decode(file, 20, kStep, 0).bytes;
    text.resize(std::min<size_t>(text.size(), max_size));
    const size_t before = text.size();
    text.resize(before + 64);
    text.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(text.data()), before, text.size()));
    std::string out;
    do {
        const std::string part = text.substr(0, sequence.below(2) == 0 ? text.size() : sequence.below(text.size() + 1));
        text.erase(0, part.size());
        switch (sequence.below(8)) {
            case 0: out += as_skippable(part, sequence); break;
            case 1:
            case 2: out += as_gzip(part, sequence); break;
            default: out += as_zstd(part, sequence);
        }
    } while (!text.empty() && out.size() < max_size);
    if (sequence.below(8) == 0) out.resize(sequence.below(out.size() + 1));
    const size_t taken = std::min(out.size(), max_size - kParameters);
    std::memcpy(data + kParameters, out.data(), taken);
    return kParameters + taken;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
    using namespace textassay::fuzz;
    Choices choices(input, size);
    const size_t step = size_t{1} << choices.below(18);
    const size_t groups = size_t{1} << choices.below(22);
    const uint8_t how = choices.byte();
    const int max_window_log = how & 1 ? 20 : 12;
    const uint64_t file_size = choices.rest_size();
    const MemoryFile file(choices.rest(), choices.rest_size());
    const Whole whole = decode(file, max_window_log, kStep, 0);
    if (whole.too_large) return 0;
    REQUIRE(whole.consumed <= file_size && (!whole.damage.empty() || whole.consumed == file_size));
    const size_t steps = whole.bytes.size() / step;
    for (const Whole& other : {decode(file, max_window_log, steps > 2000 ? whole.bytes.size() / 100 : step, 0),
                               decode(file, max_window_log, kStep, groups)}) {
        REQUIRE(other.format == whole.format);
        REQUIRE(other.damage == whole.damage);
        REQUIRE(other.bytes == whole.bytes);
        REQUIRE(other.counts.frames == whole.counts.frames && other.counts.without_checksum == whole.counts.without_checksum);
        REQUIRE(!whole.damage.empty() || other.consumed == whole.consumed);
    }
    if ((how & 14) == 2) {  // threads are dear
        const Scanned one = scan(file, max_window_log, 1), three = scan(file, max_window_log, 3);
        const Whole scanned = decode(file, max_window_log, kStep, size_t{2} << 20);
        check_account(one, scanned, file_size);
        check_account(three, scanned, file_size);
        check_alike(one, three);
    }
    return 0;
}
