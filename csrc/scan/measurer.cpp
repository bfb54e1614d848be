#include "measurer.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <string>
#include <thread>

#include "code_point.hpp"
#include "error.hpp"

namespace textassay {

namespace {

constexpr size_t kBlockBytes = size_t{2} << 20;
constexpr size_t kEncodedBlockBytes = size_t{1} << 18;  // encoding takes a hundred times as long as counting
constexpr size_t kMaxTextBytes = size_t{128} << 20;

void check(const std::vector<TextSpan>& texts) {
    for (size_t i = 0; i < texts.size(); ++i) {
        const auto [text, size] = texts[i];
        const std::string place = "text " + std::to_string(i);
        if (size > kMaxTextBytes)
            throw ScanError(place + ": wanted at most 128 MiB, got " + std::to_string(size) + " bytes", 0);
        const size_t valid = unicode::valid_utf8_prefix(text, size);
        if (valid != size) throw ScanError(place + ", byte " + std::to_string(valid) + ": wanted valid UTF-8", valid);
    }
}

void append(DocumentColumns& to, DocumentColumns& from) {
    for (size_t i = 0; i < from.integers.size(); ++i) {
        to.integers[i].insert(to.integers[i].end(), from.integers[i].begin(), from.integers[i].end());
        to.floats[i].insert(to.floats[i].end(), from.floats[i].begin(), from.floats[i].end());
    }
    to.replaced.insert(to.replaced.end(), from.replaced.begin(), from.replaced.end());
}

// Ends of blocks of about `block_bytes`.
std::vector<size_t> block_ends(const std::vector<TextSpan>& texts, size_t block_bytes) {
    std::vector<size_t> ends;
    size_t bytes = 0;
    for (size_t i = 0; i < texts.size(); ++i) {
        bytes += texts[i].size;
        if (bytes < block_bytes && i + 1 < texts.size()) continue;
        ends.push_back(i + 1);
        bytes = 0;
    }
    return ends;
}

TextIds encode(std::span<const TextSpan> texts, const TextEncoder& encoder) {
    std::vector<std::string_view> views;
    for (const auto& [text, size] : texts) views.emplace_back(reinterpret_cast<const char*>(text), size);
    return encoder.encode(views);
}

}  // namespace

Measurer::Measurer(MeasureConfig config, uint64_t batch_tokens, uint64_t max_types, unsigned threads)
    : config_(std::move(config)),
      rows_only_(config_),
      threads_(std::max(1u, threads)),
      profile_(config_.signals, max_types),
      batches_(batch_tokens, profile_.histogram) {
    rows_only_.histogram = false;
}

// Counts blocks side by side, a few a worker at a time, and hands them to `take` in order.
void Measurer::count_in_order(const std::vector<TextSpan>& texts, const MeasureConfig& config,
                              SignalHistograms& distributions, const TakeBlock& take) {
    const std::vector<size_t> ends = block_ends(texts, config.encoder ? kEncodedBlockBytes : kBlockBytes);
    const size_t workers = std::min<size_t>(threads_, ends.size());
    std::vector<std::unique_ptr<BlockCounts>> blocks(2 * workers);
    for (auto& block : blocks) block = std::make_unique<BlockCounts>();
    for (size_t first = 0; first < ends.size(); first += blocks.size()) {
        const size_t count = std::min(blocks.size(), ends.size() - first);
        std::atomic<size_t> next{0};
        std::mutex mutex;  // of the two below
        std::exception_ptr failure;
        const auto work = [&] {
            try {
                DocumentCounter counter(config);
                SignalHistograms mine;
                for (size_t i = next++; i < count; i = next++) {
                    blocks[i]->clear(config);
                    counter.begin_block();
                    const size_t begin = first + i == 0 ? 0 : ends[first + i - 1];
                    const TextIds ids = config.encoder ? encode({texts.data() + begin, texts.data() + ends[first + i]}, *config.encoder) : TextIds{};
                    for (size_t t = begin; t < ends[first + i]; ++t)
                        counter.count(texts[t].text, texts[t].size, {}, *blocks[i], mine,
                                      config.encoder ? ids.of(t - begin) : std::span<const uint32_t>{});
                    counter.end_block(*blocks[i]);
                }
                const std::lock_guard lock(mutex);
                distributions.merge(mine);
            } catch (...) {
                const std::lock_guard lock(mutex);
                failure = std::current_exception();
            }
        };
        std::vector<std::thread> threads;
        try {
            threads.reserve(workers);
            for (size_t i = 1; i < std::min(workers, count); ++i) threads.emplace_back(work);
        } catch (...) {  // so many threads there are not; the others do it
        }
        work();
        for (std::thread& thread : threads) thread.join();
        if (failure) std::rethrow_exception(failure);
        for (size_t i = 0; i < count; ++i) take(*blocks[i]);
    }
}

DocumentColumns Measurer::measure(const std::vector<TextSpan>& texts) {
    check(texts);
    DocumentColumns columns;
    columns.integers.resize(config_.signals.size());
    columns.floats.resize(config_.signals.size());
    SignalHistograms unused;
    count_in_order(texts, rows_only_, unused, [&](BlockCounts& block) { append(columns, block.columns); });
    return columns;
}

DocumentColumns Measurer::update(const std::vector<TextSpan>& texts) {
    check(texts);
    DocumentColumns columns;
    columns.integers.resize(config_.signals.size());
    columns.floats.resize(config_.signals.size());
    count_in_order(texts, config_, counts_.distributions, [&](BlockCounts& block) {
        append(columns, block.columns);
        batches_.merge(block, batches_.assign(block), counts_);
        counts_.totals.merge(block.totals);
    });
    return columns;
}

std::unique_ptr<Profile> Measurer::profile() const {
    auto copy = std::make_unique<Profile>(config_.signals, profile_.histogram.max_types());
    copy->merge(profile_);
    copy->totals.merge(counts_.totals);
    copy->distributions.merge(counts_.distributions);
    batches_.count_open(*copy);
    return copy;
}

}  // namespace textassay
