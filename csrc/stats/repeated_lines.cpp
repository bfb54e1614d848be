#include "repeated_lines.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "token_key.hpp"

namespace textassay {

namespace {

bool is_trimmed(uint8_t byte) { return byte == ' ' || byte == '\t' || byte == '\r'; }

}  // namespace

double RepeatedLines::share(const uint8_t* text, size_t size) {
    lines_.clear();
    std::fill(slots_.begin(), slots_.end(), 0);
    uint64_t lines = 0, repeated = 0;
    for (const uint8_t *at = text, *const end = text + size; at < end;) {
        const void* found = std::memchr(at, '\n', static_cast<size_t>(end - at));
        const uint8_t* line_end = found != nullptr ? static_cast<const uint8_t*>(found) : end;
        const uint8_t *first = at, *last = line_end;
        while (first < last && is_trimmed(*first)) ++first;
        while (first < last && is_trimmed(last[-1])) --last;
        at = line_end + 1;
        if (first == last) continue;
        ++lines;
        const size_t length = static_cast<size_t>(last - first);
        repeated += seen_before({hash_bytes(first, length), first, length});
    }
    if (slots_.size() > 1 << 16) std::vector<uint32_t>().swap(slots_);  // a huge document was here
    return lines == 0 ? std::nan("") : static_cast<double>(repeated) / static_cast<double>(lines);
}

bool RepeatedLines::seen_before(const Line& line) {
    if (2 * (lines_.size() + 1) > slots_.size()) {
        slots_.assign(std::max<size_t>(64, 2 * slots_.size()), 0);
        for (uint32_t i = 0; i < lines_.size(); ++i) {
            size_t slot = lines_[i].hash & (slots_.size() - 1);
            while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
            slots_[slot] = i + 1;
        }
    }
    size_t slot = line.hash & (slots_.size() - 1);
    for (; slots_[slot] != 0; slot = (slot + 1) & (slots_.size() - 1)) {
        const Line& other = lines_[slots_[slot] - 1];
        if (other.hash == line.hash && other.size == line.size && std::memcmp(other.bytes, line.bytes, line.size) == 0)
            return true;
    }
    lines_.push_back(line);
    slots_[slot] = static_cast<uint32_t>(lines_.size());
    return false;
}

}  // namespace textassay
