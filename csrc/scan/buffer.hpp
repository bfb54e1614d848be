// Bytes without a value until somebody writes them, and used again: clearing and mapping fresh pages for each block would cost
// as much as parsing it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

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

// A vector to whose unused room one may write.
template <typename T>
class Appendable {
   public:
    const T* begin() const { return elements_.get(); }
    size_t size() const { return size_; }
    void clear() { size_ = 0; }

    // Room for `more` elements behind the last one; what is used of it is told to end_at.
    T* reserve_behind(size_t more) {
        if (size_ + more > capacity_) {
            capacity_ = 2 * (size_ + more);
            std::unique_ptr<T[]> grown(new T[capacity_]);
            std::copy_n(elements_.get(), size_, grown.get());
            elements_ = std::move(grown);
        }
        return elements_.get() + size_;
    }
    void end_at(const T* end) { size_ = static_cast<size_t>(end - elements_.get()); }

   private:
    std::unique_ptr<T[]> elements_;
    size_t size_ = 0, capacity_ = 0;
};

}  // namespace textassay
