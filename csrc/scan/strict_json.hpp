// JSON by RFC 8259, strictly and slowly: the last word on lines that simdjson refuses. It refuses a number beyond 64 bits and a
// lone surrogate escape, which are JSON and occur; and it does not say what was wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace textassay {

inline constexpr size_t kMaxDepth = 1024;

// Whether `line` (valid UTF-8) is one JSON value, nested at most kMaxDepth deep, and nothing else but white space.
bool is_json(std::string_view line);

// In what follows `json` is one JSON value. Finds the value at `path`: keys of objects (the first of duplicates counts), or decimal
// indices of arrays. Its text without white space around it; an empty view if there is none.
std::string_view find_value(std::string_view json, const std::vector<std::string>& path);

// Appends what the JSON string `literal` (with its quotes) stands for; returns how many lone surrogates became U+FFFD.
uint64_t append_unescaped(std::string_view literal, std::string& out);

// "12" for 12, "0" for -0; empty if `number` is no integer of int64 or uint64.
std::string canonical_integer(std::string_view number);

}  // namespace textassay
