#include "histogram.hpp"

#include <algorithm>
#include <bit>

namespace textassay {

namespace {

size_t partition_of(uint64_t hash) { return hash >> 58; }
static_assert(Histogram::kPartitions == 64, "partition_of takes six bits");

uint64_t sketch_width(uint64_t max_types) {
    return std::clamp<uint64_t>(std::bit_ceil((max_types + 15) / 16), uint64_t{1} << 10, uint64_t{1} << 20);
}

void atomic_add(uint64_t& counter, uint64_t value) {
    std::atomic_ref<uint64_t>(counter).fetch_add(value, std::memory_order_relaxed);
}

}  // namespace

bool token_less(const TokenKey& a, const TokenKey& b) {
    if (!a.is_long() && !b.is_long()) {
        const uint64_t a_low = __builtin_bswap64(a.low), b_low = __builtin_bswap64(b.low);
        if (a_low != b_low) return a_low < b_low;
        const uint64_t a_high = __builtin_bswap64(a.high), b_high = __builtin_bswap64(b.high);
        return a_high != b_high ? a_high < b_high : a.size < b.size;
    }
    const int order = std::memcmp(a.bytes, b.bytes, std::min(a.size, b.size));
    return order != 0 ? order < 0 : a.size < b.size;
}

BoundedTypes::BoundedTypes(uint64_t max_types)
    : width(sketch_width(max_types)),
      max_frequent(std::max<uint64_t>(1024, max_types / 16)),
      counts(kRows * width),
      documents(kRows * width) {}

void BoundedTypes::add(const TypeCount& type, uint64_t stable_hash) {
    const uint64_t step = stable_hash * 0x9e3779b97f4a7c15u | 1;
    for (uint64_t row = 0; row < kRows; ++row) {
        const uint64_t cell = row * width + ((stable_hash + row * step) >> 20 & (width - 1));
        atomic_add(counts[cell], type.count);
        atomic_add(documents[cell], type.documents);
    }
    const std::lock_guard lock(frequent_mutex_);
    add_frequent(type.key, type.peak);
}

void BoundedTypes::add_frequent(const TokenKey& key, uint32_t peak) {
    if (peak >> floor_level == 0) return;
    frequent.add({key, hash_of(key.low, key.high), 0, 0, peak});
    while (frequent.size() > max_frequent) raise_floor(floor_level + 1);
}

void BoundedTypes::raise_floor(uint32_t level) {
    if (level <= floor_level) return;
    floor_level = level;
    frequent.retain([level](const TypeEntry& entry, const TokenKey&) { return entry.peak >> level != 0; });
}

void BoundedTypes::merge(const BoundedTypes& other) {
    for (size_t i = 0; i < counts.size(); ++i) {
        counts[i] += other.counts[i];
        documents[i] += other.documents[i];
    }
    raise_floor(other.floor_level);
    for (size_t i = 0; i < other.frequent.size(); ++i) {
        const TypeEntry& entry = other.frequent.entry(i);
        add_frequent(other.frequent.key(entry), entry.peak);
    }
}

Histogram::Histogram(const Histogram& other) : max_types_(other.max_types_) { merge(other); }

void Histogram::add(std::vector<TypeCount>& types) {
    {
        const std::shared_lock level_lock(level_mutex_);
        if (level_ > 0) {
            std::erase_if(types, [&](const TypeCount& type) {
                const uint64_t stable_hash = token_hash(type.key.bytes, type.key.size);
                if (in_sample(stable_hash)) return false;
                bounded_->add(type, stable_hash);
                return true;
            });
        }
        // Counting sort by partition: each lock is taken once.
        size_t begins[kPartitions + 1] = {}, fill[kPartitions];
        for (const TypeCount& type : types) ++begins[partition_of(type.hash) + 1];
        for (size_t p = 0; p < kPartitions; ++p) begins[p + 1] += begins[p];
        std::copy_n(begins, kPartitions, fill);
        std::vector<uint32_t> order(types.size());
        for (uint32_t i = 0; i < types.size(); ++i) order[fill[partition_of(types[i].hash)]++] = i;
        // Threads begin at different partitions, or they would follow each other from lock to lock.
        static std::atomic<size_t> turn{0};
        const size_t first = turn.fetch_add(7, std::memory_order_relaxed);
        size_t added = 0;
        for (size_t i = 0; i < kPartitions; ++i) {
            const size_t p = (first + i) % kPartitions;
            const std::lock_guard lock(partitions_[p].mutex);
            added += partitions_[p].table.add_all(types.data(), begins[p + 1] - begins[p], order.data() + begins[p]);
        }
        size_.fetch_add(added);
    }
    raise_level_while_over();
}

void Histogram::raise_level_while_over() {
    if (size_.load() <= max_types_) return;
    const std::unique_lock lock(level_mutex_);
    while (size_.load() > max_types_) raise_level(level_ + 1);
}

// Types whose hash is not below the new threshold leave the sample, with all that is known of them.
void Histogram::raise_level(uint32_t level) {
    if (level <= level_) return;
    if (!bounded_) bounded_ = std::make_unique<BoundedTypes>(max_types_);
    level_ = level;
    for (Partition& partition : partitions_) {
        const size_t before = partition.table.size();
        partition.table.retain([&](const TypeEntry& entry, const TokenKey& key) {
            const uint64_t stable_hash = token_hash(key.bytes, key.size);
            if (in_sample(stable_hash)) return true;
            bounded_->add({key, hash_of(key.low, key.high), entry.count, entry.documents, entry.peak}, stable_hash);
            return false;
        });
        size_.fetch_sub(before - partition.table.size());
    }
}

void Histogram::merge_bounded(const BoundedTypes& bounded, uint32_t level) {
    const std::unique_lock lock(level_mutex_);
    raise_level(level);
    bounded_->merge(bounded);
}

void Histogram::merge(const Histogram& other) {
    if (other.bounded_) merge_bounded(*other.bounded_, other.level_);
    std::vector<TypeCount> types;
    for (const Partition& partition : other.partitions_) {
        types.clear();
        for (size_t i = 0; i < partition.table.size(); ++i) {
            const TypeEntry& entry = partition.table.entry(i);
            const TokenKey key = partition.table.key(entry);
            types.push_back({key, hash_of(key.low, key.high), entry.count, entry.documents, entry.peak});
        }
        add(types);
    }
}

std::vector<Histogram::Sorted> Histogram::sorted() const {
    std::vector<Sorted> entries;
    entries.reserve(size());
    for (const Partition& partition : partitions_)
        for (size_t i = 0; i < partition.table.size(); ++i) {
            const TypeEntry& entry = partition.table.entry(i);
            const TokenKey key = partition.table.key(entry);
            entries.push_back({__builtin_bswap64(key.is_long() ? load64(key.bytes) : key.low), &entry, &partition.table});
        }
    // Most are told apart by the prefix, without a look at the entries, which lie all over the memory.
    std::sort(entries.begin(), entries.end(), [](const Sorted& a, const Sorted& b) {
        return a.prefix != b.prefix ? a.prefix < b.prefix : token_less(a.table->key(*a.entry), b.table->key(*b.entry));
    });
    return entries;
}

}  // namespace textassay
