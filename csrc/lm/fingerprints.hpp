// Fingerprints of documents, by winnowing (Schleimer, Wilkerson & Aiken 2003) over n-grams of tokens: of every kWinnowed consecutive
// ones the least hash is kept. Two documents that share a run of kFingerprintTokens + kWinnowed - 1 tokens share a fingerprint.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "anchor.hpp"
#include "sorted_runs.hpp"

namespace textassay {

inline constexpr size_t kFingerprintTokens = 13, kWinnowed = 16;

// From the type numbers of a document's tokens; `hashes` has the token_hash of each type.
void find_fingerprints(const uint32_t* types, size_t tokens, const uint64_t* hashes, std::vector<uint64_t>& fingerprints);

// How many of a document's fingerprints are the anchor's. Where `met` is given, it is set to 1 at their places among the anchor's.
uint64_t count_overlap(const Anchor& anchor, const std::vector<uint64_t>& fingerprints, uint8_t* met);

// `document` is the number of its file << kLineBits | its line, from 1 on.
struct Fingerprint {
    static constexpr int kLineBits = 40;

    uint64_t hash, document;
};

// Of one worker: each fingerprint with the first document that has it, in sorted runs.
class FingerprintCollector {
   public:
    explicit FingerprintCollector(SortedRuns& runs) : runs_(runs) {}

    void add(const std::vector<Fingerprint>& fingerprints);
    // After the last document.
    void finish();

   private:
    void combine();

    SortedRuns& runs_;
    std::vector<Fingerprint> held_;
};

}  // namespace textassay
