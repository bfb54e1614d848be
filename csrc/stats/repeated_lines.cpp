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

double RepeatedLines::share(const uint8_t* text, size_t size) {
    n_lines_ = repeated_ = 0;
    distinct_.clear();
    use_slots(kFirstSlots);
    uint32_t line_begin = 0;
    for (size_t at = 0; at < size; at += kPieceBytes) {
        const size_t line_feeds = find_line_feeds(text, size, at);
        cut_ = 0;
        for (size_t i = 0; i < line_feeds; ++i) {
            add_line(text, line_begin, line_feeds_[i]);
            line_begin = line_feeds_[i] + 1;
        }
        if (at + kPieceBytes >= size) add_line(text, line_begin, static_cast<uint32_t>(size));
        count_lines(text, size);
    }
    if (slots_.size() > 1 << 16) {  // a huge document was here
        std::vector<uint32_t>().swap(slots_);
        std::vector<Line>().swap(distinct_);
    }
    return n_lines_ == 0 ? std::nan("") : static_cast<double>(repeated_) / static_cast<double>(n_lines_);
}

// Those of the piece that begins at `at`.
size_t RepeatedLines::find_line_feeds(const uint8_t* text, size_t size, size_t at) {
    const auto& kernels = kernels::active();
    const size_t piece = std::min(size - at, kPieceBytes), whole = piece / 64;
    const uint32_t base = static_cast<uint32_t>(at);
    size_t found = kernels.find_byte(text + at, whole, '\n', base, line_feeds_.data());
    if (piece % 64 != 0) {
        uint8_t last[64] = {};
        std::memcpy(last, text + at + 64 * whole, piece % 64);
        found += kernels.find_byte(last, 1, '\n', base + static_cast<uint32_t>(64 * whole), line_feeds_.data() + found);
    }
    return found;
}

// Only written to if nothing is left of it.
void RepeatedLines::add_line(const uint8_t* text, uint32_t begin, uint32_t end) {
    while (begin < end && is_trimmed(text[begin])) ++begin;
    while (begin < end && is_trimmed(text[end - 1])) --end;
    begins_[cut_] = begin;
    ends_[cut_] = end;
    cut_ += begin < end;
}

void RepeatedLines::count_lines(const uint8_t* text, size_t size) {
    kernels::active().hash_spans(text, size, begins_.data(), ends_.data(), cut_, keys_, hashes_.data());
    for (size_t i = 0; i < cut_; ++i) __builtin_prefetch(&slots_[hashes_[i] & mask_]);
    for (size_t i = 0; i < cut_; ++i) repeated_ += seen_before(text, {hashes_[i], begins_[i], ends_[i]});
    n_lines_ += cut_;
}

bool RepeatedLines::seen_before(const uint8_t* text, const Line& line) {
    size_t slot = line.hash & mask_;
    for (; slots_[slot] != 0; slot = (slot + 1) & mask_) {
        const Line& other = distinct_[slots_[slot] - 1];
        const uint32_t length = line.end - line.begin;
        if (other.hash == line.hash && other.end - other.begin == length &&
            std::memcmp(text + other.begin, text + line.begin, length) == 0)
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
