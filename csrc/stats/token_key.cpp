#include "token_key.hpp"

#include <random>

namespace textassay {

namespace {

HashSeeds draw_seeds() {
    std::random_device device;
    const auto draw = [&] { return static_cast<uint64_t>(device()) << 32 | device(); };
    return {draw() | 1, draw() | 1};
}

}  // namespace

const HashSeeds kSeeds = draw_seeds();

uint64_t token_hash(const uint8_t* bytes, uint64_t size) {
    uint64_t h = 0xcbf29ce484222325u;
    for (uint64_t i = 0; i < size; ++i) h = (h ^ bytes[i]) * 0x100000001b3u;
    return finish_hash(h);
}

}  // namespace textassay
