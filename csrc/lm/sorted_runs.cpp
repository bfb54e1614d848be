#include "sorted_runs.hpp"

#include <cerrno>
#include <cstdio>
#include <memory>

#include "error.hpp"

namespace textassay {

void SortedRuns::write(const void* records, size_t n) {
    const std::string path = path_ + std::to_string(next_++) + ".bin";
    const auto close = [](std::FILE* file) { std::fclose(file); };
    std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "wb"), close);
    const bool written =
        file && std::fwrite(records, kRecordBytes, n, file.get()) == n && std::fflush(file.get()) == 0;
    if (!written) throw SystemError(errno, path);
}

}  // namespace textassay
