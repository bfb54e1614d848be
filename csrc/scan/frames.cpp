#include "frames.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

#include "error.hpp"

namespace textassay {

namespace {

constexpr size_t kReadBytes = size_t{1} << 20;
constexpr uint32_t kZstdMagic = 0xFD2FB528u;
constexpr uint32_t kSkippableMagic = 0x184D2A50u;  // and the 15 above
constexpr size_t kGroupFrameLimit = size_t{4} << 20;  // larger frames are streamed

uint32_t little_endian32(const uint8_t* p) {
    return p[0] | static_cast<uint32_t>(p[1]) << 8 | static_cast<uint32_t>(p[2]) << 16 | static_cast<uint32_t>(p[3]) << 24;
}
// A file that cannot be opened for such a reason is not unreadable.
bool is_of_machine(int error) { return error == EMFILE || error == ENFILE || error == ENOMEM; }
bool is_skippable(uint32_t magic) { return (magic & ~15u) == kSkippableMagic; }

// RFC 8878, 3.1.1.1: the descriptor byte behind the magic number says how long the header is.
struct FrameHeader {
    size_t size;
    bool has_checksum;
    bool has_content_size;
    uint64_t content_size;
    uint64_t window;
    uint32_t dictionary;  // 0: none, or one without a number
};
constexpr size_t kLongestFrameHeader = 18;
constexpr int kLargestWindowLog = 31;
constexpr size_t kBlockHeaderSize = 3;

uint64_t little_endian(const uint8_t* p, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) value |= static_cast<uint64_t>(p[i]) << (8 * i);
    return value;
}

FrameHeader read_frame_header(const uint8_t* frame, size_t available) {
    const uint8_t descriptor = available > 4 ? frame[4] : uint8_t{0};
    const bool single_segment = descriptor & 0x20;
    static constexpr size_t kDictionaryBytes[4] = {0, 1, 2, 4};
    static constexpr size_t kContentBytes[4] = {0, 2, 4, 8};
    const size_t content_bytes = descriptor >> 6 == 0 ? single_segment : kContentBytes[descriptor >> 6];
    const size_t dictionary_bytes = kDictionaryBytes[descriptor & 3];
    const size_t dictionary_at = 5 + !single_segment, content_at = dictionary_at + dictionary_bytes;
    FrameHeader header{content_at + content_bytes, (descriptor & 4) != 0, content_bytes != 0, 0, 0, 0};
    if (available < header.size) return header;
    header.dictionary = static_cast<uint32_t>(little_endian(frame + dictionary_at, dictionary_bytes));
    header.content_size = little_endian(frame + content_at, content_bytes) + (content_bytes == 2 ? 256 : 0);
    const uint64_t base = uint64_t{1} << (10 + (frame[5] >> 3));
    header.window = single_segment ? header.content_size : base + base / 8 * (frame[5] & 7);
    return header;
}

// The same words as _numba/frames.py's. No window is larger than 2^31, whatever is allowed.
std::string too_large(uint64_t window, int max_window_log) {
    const int log = std::bit_width(window - 1);
    const std::string found = "wanted a zstd window of at most 2^" + std::to_string(max_window_log) + " bytes, found one of " + std::to_string(window);
    const std::string allowing = std::to_string(log);
    return found + (log > kLargestWindowLog ? ", which nothing allows" : ": allowed by --max-window " + allowing + ", max_window_log=" + allowing);
}

// Feeds zstd frames to libzstd in pieces: the header, then header and content of a block at a time. Given more it decodes on, and
// of a damaged frame what it decoded in the failing call would not come out.
class FrameStream {
   public:
    explicit FrameStream(int max_window_log) : max_window_log_(max_window_log), context_(ZSTD_createDCtx()) {
        if (context_ == nullptr) throw std::bad_alloc();
        ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, max_window_log);
    }
    ~FrameStream() { ZSTD_freeDCtx(context_); }
    FrameStream(const FrameStream&) = delete;

