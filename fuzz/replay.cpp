// In place of libFuzzer where the compiler is not clang: runs the files of the folders given, in the order of their names.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "target.hpp"

// Targets that mutate ask for it; here nothing is mutated.
extern "C" size_t LLVMFuzzerMutate(uint8_t*, size_t size, size_t) { return size; }

int main(int argc, char** argv) {
    size_t files = 0;
    for (int i = 1; i < argc; ++i) {
        std::vector<std::filesystem::path> paths;
        for (const auto& entry : std::filesystem::directory_iterator(argv[i])) paths.push_back(entry.path());
        std::sort(paths.begin(), paths.end());
        for (const auto& path : paths) {
            std::fprintf(stderr, "%s\n", path.c_str());
            std::ifstream file(path, std::ios::binary);
            const std::vector<uint8_t> data{std::istreambuf_iterator<char>(file), {}};
            LLVMFuzzerTestOneInput(data.data(), data.size());
            ++files;
        }
    }
    std::printf("%zu files\n", files);
    return files == 0;  // a corpus that is not there is no success
}
