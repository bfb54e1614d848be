// All counts of a corpus. Integers only: a profile of a corpus cut anywhere and merged in any order is the same.
#pragma once

#include <mutex>
#include <vector>

#include "histogram.hpp"
#include "provenance.hpp"
#include "signals.hpp"

namespace textassay {

struct Totals {
    uint64_t documents = 0, tokens = 0, bytes = 0, chars = 0, sentences = 0, replaced = 0, batches = 0;

    void merge(const Totals& other) {
        documents += other.documents;
        tokens += other.tokens;
        bytes += other.bytes;
        chars += other.chars;
        sentences += other.sentences;
        replaced += other.replaced;
        batches += other.batches;
    }
};

struct Profile {
    Profile(std::vector<Signal> signals, uint64_t max_types) : signals(std::move(signals)), histogram(max_types) {}

    // `other` must have the same signals and max_types.
    void merge(const Profile& other) {
        totals.merge(other.totals);
        distributions.merge(other.distributions);
        histogram.merge(other.histogram);
        provenance.merge(other.provenance);
    }

    const std::vector<Signal> signals;
    Totals totals;
    SignalHistograms distributions;
    Histogram histogram;
    ProvenanceTables provenance;  // empty without rules
};

}  // namespace textassay