    void begin(const FrameHeader& header) {
        ZSTD_DCtx_reset(context_, ZSTD_reset_session_only);
        wanted_ = header.size;
        content_left_ = header.has_content_size ? header.content_size : UINT64_MAX;
        header_ = header;
        in_frame_ = true;
        at_block_ = is_last_block_ = holds_output_ = false;
    }
    bool in_frame() const { return in_frame_; }

    // Decodes from `in` into `out`; says how much of either was used. Empty, or what is wrong. `in` has kBlockHeaderSize bytes or
    // more, unless there are no more.
    std::string step(const uint8_t* in, size_t in_size, size_t& in_used, uint8_t* out, size_t out_size, size_t& out_used) {
        if (at_block_ && in_size >= kBlockHeaderSize) is_last_block_ = in[0] & 1;
        // What it holds comes out before it gets more: of a call that fails nothing would.
        ZSTD_inBuffer input{in, holds_output_ ? 0 : std::min(in_size, wanted_), 0};
        ZSTD_outBuffer output{out, static_cast<size_t>(std::min<uint64_t>(out_size, content_left_)), 0};
        const size_t left = ZSTD_decompressStream(context_, &output, &input);
        in_used = input.pos;
        out_used = output.pos;
        check_memory(left);
        if (ZSTD_isError(left)) return explain(left);
        // Behind all but the last block libzstd asks for the next one's header, too.
        at_block_ = !is_last_block_ && left == kBlockHeaderSize;
        wanted_ = is_last_block_ || at_block_ ? left : left - kBlockHeaderSize;
        in_frame_ = left != 0;
        holds_output_ = out_used > 0 && out_used == output.size && out_used < content_left_;
        if (content_left_ == UINT64_MAX) return {};
        content_left_ -= out_used;
        // libzstd itself looks at the declared size only behind a last block that is not empty.
        if (in_frame_ && content_left_ == 0 && input.size > 0 && in_used == 0)
            return "wanted the content size that the zstd frame declares, found more";
        return in_frame_ || content_left_ == 0 ? "" : "wanted the content size that the zstd frame declares, found less";
    }

   private:
    // That is not the file's fault.
    static void check_memory(size_t result) {
        if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) throw std::bad_alloc();
    }
    std::string explain(size_t error) const {
        if (ZSTD_getErrorCode(error) == ZSTD_error_frameParameter_windowTooLarge) return too_large(header_.window, max_window_log_);
        if (header_.dictionary != 0 && ZSTD_getErrorCode(error) == ZSTD_error_dictionary_wrong)
            return "wanted a zstd frame without a dictionary, found one that needs " + std::to_string(header_.dictionary);
        return ZSTD_getErrorName(error);
    }

    const int max_window_log_;
    ZSTD_DCtx* context_;
    FrameHeader header_{};
    size_t wanted_ = 0;  // input of the next step
    uint64_t content_left_ = 0;
    bool in_frame_ = false;
    bool at_block_ = false;  // its header comes next
    bool is_last_block_ = false;
    bool holds_output_ = false;  // perhaps: the last step filled its room
};

class ZstdDecoder final : public Decoder {
   public:
    ZstdDecoder(Source& source, int max_window_log) : source_(source), stream_(max_window_log) {}
    const char* format() const override { return "zstd"; }
    bool takes_frame_groups() const override { return !stream_.in_frame(); }

    Decoded decode(uint8_t* out, size_t capacity) override {
        Decoded result;
        while (result.bytes < capacity) {
            if (!stream_.in_frame() && !begin_frame(result)) return result;
            if (source_.fill(kBlockHeaderSize) == 0) {
                // libzstd may still hold decoded bytes that did not fit before.
                size_t in_used, out_used;
                result.damage = stream_.step(nullptr, 0, in_used, out + result.bytes, capacity - result.bytes, out_used);
                result.bytes += out_used;
                if (result.damage.empty() && stream_.in_frame() && out_used == 0)
                    result.damage = "wanted the rest of a zstd frame, found the end of the file";
                if (!result.damage.empty()) return result;
                continue;
            }
            size_t in_used, out_used;
            result.damage = stream_.step(source_.data(), source_.available(), in_used, out + result.bytes,
                                         capacity - result.bytes, out_used);
            source_.consume(in_used);
            result.bytes += out_used;
            if (!result.damage.empty()) return result;
        }
        return result;
    }

