#include "strict_json.hpp"

#include <algorithm>
#include <charconv>

#include "code_point.hpp"

namespace textassay {

namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// A position in JSON. The take_ functions move behind what they name, or return false.
struct Cursor {
    std::string_view json;
    size_t at = 0;

    bool done() const { return at == json.size(); }
    char peek() const { return done() ? '\0' : json[at]; }
    void skip_space() {
        while (!done() && is_space(json[at])) ++at;
    }
    bool take(char c) {
        if (peek() != c || done()) return false;
        ++at;
        return true;
    }
    bool take_word(std::string_view word) {
        if (json.substr(at, word.size()) != word) return false;
        at += word.size();
        return true;
    }
    bool take_digits() {
        const size_t begin = at;
        while (is_digit(peek())) ++at;
        return at > begin;
    }
    bool take_number() {
        take('-');
        if (!take('0') && !take_digits()) return false;
        if (take('.') && !take_digits()) return false;
        if (peek() == 'e' || peek() == 'E') {
            ++at;
            if (peek() == '+' || peek() == '-') ++at;
            return take_digits();
        }
        return true;
    }
    bool take_string() {
        if (!take('"')) return false;
        while (!done()) {
            const char c = json[at++];
            if (c == '"') return true;
            if (static_cast<unsigned char>(c) < 0x20) return false;
            if (c != '\\') continue;
            const char escape = peek();
            ++at;
            if (escape == 'u') {
                for (int i = 0; i < 4; ++i, ++at)
                    if (hex_value(peek()) < 0) return false;
            } else if (escape == '\0' || std::string_view("\"\\/bfnrt").find(escape) == std::string_view::npos) {
                return false;
            }
        }
        return false;
    }
    bool take_scalar() {
        switch (peek()) {
            case '"': return take_string();
            case 't': return take_word("true");
            case 'f': return take_word("false");
            case 'n': return take_word("null");
            default: return take_number();
        }
    }
};

// Moves behind one value, checking it. Iterative: nesting is the sender's to choose.
bool take_value(Cursor& cursor) {
    std::string open;  // '{' or '[' per level
    for (;;) {
        cursor.skip_space();
        if (cursor.take('{') || cursor.take('[')) {
            open.push_back(cursor.json[cursor.at - 1]);
            if (open.size() > kMaxDepth) return false;
            cursor.skip_space();
            const bool is_object = open.back() == '{';
            if (cursor.take(is_object ? '}' : ']')) {
                open.pop_back();
            } else if (!is_object) {
                continue;
            } else {
                if (!cursor.take_string()) return false;
                cursor.skip_space();
                if (!cursor.take(':')) return false;
                continue;
            }
        } else if (!cursor.take_scalar()) {
            return false;
        }
        // Behind a value: what the containers around it want next.
        for (;;) {
            if (open.empty()) return true;
            cursor.skip_space();
            const bool is_object = open.back() == '{';
            if (cursor.take(',')) {
                if (!is_object) break;
                cursor.skip_space();
                if (!cursor.take_string()) return false;
                cursor.skip_space();
                if (!cursor.take(':')) return false;
                break;
            }
            if (!cursor.take(is_object ? '}' : ']')) return false;
            open.pop_back();
        }
    }
}

uint32_t take_hex4(std::string_view literal, size_t at) {
    uint32_t value = 0;
    for (size_t i = at; i < at + 4; ++i) value = value << 4 | static_cast<uint32_t>(hex_value(literal[i]));
    return value;
}

std::string_view value_text(Cursor& cursor) {
    cursor.skip_space();
    const size_t begin = cursor.at;
    take_value(cursor);
    return cursor.json.substr(begin, cursor.at - begin);
}

std::string_view find_member(std::string_view object, const std::string& key) {
    Cursor cursor{object, 1};
    for (;;) {
        cursor.skip_space();
        if (cursor.take('}') || cursor.done()) return {};
        cursor.take(',');
        cursor.skip_space();
        const size_t begin = cursor.at;
        cursor.take_string();
        std::string name;
        append_unescaped(object.substr(begin, cursor.at - begin), name);
        cursor.skip_space();
        cursor.take(':');
        const std::string_view value = value_text(cursor);
        if (name == key) return value;
    }
}

std::string_view find_element(std::string_view array, const std::string& index) {
    uint64_t wanted = 0;
    const auto [end, error] = std::from_chars(index.data(), index.data() + index.size(), wanted);
    if (error != std::errc{} || end != index.data() + index.size()) return {};
    Cursor cursor{array, 1};
    for (uint64_t i = 0;; ++i) {
        cursor.skip_space();
        if (cursor.peek() == ']' || cursor.done()) return {};
        cursor.take(',');
        const std::string_view value = value_text(cursor);
        if (i == wanted) return value;
    }
}

}  // namespace

bool is_json(std::string_view line) {
    Cursor cursor{line};
    if (!take_value(cursor)) return false;
    cursor.skip_space();
    return cursor.done();
}

std::string_view find_value(std::string_view json, const std::vector<std::string>& path) {
    Cursor cursor{json};
    std::string_view value = value_text(cursor);
    for (const std::string& component : path) {
        if (value.empty()) return {};
        if (value[0] == '{') {
            value = find_member(value, component);
        } else if (value[0] == '[') {
            value = find_element(value, component);
        } else {
            return {};
        }
    }
    return value;
}

uint64_t append_unescaped(std::string_view literal, std::string& out) {
    uint64_t replaced = 0;
    const size_t end = literal.size() - 1;
    for (size_t at = 1; at < end;) {
        const size_t backslash = std::min(literal.find('\\', at), end);
        out.append(literal, at, backslash - at);
        if (backslash == end) break;
        const char escape = literal[backslash + 1];
        at = backslash + 2;
        switch (escape) {
            case 'b': out += '\b'; continue;
            case 'f': out += '\f'; continue;
            case 'n': out += '\n'; continue;
            case 'r': out += '\r'; continue;
            case 't': out += '\t'; continue;
            case 'u': break;
            default: out += escape; continue;
        }
        uint32_t value = take_hex4(literal, at);
        at += 4;
        if (value >= 0xD800 && value < 0xDC00 && literal.substr(at, 2) == "\\u") {
            const uint32_t low = take_hex4(literal, at + 2);
            if (low >= 0xDC00 && low < 0xE000) {
                value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
                at += 6;
            }
        }
        if (value >= 0xD800 && value < 0xE000) {
            value = 0xFFFD;
            ++replaced;
        }
        uint8_t bytes[4];
        const uint32_t length = unicode::encode(value, bytes);
        out.append(reinterpret_cast<const char*>(bytes), length);
    }
    return replaced;
}

std::string canonical_integer(std::string_view number) {
    int64_t negative = 0;
    uint64_t positive = 0;
    const char *begin = number.data(), *end = begin + number.size();
    const auto as_unsigned = std::from_chars(begin, end, positive);
    if (as_unsigned.ec == std::errc{} && as_unsigned.ptr == end) return std::to_string(positive);
    const auto as_signed = std::from_chars(begin, end, negative);
    if (as_signed.ec == std::errc{} && as_signed.ptr == end) return std::to_string(negative);
    return {};
}

}  // namespace textassay
