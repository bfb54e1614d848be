#include "arrays.hpp"
#include "python_encoder.hpp"
#include "code_point.hpp"
#include "error.hpp"
#include "fixed_log.hpp"
#include "gil.hpp"
#include "registry.hpp"
#include "sentences.hpp"
#include "tokens.hpp"
#include "words.hpp"

#include <pybind11/stl.h>

namespace textassay::bindings {

namespace {

struct Text {
    const uint8_t* data;
    size_t size;
};

// Bytes are immutable, and the caller holds a reference: they may be read without the GIL.
Text checked_text(const py::bytes& bytes) {
    Text text{};
    text.data = bytes_of(bytes, text.size);
    const size_t valid = unicode::valid_utf8_prefix(text.data, text.size);
    if (valid != text.size) throw ScanError("byte " + std::to_string(valid) + ": wanted valid UTF-8", valid);
    return text;
}

py::array_t<int64_t> word_boundaries(const py::bytes& bytes) {
    const Text text = checked_text(bytes);
    std::vector<int64_t> boundaries;
    {
        const GilRelease release;
        if (text.size > 0) boundaries.push_back(0);
        for (size_t at = 0; at < text.size;) {
            at = unicode::next_word_segment(text.data, text.size, at).end;
            boundaries.push_back(static_cast<int64_t>(at));
        }
    }
    return to_array(std::move(boundaries));
}

py::array_t<int64_t> sentence_boundaries(const py::bytes& bytes, bool tailored) {
    const Text text = checked_text(bytes);
    std::vector<int64_t> boundaries;
    {
        const GilRelease release;
        const unicode::SentenceText sentence_text{text.data, text.size, tailored};
        if (text.size > 0) boundaries.push_back(0);
        for (size_t at = 0; at < text.size;) {
            const unicode::CodePoint c = unicode::decode(text.data + at);
            if (unicode::may_end_sentence(unicode::record_of(c.value).sentence_break)) {
                const size_t boundary = unicode::sentence_boundary_from(sentence_text, at);
                if (boundary != unicode::kNoBoundary) boundaries.push_back(static_cast<int64_t>(boundary));
            }
            at += c.length;
        }
        if (text.size > 0) boundaries.push_back(static_cast<int64_t>(text.size));
    }
    return to_array(std::move(boundaries));
}

TokenKind token_kind(const std::string& name) {
    if (name == "word") return TokenKind::kWord;
    if (name == "byte") return TokenKind::kByte;
    if (name == "char") return TokenKind::kChar;
    if (name == "bigram") return TokenKind::kBigram;
    throw std::invalid_argument("tokens: wanted \"word\", \"byte\", \"char\" or \"bigram\", got \"" + name + "\"");
}

template <typename Take>
void for_each_token(const Text& text, TokenKind kind, std::vector<uint64_t>* lengths, Take take) {
    Tokenizer tokenizer;
    tokenizer.sentences.lengths = lengths;
    tokenizer.begin(text.data, text.size, kind);
    TokenChunk chunk;
    while (tokenizer.next(chunk))
        for (size_t i = 0; i < chunk.size; ++i) take(chunk.bytes + chunk.starts[i], chunk.ends[i] - chunk.starts[i]);
}

py::list tokens(const py::bytes& bytes, const std::string& kind) {
    py::list list;
    for_each_token(checked_text(bytes), token_kind(kind), nullptr,
                   [&](const uint8_t* token, size_t size) { list.append(to_bytes(token, size)); });
    return list;
}

py::array_t<int64_t> sentence_lengths(const py::bytes& bytes) {
    const Text text = checked_text(bytes);
    std::vector<uint64_t> lengths;
    {
        const GilRelease release;
        for_each_token(text, TokenKind::kWord, &lengths, [](const uint8_t*, size_t) {});
    }
    return to_array(std::vector<int64_t>(lengths.begin(), lengths.end()));
}

py::array_t<int64_t> word_spans(const py::bytes& bytes) {
    const Text text = checked_text(bytes);
    std::vector<int64_t> spans;
    {
        const GilRelease release;
        Tokenizer tokenizer;
        tokenizer.begin(text.data, text.size, TokenKind::kWord);
        TokenChunk chunk;
        while (tokenizer.next(chunk)) {
            for (size_t i = 0; i < chunk.size; ++i) {
                spans.push_back(chunk.source_begin(i));
                spans.push_back(chunk.source_end(i));
            }
        }
    }
    const py::ssize_t rows = static_cast<py::ssize_t>(spans.size() / 2);
    return to_array(std::move(spans)).reshape({rows, py::ssize_t{2}});
}

uint32_t bin_index(const std::string& name, double value) {
    const Signal signal = signal_named(name);
    if (signal == kAllSignals) throw std::invalid_argument("signal \"" + name + "\": unknown");
    return kSignals[signal].is_integer ? log_bin(static_cast<uint64_t>(value)) : float_bin(kSignals[signal], value);
}

}  // namespace

MeasureConfig measure_config(const std::vector<std::string>& signals, const std::string& kind,
                             const std::vector<std::vector<std::string>>& markers, const PythonAnchor* anchor,
                             std::shared_ptr<Detector> detector, const py::object& encoder) {
    MeasureConfig config;
    config.signals = signals_named(signals);
    if ((kind == "id") != !encoder.is_none()) throw std::invalid_argument("tokens: wanted an encoder for tokens=\"id\", and for no other");
    config.tokens = kind == "id" ? TokenKind::kId : token_kind(kind);
    config.encoder = python_encoder(encoder);
    config.markers = std::make_shared<const MarkerLexicon>(markers);
    if (anchor != nullptr) config.anchor = anchor->anchor;
    config.detector = std::move(detector);
    return config;
}

py::array_t<uint64_t> token_hashes(const py::array_t<uint8_t, py::array::c_style>& data,
                                   const py::array_t<int64_t, py::array::c_style>& offsets) {
    if (data.ndim() != 1 || offsets.ndim() != 1 || offsets.size() < 1) throw std::invalid_argument("offsets: wanted n + 1 elements");
    std::vector<uint64_t> hashes(static_cast<size_t>(offsets.size()) - 1);
    const int64_t* offset = offsets.data();
    for (size_t i = 0; i < hashes.size(); ++i) {
        if (offset[i] < 0 || offset[i + 1] < offset[i] || offset[i + 1] > data.size())
            throw std::invalid_argument("offsets: wanted them ascending within data");
        hashes[i] = token_hash(data.data() + offset[i], static_cast<uint64_t>(offset[i + 1] - offset[i]));
    }
    return to_array(std::move(hashes));
}

void register_text(py::module_& module) {
    module.def("word_boundaries", &word_boundaries, py::arg("text"));
    module.def("word_spans", &word_spans, py::arg("text"));
    module.def("sentence_boundaries", &sentence_boundaries, py::arg("text"), py::arg("tailored") = true);
    module.def("sentence_lengths", &sentence_lengths, py::arg("text"));
    module.def("tokens", &tokens, py::arg("text"), py::arg("kind") = "word");
    module.def("log2_times", &log2_times, py::arg("count"));
    module.def("token_hash", [](const py::bytes& token) {
        size_t size;
        const uint8_t* data = bytes_of(token, size);
        return token_hash(data, size);
    }, py::arg("token"));
    module.def("token_hashes", &token_hashes, py::arg("data"), py::arg("offsets"));
    module.def("bin_index", &bin_index, py::arg("signal"), py::arg("value"));
}

}  // namespace textassay::bindings
