// Uncompressed bytes to blocks of whole lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "buffer.hpp"
#include "text.hpp"

namespace textassay {

// Room in front of a buffer's data for the line that the buffer before cut off.
inline constexpr size_t kHeadroom = size_t{1} << 20;
inline constexpr size_t kPaddingBehind = simdjson::SIMDJSON_PADDING;

// A value of a row: buffer[begin, begin + size).
struct Cell {
    static constexpr uint64_t kNull = ~uint64_t{0};
    uint64_t begin = 0, size = kNull;

    bool is_null() const { return size == kNull; }
};

struct Block {
    // Whole lines at buffer[begin, end), kPaddingBehind readable bytes behind. The last one of a file may lack its LF.
    Buffer buffer;
    size_t begin = 0, end = 0;
    uint64_t byte_offset = 0;  // of `begin`, in the uncompressed stream
    // Instead of lines: rows, one after the other, whose texts have so many bytes (rows.hpp).
    std::vector<Cell> cells;
    uint64_t text_bytes = 0;
    // Instead of the above: one line or row that was not kept, of so many bytes with its LF.
    Malformed lost_line = Malformed::kNone;
    uint64_t lost_bytes = 0;
    bool is_replayed = false;  // counted before, but for the batch that its documents began
    uint64_t order = 0;  // 0, 1, 2, ... within the file
};

// Where a file is gone on with: lines from `begin` on, those before `replay_end` once more. The data begins `skipped` bytes before.
struct LinesBegin {
    uint64_t skipped = 0, begin = 0, replay_end = 0;
};

class LineCutter {
   public:
    explicit LineCutter(size_t max_record_bytes, const LinesBegin& from = {})
        : max_record_bytes_(max_record_bytes),
          replay_end_(from.replay_end),
          to_skip_(from.skipped),
          bytes_(from.begin),
          line_offset_(from.begin) {}

    // Data at buffer[kHeadroom, kHeadroom + size), with room for kPaddingBehind more. Calls `emit` for each block.
    void cut(Buffer buffer, size_t size, const std::function<void(Block)>& emit);
    // After the last data. `cut_off`: the file is damaged, and what is left is no whole line.
    void finish(bool cut_off, const std::function<void(Block)>& emit);

    uint64_t bytes() const { return bytes_; }
    // All lines before have been handed out.
    uint64_t line_offset() const { return line_offset_; }
    uint64_t bytes_in_byte_order_mark() const { return byte_order_mark_; }

   private:
    size_t skip_byte_order_mark(Buffer& buffer, size_t begin, size_t end);
    void emit_lost(Malformed reason, const std::function<void(Block)>& emit);
    void emit_lines(Buffer buffer, size_t begin, size_t end, const std::function<void(Block)>& emit);
    void emit_lines_kept(const std::function<void(Block)>& emit);
    void emit_long_line(const uint8_t* rest, size_t size, const std::function<void(Block)>& emit);
    void keep(const uint8_t* data, size_t size);

    const size_t max_record_bytes_;
    const uint64_t replay_end_;
    uint64_t to_skip_;
    std::vector<uint8_t> carry_;  // the line begun
    bool losing_line_ = false;    // that line is too long: only counted
    uint64_t lost_bytes_ = 0;
    uint64_t bytes_;              // seen
    uint64_t line_offset_;        // of the line begun
    uint64_t byte_order_mark_ = 0;
    uint64_t order_ = 0;
};

}  // namespace textassay
