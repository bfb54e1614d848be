#include "large_memory.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace textassay {

namespace {

constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

LargeMemory::LargeMemory(size_t bytes) : bytes_((bytes + kHugePage - 1) / kHugePage * kHugePage) {
    // One page more, so that a border of pages lies within; what is before and behind goes back.
    void* const mapped = ::mmap(nullptr, bytes_ + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(mapped) % kHugePage) % kHugePage;
    begin_ = static_cast<char*>(mapped) + before;
    if (before > 0) ::munmap(mapped, before);
    ::munmap(at<char>(bytes_), kHugePage - before);
#if defined(MADV_HUGEPAGE)
    ::madvise(begin_, bytes_, MADV_HUGEPAGE);
#endif
}

LargeMemory::~LargeMemory() { ::munmap(begin_, bytes_); }

}  // namespace textassay
