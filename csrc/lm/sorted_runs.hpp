// Records of two numbers in sorted runs on disk: memory is bounded whatever the text. (python/textassay/anchor/runs.py merges them.)
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace textassay {

// Where the runs of all workers go: files FOLDER/NAME-0.bin, ...
class SortedRuns {
   public:
    static constexpr size_t kRecordBytes = 16;

    SortedRuns(std::string folder, std::string name, size_t memory_of_worker)
        : path_(std::move(folder) + "/" + std::move(name) + "-"), capacity_(memory_of_worker / kRecordBytes) {}

    size_t capacity() const { return capacity_ < kLeast ? kLeast : capacity_; }
    // Throws SystemError.
    template <typename Record>
    void write(const std::vector<Record>& run) {
        static_assert(sizeof(Record) == kRecordBytes);
        write(run.data(), run.size());
    }

   private:
    static constexpr size_t kLeast = size_t{1} << 16;

    void write(const void* records, size_t n);

    const std::string path_;
    const size_t capacity_;
    std::atomic<uint64_t> next_{0};
};

}  // namespace textassay
