#include "ngram_runs.hpp"

#include <algorithm>

namespace textassay {

void NgramCounter::add(const WordStream& stream) {
    const std::vector<uint32_t>& words = stream.words;
    for (size_t i = WordStream::kLead; i < words.size(); ++i) {
        if (words[i] == Anchor::kBegin) continue;
        const uint64_t middle = words[i - 1];
        const uint64_t first = middle == Anchor::kBegin ? NgramCount::kNoWord : words[i - 2];
        counts_.push_back({middle << 32 | first, static_cast<uint64_t>(words[i]) << 32 | 1});
    }
    if (counts_.size() < runs_.capacity()) return;
    combine();
    if (counts_.size() < runs_.capacity() / 2) return;  // most were repetitions: there is room for more
    runs_.write(counts_);
    counts_.clear();
}

void NgramCounter::finish() {
    combine();
    if (!counts_.empty()) runs_.write(counts_);
    counts_.clear();
    counts_.shrink_to_fit();
}

void NgramCounter::combine() {
    std::sort(counts_.begin(), counts_.end(), [](const NgramCount& a, const NgramCount& b) {
        return a.middle_first != b.middle_first ? a.middle_first < b.middle_first : a.last_count < b.last_count;
    });
    size_t kept = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
        if (kept > 0 && counts_[kept - 1].same_ngram(counts_[i])) {
            const uint64_t count = (counts_[kept - 1].last_count & 0xFFFFFFFF) + (counts_[i].last_count & 0xFFFFFFFF);
            counts_[kept - 1].last_count = counts_[i].last_count >> 32 << 32 | std::min<uint64_t>(count, 0xFFFFFFFF);
        } else {
            counts_[kept++] = counts_[i];
        }
    }
    counts_.resize(kept);
}

}  // namespace textassay