   private:
    // Moves to the next frame's begin. False at the end of the file, or at a damage.
    bool begin_frame(Decoded& result) {
        for (;;) {
            const size_t available = source_.fill(kLongestFrameHeader);
            if (available == 0) {
                result.end = true;
                return false;
            }
            const uint32_t magic = available >= 4 ? little_endian32(source_.data()) : 0;
            if (magic == kZstdMagic) {
                const FrameHeader header = read_frame_header(source_.data(), available);
                result.last_begin = {source_.consumed(), result.bytes, counts};
                ++counts.frames;
                counts.without_checksum += !header.has_checksum;
                stream_.begin(header);
                return true;
            }
            if (!is_skippable(magic)) {
                result.damage = available < 4 ? "wanted a zstd frame, found the end of the file"
                                              : "wanted a zstd frame, found other bytes";
                return false;
            }
            if (!skip_frame(result)) return false;
        }
    }

    bool skip_frame(Decoded& result) {
        uint64_t left = source_.available() >= 8 ? 8 + uint64_t{little_endian32(source_.data() + 4)} : UINT64_MAX;
        while (left > 0) {
            const size_t step = static_cast<size_t>(std::min<uint64_t>(left, source_.fill(1)));
            if (step == 0) {
                result.damage = "wanted the rest of a skippable frame, found the end of the file";
                return false;
            }
            source_.consume(step);
            left -= step;
        }
        return true;
    }

    Source& source_;
    FrameStream stream_;
};

class GzipDecoder final : public Decoder {
   public:
    explicit GzipDecoder(Source& source) : source_(source) {
        if (inflateInit2(&stream_, 15 + 16) != Z_OK) throw std::bad_alloc();
    }
    ~GzipDecoder() override { inflateEnd(&stream_); }
    const char* format() const override { return "gzip"; }

    Decoded decode(uint8_t* out, size_t capacity) override {
        Decoded result;
        while (result.bytes < capacity) {
            if (!in_member_ && !begin_member(result)) return result;
            const size_t available = source_.fill(1);
            stream_.next_in = const_cast<uint8_t*>(source_.data());
            stream_.avail_in = static_cast<uInt>(std::min<size_t>(available, kReadBytes));
            const uInt offered = stream_.avail_in;
            const uInt room = static_cast<uInt>(std::min<size_t>(capacity - result.bytes, 1u << 30));
            stream_.next_out = out + result.bytes;
            stream_.avail_out = room;
            const int status = inflate(&stream_, Z_NO_FLUSH);
            if (status == Z_MEM_ERROR) throw std::bad_alloc();
            source_.consume(offered - stream_.avail_in);
            result.bytes += room - stream_.avail_out;
            if (status == Z_STREAM_END) {
                in_member_ = false;
            } else if (status != Z_OK && status != Z_BUF_ERROR) {
                result.damage = stream_.msg != nullptr ? stream_.msg : "gzip member is damaged";
                return result;
            } else if (available == 0 && stream_.avail_out == room) {  // nor held zlib anything that did not fit before
                result.damage = "wanted the rest of a gzip member, found the end of the file";
                return result;
            }
        }
        return result;
    }

   private:
    bool begin_member(Decoded& result) {
        const size_t available = source_.fill(2);
        if (available == 0) {
            result.end = true;
            return false;
        }
        if (available < 2 || source_.data()[0] != 0x1F || source_.data()[1] != 0x8B) {
            result.damage = "wanted a gzip member, found other bytes";
            return false;
        }
        inflateReset(&stream_);
        result.last_begin = {source_.consumed(), result.bytes, counts};
        ++counts.frames;
        in_member_ = true;
        return true;
    }

    Source& source_;
    z_stream stream_{};
    bool in_member_ = false;
};

class PlainDecoder final : public Decoder {
   public:
    explicit PlainDecoder(Source& source) : source_(source) {}
    const char* format() const override { return "plain"; }

