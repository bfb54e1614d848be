// The corpus histogram: token -> count, document frequency, peak. Shared by all threads, in partitions with a lock each, so
// that memory does not grow with their number. Exact up to max_types; beyond, the bounded form of docs/semantics.md, which
// depends on what was added and never on the order.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "type_table.hpp"

namespace textassay {

// Where the types beyond the sample go.
class BoundedTypes {
   public:
    static constexpr uint64_t kRows = 4;

    explicit BoundedTypes(uint64_t max_types);

    // Safe to call from many threads.
    void add(const TypeCount& type, uint64_t stable_hash);
    void merge(const BoundedTypes& other);
    void raise_floor(uint32_t floor_level);

    const uint64_t width;
    const uint64_t max_frequent;
    std::vector<uint64_t> counts, documents;  // kRows * width
    uint32_t floor_level = 0;
    TypeTable frequent;  // counts and documents stay 0: they are read from the sketches

   private:
    void add_frequent(const TokenKey& key, uint32_t peak);
    std::mutex frequent_mutex_;
};

class Histogram {
   public:
    static constexpr size_t kPartitions = 64;

    explicit Histogram(uint64_t max_types) : max_types_(max_types) {}
    Histogram(const Histogram& other);

    // Adds the types of one batch; may drop some of the list. Safe to call from many threads.
    void add(std::vector<TypeCount>& types);
    void merge(const Histogram& other);
    void merge_bounded(const BoundedTypes& bounded, uint32_t level);

    uint64_t max_types() const { return max_types_; }
    uint64_t size() const { return size_.load(); }
    uint32_t level() const { return level_; }
    const BoundedTypes* bounded() const { return bounded_.get(); }

    template <typename Visit>  // visit(const TypeEntry&, const TokenKey&), in no order
    void visit(Visit visit) const {
        for (const Partition& partition : partitions_)
            for (size_t i = 0; i < partition.table.size(); ++i) {
                const TypeEntry& entry = partition.table.entry(i);
                visit(entry, partition.table.key(entry));
            }
    }

    // Entries in the order of their tokens' bytes. The pointers live until the histogram changes.
    struct Sorted {
        uint64_t prefix;  // the token's first eight bytes, as a number that is ordered as they are
        const TypeEntry* entry;
        const TypeTable* table;
    };
    std::vector<Sorted> sorted() const;

   private:
    struct Partition {
        std::mutex mutex;
        TypeTable table;
    };

    void raise_level_while_over();
    void raise_level(uint32_t level);
    bool in_sample(uint64_t stable_hash) const { return level_ == 0 || stable_hash < uint64_t{1} << (64 - level_); }

    const uint64_t max_types_;
    // Held shared while adding, exclusively while the level rises.
    std::shared_mutex level_mutex_;
    uint32_t level_ = 0;
    std::unique_ptr<BoundedTypes> bounded_;
    std::atomic<uint64_t> size_{0};
    Partition partitions_[kPartitions];
};

// Whether token a comes before token b, by bytes.
bool token_less(const TokenKey& a, const TokenKey& b);

}  // namespace textassay
