// Texts to the ids of a vocabulary that somebody else keeps: tokens of kind id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace textassay {

// Of several texts, one after the other.
struct TextIds {
    std::vector<uint32_t> ids;
    std::vector<uint64_t> ends;

    std::span<const uint32_t> of(size_t text) const {
        const uint64_t begin = text == 0 ? 0 : ends[text - 1];
        return std::span(ids).subspan(begin, ends[text] - begin);
    }
};

class TextEncoder {
   public:
    virtual ~TextEncoder() = default;
    // Texts are valid UTF-8. Several threads may ask at once.
    virtual TextIds encode(std::span<const std::string_view> texts) const = 0;
};

// Copies of texts that will be gone when it comes to encoding them.
class TextsToEncode {
   public:
    void clear() {
        bytes_.clear();
        ends_.clear();
    }
    void add(std::string_view text) {
        bytes_.append(text);
        ends_.push_back(bytes_.size());
    }
    TextIds encode(const TextEncoder& encoder) const {
        std::vector<std::string_view> texts;
        size_t begin = 0;
        for (const size_t end : ends_) {
            texts.push_back(std::string_view(bytes_).substr(begin, end - begin));
            begin = end;
        }
        return encoder.encode(texts);
    }

   private:
    std::string bytes_;
    std::vector<size_t> ends_;
};

}  // namespace textassay
