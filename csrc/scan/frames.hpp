// A file to its uncompressed bytes: zstd frames, gzip members or plain text, told apart by magic bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace textassay {

// Where bytes come from: a path, or a descriptor that somebody else opened and closes.
struct SourceName {
    std::string path;
    int descriptor = -1;
};

// Reads a file from front to back.
class Source {
   public:
    // From `offset` on, other than 0 only in a regular file. Throws ScanError if the path can't be opened.
    explicit Source(const SourceName& name, uint64_t offset = 0);
    ~Source();
    Source(const Source&) = delete;

    // Bytes at hand but not consumed.
    const uint8_t* data() const { return buffer_.data() + begin_; }
    size_t available() const { return end_ - begin_; }
    // Makes at least `wanted` bytes available, unless the file ends before or can't be read on: then failure() says why.
    size_t fill(size_t wanted);
    const std::string& failure() const { return failure_; }
    void consume(size_t bytes) {
        begin_ += bytes;
        consumed_ += bytes;
    }

    uint64_t consumed() const { return consumed_; }
    uint64_t size_on_disk() const { return size_on_disk_; }  // 0 if not a regular file

   private:
    int descriptor_;
    bool owned_;
    bool at_end_ = false;
    std::string failure_;
    std::vector<uint8_t> buffer_;
    size_t begin_ = 0, end_ = 0;
    uint64_t consumed_ = 0;
    uint64_t size_on_disk_ = 0;
};

struct FrameCounts {
    uint64_t frames = 0, without_checksum = 0;

    void merge(const FrameCounts& other) {
        frames += other.frames;
        without_checksum += other.without_checksum;
    }
};

// Where decoding can begin: a frame or a member does there, or it is plain text. `frames` are those before it.
struct FrameBegin {
    uint64_t compressed = 0, bytes = 0;
    FrameCounts frames;
};

// What came out of a step of decoding.
struct Decoded {
    size_t bytes = 0;
    size_t compressed_bytes = 0;  // of a frame group: how much of it was taken
    FrameCounts frames;           // and those of its frames that were begun
    bool end = false;     // nothing follows
    std::string damage;   // not empty: nothing follows, and this is why
    std::optional<FrameBegin> last_begin;  // in this step; its `bytes` and `frames` count from the step's begin
};

class Decoder {
   public:
    virtual ~Decoder() = default;
    // Fills `out` as far as there is something. Bytes decoded before a damage come out before it is told.
    virtual Decoded decode(uint8_t* out, size_t capacity) = 0;
    virtual const char* format() const = 0;
    // Whether take_frame_group may be asked now: the source stands between two zstd frames.
    virtual bool takes_frame_groups() const { return false; }
    FrameCounts counts;
};

// `source` must outlive the decoder. zstd windows above 2^max_window_log are refused.
std::unique_ptr<Decoder> open_decoder(Source& source, int max_window_log);
// Of a source that begins at a FrameBegin of a file of this format.
std::unique_ptr<Decoder> open_decoder(Source& source, int max_window_log, const std::string& format);

// Several whole zstd frames in memory, to be decoded by whoever has time.
struct FrameGroup {
    std::vector<uint8_t> compressed;
    size_t content_size = 0;  // as the frame headers declare it
};

// If whole zstd frames of known, moderate size come next in `source`, moves about `wanted` bytes worth of them into `group`.
// False if what comes next must be streamed, or nothing comes.
bool take_frame_group(Source& source, size_t wanted, FrameGroup& group);

// Decodes a group into `out`; stops at a damage, with what came before it. `capacity` must exceed the content size.
Decoded decode_frame_group(const FrameGroup& group, int max_window_log, uint8_t* out, size_t capacity);

std::string zstd_version();
std::string zlib_library_version();

}  // namespace textassay
