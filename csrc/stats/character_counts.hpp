// Code points of one document, counted.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "byte_kernels.hpp"
#include "fixed_log.hpp"

namespace textassay {

class CharacterCounts {
   public:
    CharacterCounts() : high_(static_cast<uint32_t*>(std::calloc(0x110000, sizeof(uint32_t))), &std::free) {
        if (!high_) throw std::bad_alloc();
    }

    // The ASCII characters of 64 * blocks bytes.
    void add_ascii(const uint8_t* text, size_t blocks) { kernels::active().count_bytes(text, blocks, ascii_); }
    void add_ascii(uint8_t byte) { ++ascii_[0][byte]; }
    // One that is not ASCII.
    void add(uint32_t code_point) {
        if (high_[code_point]++ == 0) touched_.push_back(code_point);
    }

    // The sum of log2_times over all counts. Clears them.
    uint64_t take_log_sum() {
        uint64_t sum = 0;
        for (int c = 0; c < 128; ++c) {
            uint32_t count = 0;
            for (const auto& lane : ascii_) count += lane[c];
            sum += log2_times_tabled(count);
        }
        std::memset(ascii_, 0, sizeof(ascii_));
        for (const uint32_t code_point : touched_) {
            sum += log2_times_tabled(high_[code_point]);
            high_[code_point] = 0;
        }
        touched_.clear();
        return sum;
    }

   private:
    kernels::ByteCounters ascii_ = {};
    std::unique_ptr<uint32_t[], decltype(&std::free)> high_;  // calloc: pages that nobody touches cost no memory
    std::vector<uint32_t> touched_;
};

}  // namespace textassay
