#include "lines.hpp"

#include <algorithm>
#include <cstring>

namespace textassay {

namespace {

const uint8_t* find_last_line_feed(const uint8_t* begin, const uint8_t* end) {
    return static_cast<const uint8_t*>(memrchr(begin, '\n', static_cast<size_t>(end - begin)));
}

}  // namespace

void LineCutter::cut(Buffer buffer, size_t size, const std::function<void(Block)>& emit) {
    const size_t end = kHeadroom + size;
    size_t begin = kHeadroom + static_cast<size_t>(std::min<uint64_t>(to_skip_, size));
    to_skip_ -= begin - kHeadroom;
    size = end - begin;
    if (to_skip_ > 0) return;
    if (bytes_ + size < 3 && bytes_ == carry_.size()) {  // may be part of a byte order mark
        bytes_ += size;
        keep(buffer.data() + begin, size);
        return;
    }
    if (bytes_ == carry_.size() && line_offset_ == 0 && bytes_ < 3) begin = skip_byte_order_mark(buffer, begin, end);
    bytes_ += size;
    if (losing_line_) {
        const void* found = std::memchr(buffer.data() + begin, '\n', end - begin);
        const size_t line_end = found != nullptr ? static_cast<size_t>(static_cast<const uint8_t*>(found) - buffer.data()) + 1 : end;
        lost_bytes_ += line_end - begin;
        if (found == nullptr) return;
        emit_lost(Malformed::kTooLong, emit);
        begin = line_end;
    }
    const uint8_t* last = find_last_line_feed(buffer.data() + begin, buffer.data() + end);
    if (last == nullptr) {
        keep(buffer.data() + begin, end - begin);
        return;
    }
    const size_t lines_end = static_cast<size_t>(last - buffer.data()) + 1;
    if (carry_.size() > begin) {  // more than there is room for in front
        const void* first = std::memchr(buffer.data() + begin, '\n', end - begin);
        const size_t line_end = static_cast<size_t>(static_cast<const uint8_t*>(first) - buffer.data()) + 1;
        emit_long_line(buffer.data() + begin, line_end - begin, emit);
        begin = line_end;
    } else if (!carry_.empty()) {
        begin -= carry_.size();
        std::memcpy(buffer.data() + begin, carry_.data(), carry_.size());
    }
    carry_.clear();
    keep(buffer.data() + lines_end, end - lines_end);
    if (begin < lines_end) emit_lines(std::move(buffer), begin, lines_end, emit);
}

void LineCutter::finish(bool cut_off, const std::function<void(Block)>& emit) {
    emit_lines_kept(emit);
    if (losing_line_) {
        emit_lost(Malformed::kTooLong, emit);
    } else if (!carry_.empty() && cut_off) {
        lost_bytes_ = carry_.size();
        emit_lost(Malformed::kCutOff, emit);
    } else if (!carry_.empty()) {
        emit_long_line(nullptr, 0, emit);
    }
    carry_.clear();
}

size_t LineCutter::skip_byte_order_mark(Buffer& buffer, size_t begin, size_t end) {
    // At most two bytes were kept; they fit into the headroom.
    begin -= carry_.size();
    std::copy(carry_.begin(), carry_.end(), buffer.data() + begin);
    carry_.clear();
    static constexpr uint8_t kMark[3] = {0xEF, 0xBB, 0xBF};
    if (end - begin < 3 || std::memcmp(buffer.data() + begin, kMark, 3) != 0) return begin;
    byte_order_mark_ = line_offset_ = 3;
    return begin + 3;
}

void LineCutter::emit_lost(Malformed reason, const std::function<void(Block)>& emit) {
    Block block;
    block.lost_line = reason;
    block.lost_bytes = lost_bytes_;
    block.byte_offset = line_offset_;
    block.is_replayed = line_offset_ < replay_end_;
    block.order = order_++;
    line_offset_ += lost_bytes_;
    losing_line_ = false;
    lost_bytes_ = 0;
    emit(std::move(block));
}

void LineCutter::emit_lines(Buffer buffer, size_t begin, size_t end, const std::function<void(Block)>& emit) {
    const bool is_replayed = line_offset_ < replay_end_;
    if (is_replayed && end - begin > replay_end_ - line_offset_) {
        const size_t size = static_cast<size_t>(replay_end_ - line_offset_);
        Buffer replayed;
        replayed.reserve(size + kPaddingBehind);
        std::memcpy(replayed.data(), buffer.data() + begin, size);
        emit_lines(std::move(replayed), 0, size, emit);
        return emit_lines(std::move(buffer), begin + size, end, emit);
    }
    Block block;
    block.is_replayed = is_replayed;
    block.buffer = std::move(buffer);
    block.begin = begin;
    block.end = end;
    block.byte_offset = line_offset_;
    block.order = order_++;
    line_offset_ += end - begin;
    emit(std::move(block));
}

// Of a file of two bytes, which might have begun a byte order mark, whole lines may have been kept.
void LineCutter::emit_lines_kept(const std::function<void(Block)>& emit) {
    const auto begun = std::find(carry_.rbegin(), carry_.rend(), uint8_t{'\n'}).base();
    if (begun == carry_.begin()) return;
    const std::vector<uint8_t> rest(begun, carry_.end());
    carry_.erase(begun, carry_.end());
    emit_long_line(nullptr, 0, emit);
    carry_ = rest;
}

// The line begun and the rest of it, in a buffer of their own.
void LineCutter::emit_long_line(const uint8_t* rest, size_t size, const std::function<void(Block)>& emit) {
    Buffer line;
    line.reserve(carry_.size() + size + kPaddingBehind);
    std::copy(carry_.begin(), carry_.end(), line.data());
    std::copy(rest, rest + size, line.data() + carry_.size());
    emit_lines(std::move(line), 0, carry_.size() + size, emit);
}

void LineCutter::keep(const uint8_t* data, size_t size) {
    carry_.insert(carry_.end(), data, data + size);
    if (carry_.size() <= max_record_bytes_ + 1) return;  // one more: a CR belongs to the line break
    losing_line_ = true;
    lost_bytes_ = carry_.size();
    std::vector<uint8_t>().swap(carry_);
}

}  // namespace textassay
