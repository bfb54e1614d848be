// An error that knows its place. It gains the path on the way up.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace textassay {

class ScanError : public std::runtime_error {
   public:
    ScanError(const std::string& reason, uint64_t byte_offset)
        : std::runtime_error(reason), byte_offset(byte_offset) {}

    std::string path;
    uint64_t byte_offset;
};

}  // namespace textassay
