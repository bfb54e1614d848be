// Zeroed memory for tables that are looked up at random: in huge pages where the system gives them, which saves a page fault for
// each 4 KiB and most misses of the address cache.
#pragma once

#include <cstddef>

namespace textassay {

class LargeMemory {
   public:
    // Throws std::bad_alloc.
    explicit LargeMemory(size_t bytes);
    ~LargeMemory();
    LargeMemory(const LargeMemory&) = delete;

    template <typename T>
    T* at(size_t offset) const {
        return reinterpret_cast<T*>(static_cast<char*>(begin_) + offset);
    }

   private:
    void* begin_;
    size_t bytes_;
};

}  // namespace textassay
