#include "text.hpp"

#include <charconv>

#include "code_point.hpp"
#include "strict_json.hpp"

namespace textassay {

namespace {

using simdjson::dom::element;

// False if there is nothing at `path`.
bool find(element root, const FieldPath& path, element& found) {
    found = root;
    for (const std::string& component : path) {
        simdjson::dom::object object;
        simdjson::dom::array array;
        if (found.get(object) == simdjson::SUCCESS) {
            if (object.at_key(component).get(found) != simdjson::SUCCESS) return false;
        } else if (found.get(array) == simdjson::SUCCESS) {
            size_t index = 0;
            const char* end = component.data() + component.size();
            const auto parsed = std::from_chars(component.data(), end, index);
            if (parsed.ec != std::errc{} || parsed.ptr != end) return false;
            if (array.at(index).get(found) != simdjson::SUCCESS) return false;
        } else {
            return false;
        }
    }
    return true;
}

Record malformed(Malformed reason) {
    Record record;
    record.malformed = reason;
    return record;
}

}  // namespace

const char* name_of(Malformed reason) {
    switch (reason) {
        case Malformed::kTooLong: return "too_long";
        case Malformed::kInvalidUtf8: return "invalid_utf8";
        case Malformed::kNotJson: return "not_json";
        case Malformed::kNotObject: return "not_object";
        case Malformed::kNoTextField: return "no_text_field";
        case Malformed::kTextNotString: return "text_not_string";
        case Malformed::kCutOff: return "cut_off";
        default: return "";
    }
}

RecordParser::RecordParser(std::vector<FieldPath> text_fields, FieldPath id_field, std::vector<FieldPath> value_fields)
    : text_fields_(std::move(text_fields)),
      id_field_(std::move(id_field)),
      value_fields_(std::move(value_fields)),
      values_(value_fields_.size()),
      written_values_(value_fields_.size()) {}

Record RecordParser::parse(const uint8_t* line, size_t size) {
    Record record;
    record.values = values_;
    const bool begins_with_bom = size > 0 && line[0] == 0xEF;  // some versions of simdjson would skip it
    if (!begins_with_bom && parse_fast(line, size, record)) return record;
    return parse_strictly({reinterpret_cast<const char*>(line), size});
}

bool RecordParser::parse_fast(const uint8_t* line, size_t size, Record& record) {
    element root;
    if (parser_.parse(line, size, false).get(root) != simdjson::SUCCESS) return false;
    if (!root.is_object()) {
        record.malformed = Malformed::kNotObject;
        return true;
    }
    record.malformed = join_text(root, record);
    if (record.malformed == Malformed::kNone) {
        read_id(root, record);
        read_values(root, {reinterpret_cast<const char*>(line), size});
    }
    return true;
}

Malformed RecordParser::join_text(element root, Record& record) {
    size_t found_fields = 0;
    for (const FieldPath& path : text_fields_) {
        element value;
        if (!find(root, path, value)) continue;
        std::string_view text;
        if (value.get(text) != simdjson::SUCCESS) return Malformed::kTextNotString;
        if (found_fields++ == 0) {
            record.text = text;
            continue;
        }
        if (found_fields == 2) joined_.assign(record.text);
        joined_.append(kFieldSeparator).append(text);
    }
    if (found_fields > 1) record.text = joined_;
    return found_fields == 0 ? Malformed::kNoTextField : Malformed::kNone;
}

void RecordParser::read_id(element root, Record& record) {
    element value;
    if (id_field_.empty() || !find(root, id_field_, value)) return;
    int64_t negative;
    uint64_t positive;
    if (value.get(record.id) == simdjson::SUCCESS) {
        record.has_id = true;
    } else if (value.get(negative) == simdjson::SUCCESS) {
        id_ = std::to_string(negative);
        record.has_id = true;
        record.id = id_;
    } else if (value.get(positive) == simdjson::SUCCESS) {
        id_ = std::to_string(positive);
        record.has_id = true;
        record.id = id_;
    }
}

void RecordParser::read_values(element root, std::string_view line) {
    for (size_t i = 0; i < value_fields_.size(); ++i) {
        FieldValue& value = values_[i] = {};
        element found;
        if (!find(root, value_fields_[i], found)) continue;
        value.present = true;
        switch (found.type()) {
            case simdjson::dom::element_type::STRING: value.text = found.get_string().value_unsafe(); break;
            case simdjson::dom::element_type::BOOL: value.text = found.get_bool().value_unsafe() ? "true" : "false"; break;
            case simdjson::dom::element_type::INT64:
                value.text = written_values_[i] = std::to_string(found.get_int64().value_unsafe());
                break;
            case simdjson::dom::element_type::UINT64:
                value.text = written_values_[i] = std::to_string(found.get_uint64().value_unsafe());
                break;
            case simdjson::dom::element_type::DOUBLE:  // how it was written only the line knows
                value.text = find_value(line, value_fields_[i]);
                break;
            default: value.present = false;
        }
    }
}

void RecordParser::read_values_strictly(std::string_view line) {
    for (size_t i = 0; i < value_fields_.size(); ++i) {
        FieldValue& value = values_[i] = {};
        const std::string_view found = find_value(line, value_fields_[i]);
        if (found.empty() || found.front() == '{' || found.front() == '[' || found.front() == 'n') continue;
        value.present = true;
        std::string& written = written_values_[i];
        if (found.front() == '"') {
            written.clear();
            append_unescaped(found, written);
        } else {
            written = canonical_integer(found);
            if (written.empty()) written = found;
        }
        value.text = written;
    }
}

Record RecordParser::parse_strictly(std::string_view line) {
    Record record;
    record.values = values_;
    const auto* bytes = reinterpret_cast<const uint8_t*>(line.data());
    if (unicode::valid_utf8_prefix(bytes, line.size()) != line.size()) return malformed(Malformed::kInvalidUtf8);
    if (!is_json(line)) return malformed(Malformed::kNotJson);
    if (find_value(line, {}).front() != '{') return malformed(Malformed::kNotObject);
    size_t found_fields = 0;
    joined_.clear();
    for (const FieldPath& path : text_fields_) {
        const std::string_view value = find_value(line, path);
        if (value.empty()) continue;
        if (value.front() != '"') return malformed(Malformed::kTextNotString);
        if (found_fields++ > 0) joined_.append(kFieldSeparator);
        record.replaced += append_unescaped(value, joined_);
    }
    if (found_fields == 0) return malformed(Malformed::kNoTextField);
    record.text = joined_;
    read_values_strictly(line);
    const std::string_view id = id_field_.empty() ? std::string_view{} : find_value(line, id_field_);
    if (id.empty()) return record;
    id_.clear();
    if (id.front() == '"') {
        append_unescaped(id, id_);
        record.has_id = true;
    } else {
        id_ = canonical_integer(id);
        record.has_id = !id_.empty();
    }
    record.id = id_;
    return record;
}

}  // namespace textassay
