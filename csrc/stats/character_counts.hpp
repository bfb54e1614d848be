// Code points of one document, counted.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "fixed_log.hpp"

namespace textassay {

class CharacterCounts {
   public:
    CharacterCounts() : high_(static_cast<uint32_t*>(std::calloc(0x110000, sizeof(uint32_t))), &std::free) {
        if (!high_) throw std::bad_alloc();
    }

    uint32_t* ascii() { return ascii_; }  // 256 counters; those above 127 are ignored
    void add(uint32_t code_point) {
        if (high_[code_point]++ == 0) touched_.push_back(code_point);
    }

    // The sum of log2_times over all counts. Clears them.
    uint64_t take_log_sum() {
        uint64_t sum = 0;
        for (int c = 0; c < 128; ++c) sum += log2_times_tabled(ascii_[c]);
        for (uint32_t& counter : ascii_) counter = 0;
        for (const uint32_t code_point : touched_) {
            sum += log2_times_tabled(high_[code_point]);
            high_[code_point] = 0;
        }
        touched_.clear();
        return sum;
    }

   private:
    uint32_t ascii_[256] = {};
    std::unique_ptr<uint32_t[], decltype(&std::free)> high_;  // calloc: pages that nobody touches cost no memory
    std::vector<uint32_t> touched_;
};

}  // namespace textassay
