// An error that knows its place. It gains the path on the way up.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace textassay {

class ScanError : public std::runtime_error {
   public:
    ScanError(const std::string& reason, uint64_t byte_offset)
        : std::runtime_error(reason), byte_offset(byte_offset) {}

    std::string path;
    uint64_t byte_offset;
};

// The machine's fault, not a file's: a full disk, no more descriptors.
class SystemError : public std::system_error {
   public:
    SystemError(int number, std::string path) : std::system_error(number, std::generic_category(), path), path(std::move(path)) {}

    std::string path;
};

}  // namespace textassay
