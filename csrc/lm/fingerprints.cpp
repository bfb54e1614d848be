#include "fingerprints.hpp"

#include <algorithm>
#include <atomic>

namespace textassay {

namespace {

constexpr uint64_t kBase = 0x9E3779B97F4A7C15u;

constexpr uint64_t power(uint64_t base, size_t exponent) { return exponent == 0 ? 1 : base * power(base, exponent - 1); }

// The hash of each run of kFingerprintTokens tokens: a polynomial in kBase, taken on from run to run.
void hash_runs(const uint32_t* types, size_t tokens, const uint64_t* hashes, std::vector<uint64_t>& runs) {
    constexpr uint64_t kLeaving = power(kBase, kFingerprintTokens);
    uint64_t sum = 0;
    for (size_t i = 0; i < tokens; ++i) {
        sum = sum * kBase + hashes[types[i]];
        if (i + 1 < kFingerprintTokens) continue;
        if (i >= kFingerprintTokens) sum -= kLeaving * hashes[types[i - kFingerprintTokens]];
        runs[i + 1 - kFingerprintTokens] = finish_hash(sum);
    }
}

// The last of the least.
size_t place_of_least(const std::vector<uint64_t>& hashes, size_t begin, size_t end) {
    size_t least = begin;
    for (size_t i = begin + 1; i < end; ++i)
        if (hashes[i] <= hashes[least]) least = i;
    return least;
}

// Keeps the least of each group of consecutive hashes, each place once. What is kept goes to the front: the k-th group is behind
// place k, and nothing is kept twice, so no hash is overwritten that is still to be looked at.
void winnow(std::vector<uint64_t>& hashes) {
    const size_t group = std::min(kWinnowed, hashes.size());
    size_t kept = 0, least = 0, kept_last = hashes.size();
    for (size_t i = 0; i < hashes.size(); ++i) {
        if (i - least == group) {
            least = place_of_least(hashes, i + 1 - group, i + 1);
        } else if (hashes[i] <= hashes[least]) {
            least = i;
        }
        if (i + 1 < group || least == kept_last) continue;
        kept_last = least;
        hashes[kept++] = hashes[least];
    }
    hashes.resize(kept);
}

// The last that is not above `wanted`, or the first. Without a branch on what is compared, which nobody could predict: so searches
// for several overlap.
uint64_t place_of(const uint64_t* values, uint64_t size, uint64_t wanted) {
    uint64_t place = 0;
    while (size > 1) {
        const uint64_t half = size / 2;
        place += values[place + half] <= wanted ? half : 0;
        size -= half;
    }
    return place;
}

}  // namespace

void find_fingerprints(const uint32_t* types, size_t tokens, const uint64_t* hashes, std::vector<uint64_t>& fingerprints) {
    fingerprints.resize(tokens < kFingerprintTokens ? 0 : tokens + 1 - kFingerprintTokens);
    hash_runs(types, tokens, hashes, fingerprints);
    winnow(fingerprints);
}

uint64_t count_overlap(const Anchor& anchor, const std::vector<uint64_t>& fingerprints, uint8_t* met) {
    if (anchor.n_fingerprints == 0) return 0;
    uint64_t overlap = 0;
    for (const uint64_t fingerprint : fingerprints) {
        const uint64_t place = place_of(anchor.fingerprints, anchor.n_fingerprints, fingerprint);
        if (anchor.fingerprints[place] != fingerprint) continue;
        ++overlap;
        // Other workers may store the same.
        if (met != nullptr) std::atomic_ref(met[place]).store(1, std::memory_order_relaxed);
    }
    return overlap;
}

void FingerprintCollector::add(const std::vector<Fingerprint>& fingerprints) {
    held_.insert(held_.end(), fingerprints.begin(), fingerprints.end());
    if (held_.size() < runs_.capacity()) return;
    combine();
    runs_.write(held_);
    held_.clear();
}

void FingerprintCollector::finish() {
    combine();
    if (!held_.empty()) runs_.write(held_);
    held_.clear();
    held_.shrink_to_fit();
}

void FingerprintCollector::combine() {
    std::sort(held_.begin(), held_.end(), [](const Fingerprint& a, const Fingerprint& b) {
        return a.hash != b.hash ? a.hash < b.hash : a.document < b.document;
    });
    const auto same = [](const Fingerprint& a, const Fingerprint& b) { return a.hash == b.hash; };
    held_.erase(std::unique(held_.begin(), held_.end(), same), held_.end());
}

}  // namespace textassay
