// One line to its text. simdjson reads it; what simdjson refuses, strict_json decides.
#pragma once

#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "provenance.hpp"

namespace textassay {

using FieldPath = std::vector<std::string>;

inline constexpr std::string_view kFieldSeparator = "\n\n";  // between a record's text fields

// Reasons a record is malformed, in the order of the checks.
enum class Malformed : uint8_t {
    kNone,
    kTooLong,
    kInvalidUtf8,
    kNotJson,
    kNotObject,
    kNoTextField,
    kTextNotString,
    kCutOff,
    kReasons,
};

const char* name_of(Malformed reason);

// Views live until the next call of RecordParser::parse.
struct Record {
    Malformed malformed = Malformed::kNone;
    std::string_view text;
    uint64_t replaced = 0;  // lone surrogates in the text
    bool has_id = false;
    std::string_view id;
    std::span<const FieldValue> values;  // of the value fields, in their order
};

class RecordParser {
   public:
    RecordParser(std::vector<FieldPath> text_fields, FieldPath id_field, std::vector<FieldPath> value_fields = {});

    // simdjson::SIMDJSON_PADDING bytes must be readable behind the line; what they hold doesn't matter.
    Record parse(const uint8_t* line, size_t size);

   private:
    bool parse_fast(const uint8_t* line, size_t size, Record& record);
    Record parse_strictly(std::string_view line);
    Malformed join_text(simdjson::dom::element root, Record& record);
    void read_id(simdjson::dom::element root, Record& record);
    void read_values(simdjson::dom::element root, std::string_view line);
    void read_values_strictly(std::string_view line);

    const std::vector<FieldPath> text_fields_;
    const FieldPath id_field_;
    const std::vector<FieldPath> value_fields_;
    simdjson::dom::parser parser_;
    std::string joined_, id_;
    std::vector<FieldValue> values_;
    std::vector<std::string> written_values_;  // those that are not as in the line
};

}  // namespace textassay
