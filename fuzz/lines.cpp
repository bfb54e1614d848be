// Bytes to lines, and lines to records. Lines by the letter of docs/semantics.md against LineCutter, whatever pieces the bytes come
// in; every byte in exactly one counter; and of each line what simdjson reads against what strict_json reads.
#include "lines.hpp"

#include "code_point.hpp"
#include "strict_json.hpp"
#include "target.hpp"
#include "text.hpp"

namespace textassay::fuzz {

namespace {

const std::vector<FieldPath> kTexts{{"text"}, {"a", "0"}};
const FieldPath kId{"id"};
const std::vector<FieldPath> kValues{{"v"}, {"a", "b"}, {"a", "1"}};

// A line as it lies in the file, its line break included.
struct Line {
    size_t begin, end;
    Malformed lost;
    bool operator==(const Line&) const = default;
};

// By the letter. What is lost already in the cutter is longer than the limit without its line break, or an unfinished end.
std::vector<Line> lines_of(const std::string& data, size_t begin, size_t limit, bool cut_off) {
    std::vector<Line> lines;
    while (begin < data.size()) {
        const size_t found = data.find('\n', begin);
        const bool finished = found != std::string::npos;
        const size_t end = finished ? found + 1 : data.size();
        size_t size = end - begin - finished;
        if (finished && size > 0 && data[end - 2] == '\r') --size;
        const bool is_long = finished || !cut_off ? size > limit : size > limit + 1;
        lines.push_back({begin, end, is_long ? Malformed::kTooLong : !finished && cut_off ? Malformed::kCutOff : Malformed::kNone});
        begin = end;
    }
    return lines;
}

// As a scan takes blocks apart.
void take_lines(const Block& block, size_t limit, std::vector<Line>& lines) {
    if (block.lost_line != Malformed::kNone) {
        lines.push_back({block.byte_offset, block.byte_offset + block.lost_bytes, block.lost_line});
        return;
    }
    const uint8_t* const base = block.buffer.data();
    REQUIRE(block.begin < block.end);
    for (size_t at = block.begin; at < block.end;) {
        const void* found = std::memchr(base + at, '\n', block.end - at);
        const size_t line_end = found != nullptr ? static_cast<size_t>(static_cast<const uint8_t*>(found) - base) : block.end;
        const size_t next = found != nullptr ? line_end + 1 : line_end;
        const size_t size = line_end - at - (found != nullptr && line_end > at && base[line_end - 1] == '\r');
        const size_t offset = block.byte_offset + at - block.begin;
        lines.push_back({offset, offset + next - at, size > limit ? Malformed::kTooLong : Malformed::kNone});
        at = next;
    }
}

// The lines from `from.begin` on, by a cutter that gets the data from `from.skipped` bytes before.
std::vector<Line> cut(const std::string& data, size_t limit, bool cut_off, size_t pieces, uint64_t seed, const LinesBegin& from = {}) {
    LineCutter cutter(limit, from);
    Sequence sequence(seed);
    std::vector<Line> lines;
    uint64_t blocks = 0;
    const auto emit = [&](Block block) {
        REQUIRE(block.order == blocks++);
        REQUIRE(block.is_replayed == (block.byte_offset < from.replay_end));
        take_lines(block, limit, lines);
        REQUIRE(!block.is_replayed || lines.back().end <= from.replay_end);
    };
    size_t at = from.begin - from.skipped;
    for (size_t piece = 1; piece <= pieces; ++piece) {
        const size_t size = piece == pieces ? data.size() - at : sequence.below(data.size() - at + 1) >> sequence.below(8);
        Buffer buffer;
        buffer.reserve(kHeadroom + size + kPaddingBehind);
        std::memcpy(buffer.data() + kHeadroom, data.data() + at, size);
        cutter.cut(std::move(buffer), size, emit);
        at += size;
    }
    cutter.finish(cut_off, emit);
    REQUIRE(cutter.bytes() == data.size());
    REQUIRE(cutter.bytes_in_byte_order_mark() == (from.begin == 0 && data.starts_with("\xEF\xBB\xBF") ? 3 : 0));
    return lines;
}

// What strict_json alone makes of a line, in the order of the checks.
struct Strict {
    Malformed malformed = Malformed::kNone;
    std::string text, id;
    uint64_t replaced = 0;
    bool has_id = false;
    std::vector<std::pair<bool, std::string>> values;
};

std::string unescaped(std::string_view literal, uint64_t& replaced) {
    std::string out;
    replaced += append_unescaped(literal, out);
    return out;
}

Strict read_strictly(std::string_view line) {
    Strict strict;
    const auto fails = [&](Malformed reason) {
        strict.malformed = reason;
        return strict;
    };
    const auto* bytes = reinterpret_cast<const uint8_t*>(line.data());
    if (unicode::valid_utf8_prefix(bytes, line.size()) != line.size()) return fails(Malformed::kInvalidUtf8);
    if (!is_json(line)) return fails(Malformed::kNotJson);
    if (find_value(line, {}).front() != '{') return fails(Malformed::kNotObject);
    size_t found = 0;
    for (const FieldPath& path : kTexts) {
        const std::string_view value = find_value(line, path);
        if (value.empty()) continue;
        if (value.front() != '"') return fails(Malformed::kTextNotString);
        if (found++ > 0) strict.text += kFieldSeparator;
        strict.text += unescaped(value, strict.replaced);
    }
    if (found == 0) return fails(Malformed::kNoTextField);
    uint64_t elsewhere = 0;
    const std::string_view id = find_value(line, kId);
    if (!id.empty()) strict.id = id.front() == '"' ? unescaped(id, elsewhere) : canonical_integer(id);
    strict.has_id = !id.empty() && (id.front() == '"' || !strict.id.empty());
    for (const FieldPath& path : kValues) {
        const std::string_view value = find_value(line, path);
        const bool present = !value.empty() && value.front() != '{' && value.front() != '[' && value.front() != 'n';
        std::string written;
        if (present && value.front() == '"') {
            written = unescaped(value, elsewhere);
        } else if (present) {
            written = canonical_integer(value);
            if (written.empty()) written = value;
        }
        strict.values.emplace_back(present, written);
    }
    return strict;
}

void compare_readers(RecordParser& parser, std::string_view view, uint8_t filler) {
    const Exact line(reinterpret_cast<const uint8_t*>(view.data()), view.size(), simdjson::SIMDJSON_PADDING, filler);
    const bool valid = unicode::valid_utf8_prefix(line.data(), line.size()) == line.size();
    REQUIRE(simdjson::validate_utf8(reinterpret_cast<const char*>(line.data()), line.size()) == valid);
    const Strict strict = read_strictly(view);
    const Record record = parser.parse(line.data(), line.size());
    REQUIRE(record.malformed == strict.malformed);
    if (record.malformed != Malformed::kNone) return;
    REQUIRE(record.text == strict.text);
    REQUIRE(record.replaced == strict.replaced);
    REQUIRE(record.has_id == strict.has_id);
    REQUIRE(!record.has_id || record.id == strict.id);
    REQUIRE(unicode::valid_utf8_prefix(reinterpret_cast<const uint8_t*>(record.text.data()), record.text.size()) == record.text.size());
    REQUIRE(record.values.size() == strict.values.size());
    for (size_t i = 0; i < strict.values.size(); ++i) {
        REQUIRE(record.values[i].present == strict.values[i].first);
        REQUIRE(!record.values[i].present || record.values[i].text == strict.values[i].second);
    }
}

}  // namespace

}  // namespace textassay::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
    using namespace textassay::fuzz;
    static constexpr size_t kLimits[] = {1 << 20, 1, 2, 3, 7, 16, 40, 100};
    static textassay::RecordParser parser(kTexts, kId, kValues);
    Choices choices(input, size);
    const size_t limit = kLimits[choices.below(8)];
    const uint8_t how = choices.byte();
    const bool cut_off = how & 1;
    const size_t pieces = 1 + (how >> 1 & 7);
    const uint8_t filler = how & 16 ? '"' : how & 32 ? 0xFF : 0;
    const std::string data(reinterpret_cast<const char*>(choices.rest()), choices.rest_size());
    const size_t mark = data.starts_with("\xEF\xBB\xBF") ? 3 : 0;
    const std::vector<Line> lines = lines_of(data, mark, limit, cut_off);
    REQUIRE(cut(data, limit, cut_off, pieces, how * 31u + size) == lines);
    if (how & 64 && !lines.empty()) {  // gone on with at a line, some of them counted before
        Sequence sequence(size);
        const size_t first = sequence.below(lines.size()), counted = first + sequence.below(lines.size() - first);
        const size_t begin = lines[first].begin == mark ? 0 : lines[first].begin;
        const textassay::LinesBegin from{sequence.below(begin + 1), begin, lines[counted].begin == mark ? 0 : lines[counted].begin};
        REQUIRE(cut(data, limit, cut_off, pieces, size, from) == std::vector<Line>(lines.begin() + static_cast<ptrdiff_t>(first), lines.end()));
    }
    size_t bytes = mark;
    for (const Line& line : lines) {
        bytes += line.end - line.begin;
        if (line.lost != textassay::Malformed::kNone) continue;
        std::string_view text = std::string_view(data).substr(line.begin, line.end - line.begin);
        if (text.ends_with('\n')) text.remove_suffix(text.ends_with("\r\n") ? 2 : 1);
        if (text.find_first_not_of(" \t\r") != text.npos) compare_readers(parser, text, filler);
    }
    REQUIRE(bytes == data.size());
    return 0;
}
