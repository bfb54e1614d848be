// What all targets share: parameters drawn from the front of the input, and a check that aborts with its place.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

// A finding: what must hold does not. Not assert(), which release builds leave out.
#define REQUIRE(condition)                                                                  \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            std::fprintf(stderr, "%s:%d: wanted %s\n", __FILE__, __LINE__, #condition);     \
            std::abort();                                                                   \
        }                                                                                   \
    } while (false)

namespace textassay::fuzz {

// Takes parameters from the front of the input; behind its end all are 0.
class Choices {
   public:
    Choices(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}

    bool done() const { return at_ == end_; }
    uint8_t byte() { return done() ? uint8_t{0} : *at_++; }
    uint64_t number(unsigned bytes) {
        uint64_t value = 0;
        for (unsigned i = 0; i < bytes; ++i) value = value << 8 | byte();
        return value;
    }
    size_t below(size_t limit) { return limit == 0 ? 0 : byte() % limit; }
    const uint8_t* rest() const { return at_; }
    size_t rest_size() const { return static_cast<size_t>(end_ - at_); }

   private:
    const uint8_t *at_, *end_;
};

// A copy that ends where it ends: what reads on is seen by AddressSanitizer. Behind it `padding` bytes of value `filler`.
class Exact {
   public:
    Exact(const uint8_t* data, size_t size, size_t padding = 0, uint8_t filler = 0)
        : bytes_(new uint8_t[size + padding]), size_(size) {
        if (size > 0) std::memcpy(bytes_.get(), data, size);
        std::fill_n(bytes_.get() + size, padding, filler);
    }

    explicit Exact(size_t size) : bytes_(new uint8_t[size]), size_(size) {}

    const uint8_t* data() const { return bytes_.get(); }
    uint8_t* data() { return bytes_.get(); }
    size_t size() const { return size_; }

   private:
    std::unique_ptr<uint8_t[]> bytes_;
    size_t size_;
};

// Numbers that depend on a seed alone.
class Sequence {
   public:
    explicit Sequence(uint64_t seed) : state_(seed * 2 + 1) {}

    uint64_t next() {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 0x2545F4914F6CDD1Du >> 11;
    }
    size_t below(size_t limit) { return static_cast<size_t>(next() % limit); }

   private:
    uint64_t state_;
};

}  // namespace textassay::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
