#include "signals.hpp"

#include <algorithm>

namespace textassay {

Signal signal_named(std::string_view name) {
    for (size_t i = 0; i < kSignals.size(); ++i)
        if (kSignals[i].name == name) return static_cast<Signal>(i);
    return kAllSignals;
}

SignalHistograms::SignalHistograms() {
    for (size_t i = 0; i < kAllSignals; ++i) signals_[i].bins.resize(kSignals[i].bins);
}

void SignalHistograms::merge(const SignalHistograms& other) {
    for (size_t i = 0; i < kAllSignals; ++i) {
        One& mine = signals_[i];
        const One& theirs = other.signals_[i];
        for (size_t bin = 0; bin < mine.bins.size(); ++bin) mine.bins[bin] += theirs.bins[bin];
        mine.nulls += theirs.nulls;
        mine.sum += theirs.sum;
        mine.sum_squares += theirs.sum_squares;
    }
}

void SignalHistograms::clear() {
    for (One& one : signals_) {
        std::fill(one.bins.begin(), one.bins.end(), 0);
        one.nulls = 0;
        one.sum = 0;
        one.sum_squares = 0;
    }
}

}  // namespace textassay
