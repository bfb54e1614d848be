// Bytes without a value until somebody writes them, and used again: clearing and mapping fresh pages for each block would cost
// as much as parsing it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace textassay {

class Buffer {
   public:
    uint8_t* data() { return bytes_.get(); }
    const uint8_t* data() const { return bytes_.get(); }
    size_t capacity() const { return capacity_; }

    // Makes room for `bytes`; what was inside is lost if it has to grow.
    void reserve(size_t bytes) {
        if (bytes <= capacity_) return;
        bytes_.reset(new uint8_t[bytes]);
        capacity_ = bytes;
    }

   private:
    std::unique_ptr<uint8_t[]> bytes_;
    size_t capacity_ = 0;
};

// As Buffer, of any plain elements.
template <typename T>
class Scratch {
   public:
    T* reserve(size_t elements) {
        if (elements > capacity_) {
            capacity_ = elements + elements / 2;
            elements_.reset(new T[capacity_]);
        }
        return elements_.get();
    }
    T* data() { return elements_.get(); }

   private:
    std::unique_ptr<T[]> elements_;
    size_t capacity_ = 0;
};

}  // namespace textassay