    Decoded decode(uint8_t* out, size_t capacity) override {
        Decoded result;
        result.last_begin = {source_.consumed(), 0, counts};
        while (result.bytes < capacity) {
            const size_t available = source_.fill(1);
            if (available == 0) {
                result.end = true;
                break;
            }
            const size_t step = std::min(available, capacity - result.bytes);
            std::memcpy(out + result.bytes, source_.data(), step);
            source_.consume(step);
            result.bytes += step;
        }
        return result;
    }

   private:
    Source& source_;
};

// Nothing of a file in a format that is not read: as lines it would be millions of malformed records.
class NoDecoder final : public Decoder {
   public:
    explicit NoDecoder(std::string format) : format_(std::move(format)) {}
    const char* format() const override { return format_.c_str(); }

    Decoded decode(uint8_t*, size_t) override {
        Decoded result;
        result.damage = "wanted zstd, gzip or plain text, found " + format_;
        return result;
    }

   private:
    const std::string format_;
};

// "plain", or by its first bytes the name of a format that is not read.
const char* unread_format(Source& source) {
    constexpr size_t kLongest = 10;
    const size_t available = std::min(source.fill(kLongest), kLongest);
    const std::string_view begin(reinterpret_cast<const char*>(source.data()), available);
    static constexpr std::pair<const char*, std::string_view> kMagic[] = {
        {"xz", {"\xFD" "7zXZ\0", 6}}, {"lz4", "\x04\"M\x18"}, {"zip", "PK\3\4"}, {"Parquet", "PAR1"}, {"Arrow", "ARROW1"}};
    for (const auto& [name, magic] : kMagic)
        if (begin.starts_with(magic)) return name;
    const bool is_bzip2 = begin.starts_with("BZh") && begin.ends_with("1AY&SY") && begin.size() == kLongest;
    return is_bzip2 ? "bzip2" : "plain";
}

// The size of the whole frame at the source's front, or 0 if it must be streamed: content size unknown or large, or cut.
size_t whole_frame_size(Source& source, size_t at, FrameHeader& header) {
    if (source.fill(at + kLongestFrameHeader) < at + 8) return 0;
    const uint32_t magic = little_endian32(source.data() + at);
    if (is_skippable(magic)) {
        header = {};
        const size_t size = 8 + size_t{little_endian32(source.data() + at + 4)};
        return size <= kGroupFrameLimit && source.fill(at + size) >= at + size ? size : 0;
    }
    if (magic != kZstdMagic) return 0;
    header = read_frame_header(source.data() + at, source.available() - at);
    if (!header.has_content_size || header.content_size > kGroupFrameLimit) return 0;
    size_t end = at + header.size;
    for (bool last = false; !last;) {
        if (source.fill(end + 3) < end + 3) return 0;
        const uint8_t* block = source.data() + end;
        const uint32_t block_header = block[0] | static_cast<uint32_t>(block[1]) << 8 | static_cast<uint32_t>(block[2]) << 16;
        last = block_header & 1;
        const bool repeated_byte = (block_header >> 1 & 3) == 1;
        end += 3 + (repeated_byte ? 1 : block_header >> 3);
        if (end - at > 2 * kGroupFrameLimit) return 0;
    }
    end += header.has_checksum ? 4 : 0;
    return source.fill(end) >= end ? end - at : 0;
}

}  // namespace

Source::Source(const SourceName& name, uint64_t offset)
    : descriptor_(name.descriptor), owned_(name.descriptor < 0), buffer_(2 * kReadBytes), consumed_(offset) {
    if (owned_) {
        do descriptor_ = ::open(name.path.c_str(), O_RDONLY | O_CLOEXEC);
        while (descriptor_ < 0 && errno == EINTR);
        if (descriptor_ < 0 && is_of_machine(errno)) throw SystemError(errno, name.path);
        if (descriptor_ < 0) throw ScanError(std::strerror(errno), 0);
    }
    if (offset > 0 && ::lseek(descriptor_, static_cast<off_t>(offset), SEEK_SET) < 0) {
        const int error = errno;
        if (owned_) ::close(descriptor_);
        throw ScanError(std::strerror(error), 0);
    }
    struct stat status;
    if (::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode)) {
        size_on_disk_ = static_cast<uint64_t>(status.st_size);
        ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
}

