#include "repeated_lines.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "token_key.hpp"

namespace textassay {

namespace {

constexpr size_t kPieceBytes = kernels::kChunkBytes;
constexpr size_t kFirstSlots = 64;

bool is_trimmed(uint8_t byte) { return byte == ' ' || byte == '\t' || byte == '\r'; }

kernels::SpanKeys draw_keys() {
    kernels::SpanKeys keys;
    for (uint32_t i = 0; i < 32; ++i) keys.words[i] = static_cast<uint32_t>(hash_of(i, 0) >> 32);
    keys.chain = hash_of(32, 0) | 1;
    return keys;
}

}  // namespace

RepeatedLines::RepeatedLines()
    : keys_(draw_keys()), line_feeds_(kPieceBytes + 64), begins_(kPieceBytes + 1), ends_(kPieceBytes + 1), hashes_(kPieceBytes + 1) {}

void RepeatedLines::begin(const uint8_t* text, size_t size) {
    text_ = text;
    size_ = size;
    at_ = 0;
    line_begin_ = 0;
    n_lines_ = repeated_ = 0;
    distinct_.clear();
    use_slots(kFirstSlots);
}

void RepeatedLines::advance(size_t end) {
    while (at_ < end) {
        const size_t piece = std::min(end - at_, kPieceBytes);
        const uint32_t base = static_cast<uint32_t>(at_);
        cut_lines(kernels::active().find_byte(text_ + at_, piece / 64, '\n', base, line_feeds_.data()));
        at_ += piece;
    }
}

double RepeatedLines::share() {
    advance(size_ / 64 * 64);
    uint8_t last[64] = {};
    std::copy(text_ + at_, text_ + size_, last);
    cut_lines(kernels::active().find_byte(last, 1, '\n', static_cast<uint32_t>(at_), line_feeds_.data()));
    cut_ = 0;
    add_line(static_cast<uint32_t>(size_));
    count_lines();
    if (slots_.size() > 1 << 16) {  // a huge document was here
        std::vector<uint32_t>().swap(slots_);
        std::vector<Line>().swap(distinct_);
    }
    return n_lines_ == 0 ? std::nan("") : static_cast<double>(repeated_) / static_cast<double>(n_lines_);
}

void RepeatedLines::cut_lines(size_t line_feeds) {
    cut_ = 0;
    for (size_t i = 0; i < line_feeds; ++i) add_line(line_feeds_[i]);
    count_lines();
}

// Only written to if nothing is left of it.
void RepeatedLines::add_line(uint32_t end) {
    uint32_t begin = line_begin_;
    line_begin_ = end + 1;
    while (begin < end && is_trimmed(text_[begin])) ++begin;
    while (begin < end && is_trimmed(text_[end - 1])) --end;
    begins_[cut_] = begin;
    ends_[cut_] = end;
    cut_ += begin < end;
}

void RepeatedLines::count_lines() {
    kernels::active().hash_spans(text_, size_, begins_.data(), ends_.data(), cut_, keys_, hashes_.data());
    for (size_t i = 0; i < cut_; ++i) __builtin_prefetch(&slots_[hashes_[i] & mask_]);
    for (size_t i = 0; i < cut_; ++i) repeated_ += seen_before({hashes_[i], begins_[i], ends_[i]});
    n_lines_ += cut_;
}

bool RepeatedLines::seen_before(const Line& line) {
    size_t slot = line.hash & mask_;
    for (; slots_[slot] != 0; slot = (slot + 1) & mask_) {
        const Line& other = distinct_[slots_[slot] - 1];
        const uint32_t length = line.end - line.begin;
        if (other.hash == line.hash && other.end - other.begin == length &&
            std::memcmp(text_ + other.begin, text_ + line.begin, length) == 0)
            return true;
    }
    distinct_.push_back(line);
    slots_[slot] = static_cast<uint32_t>(distinct_.size());
    if (2 * distinct_.size() > mask_) use_slots(4 * (mask_ + 1));
    return false;
}

// Only the part in use is cleared: most documents are small, and some are not.
void RepeatedLines::use_slots(size_t slots) {
    if (slots_.size() < slots) slots_.resize(slots);
    std::fill_n(slots_.begin(), slots, 0);
    mask_ = slots - 1;
    for (uint32_t i = 0; i < distinct_.size(); ++i) {
        size_t slot = distinct_[i].hash & mask_;
        while (slots_[slot] != 0) slot = (slot + 1) & mask_;
        slots_[slot] = i + 1;
    }
}

}  // namespace textassay
