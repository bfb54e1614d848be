// Texts in memory, measured and counted.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "batches.hpp"
#include "documents.hpp"
#include "profile.hpp"

namespace textassay {

struct TextSpan {
    const uint8_t* text;
    size_t size;
};

class Measurer {
   public:
    Measurer(MeasureConfig config, uint64_t batch_tokens, uint64_t max_types, unsigned threads);

    // One row a text. Throws ScanError (its offset within the text, the text's number in the message) on invalid UTF-8, and
    // counts nothing then.
    DocumentColumns measure(const std::vector<TextSpan>& texts);
    // As measure, and counts the texts as the next documents of one file.
    DocumentColumns update(const std::vector<TextSpan>& texts);

    // A copy, in which the open batch counts as closed.
    std::unique_ptr<Profile> profile() const;
    // Closed since the last call.
    std::vector<BatchRow> take_batches() { return batches_.take_rows(); }

   private:
    using TakeBlock = std::function<void(BlockCounts&)>;
    void count_in_order(const std::vector<TextSpan>& texts, const MeasureConfig& config, SignalHistograms& distributions,
                        const TakeBlock& take);

    const MeasureConfig config_;
    MeasureConfig rows_only_;
    const unsigned threads_;
    Profile profile_;
    BatchAssembler batches_;
    WorkerCounts counts_;
};

}  // namespace textassay