Source::~Source() {
    if (owned_) ::close(descriptor_);
}

size_t Source::fill(size_t wanted) {
    while (available() < wanted && !at_end_) {
        if (begin_ > 0 && (begin_ == end_ || buffer_.size() - begin_ < wanted || buffer_.size() - end_ < kReadBytes / 2)) {
            std::memmove(buffer_.data(), buffer_.data() + begin_, available());
            end_ -= begin_;
            begin_ = 0;
        }
        if (buffer_.size() < begin_ + wanted + kReadBytes / 2) buffer_.resize(begin_ + wanted + kReadBytes);
        const ssize_t got = ::read(descriptor_, buffer_.data() + end_, std::min(buffer_.size() - end_, kReadBytes));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) failure_ = std::strerror(errno);
        at_end_ = got <= 0;
        end_ += got > 0 ? static_cast<size_t>(got) : 0;
    }
    return available();
}

std::unique_ptr<Decoder> open_decoder(Source& source, int max_window_log) {
    const size_t available = source.fill(4);
    const uint8_t* magic = source.data();
    const bool is_zstd = available >= 4 && (little_endian32(magic) == kZstdMagic || is_skippable(little_endian32(magic)));
    const bool is_gzip = available >= 2 && magic[0] == 0x1F && magic[1] == 0x8B;
    return open_decoder(source, max_window_log, is_zstd ? "zstd" : is_gzip ? "gzip" : unread_format(source));
}

std::unique_ptr<Decoder> open_decoder(Source& source, int max_window_log, const std::string& format) {
    if (format == "zstd") return std::make_unique<ZstdDecoder>(source, max_window_log);
    if (format == "gzip") return std::make_unique<GzipDecoder>(source);
    if (format != "plain") return std::make_unique<NoDecoder>(format);
    return std::make_unique<PlainDecoder>(source);
}

bool take_frame_group(Source& source, size_t wanted, FrameGroup& group) {
    group = {};
    size_t end = 0;
    while (group.content_size < wanted && end < 2 * kGroupFrameLimit) {
        FrameHeader header{};
        const size_t size = whole_frame_size(source, end, header);
        if (size == 0 || (group.content_size > 0 && group.content_size + header.content_size > 2 * wanted)) break;
        end += size;
        if (header.size == 0) continue;  // skippable
        group.content_size += header.content_size;
    }
    if (end == 0) return false;
    group.compressed.assign(source.data(), source.data() + end);
    source.consume(end);
    return true;
}

Decoded decode_frame_group(const FrameGroup& group, int max_window_log, uint8_t* out, size_t capacity) {
    FrameStream stream(max_window_log);
    Decoded result;
    const uint8_t *at = group.compressed.data(), *const end = at + group.compressed.size();
    while (at < end && result.damage.empty()) {
        if (!stream.in_frame()) {
            const uint32_t magic = little_endian32(at);
            if (is_skippable(magic)) {
                at += 8 + size_t{little_endian32(at + 4)};
                continue;
            }
            const FrameHeader header = read_frame_header(at, static_cast<size_t>(end - at));
            ++result.frames.frames;
            result.frames.without_checksum += !header.has_checksum;
            stream.begin(header);
        }
        size_t in_used, out_used;
        result.damage = stream.step(at, static_cast<size_t>(end - at), in_used, out + result.bytes, capacity - result.bytes, out_used);
        at += in_used;
        result.bytes += out_used;
    }
    result.compressed_bytes = static_cast<size_t>(at - group.compressed.data());
    if (result.damage.empty() && stream.in_frame()) result.damage = "zstd frame is cut";
    return result;
}

std::string zstd_version() { return ZSTD_versionString(); }
std::string zlib_library_version() { return zlibVersion(); }

}  // namespace textassay
