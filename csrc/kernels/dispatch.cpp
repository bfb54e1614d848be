// Detect once, allow forcing, refuse the unknown.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "byte_kernels.hpp"
#include "kernel_sets.hpp"

namespace textassay::kernels {

namespace {

struct Candidates {
    const KernelSet* runnable[4] = {};  // null-terminated
    std::string known;

    void add(const KernelSet& set, bool runs_here) {
        if (!known.empty()) known += ", ";
        known += set.name;
        if (!runs_here) return;
        size_t i = 0;
        while (runnable[i] != nullptr) ++i;
        runnable[i] = &set;
    }

    Candidates() {
#if defined(TEXTASSAY_X86_64)
        __builtin_cpu_init();
        const bool bits = __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
        add(kAvx512Kernels, bits && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                __builtin_cpu_supports("avx512vbmi2"));
        add(kAvx2Kernels, bits && __builtin_cpu_supports("avx2"));
#elif defined(TEXTASSAY_AARCH64)
        add(kNeonKernels, true);
#endif
        add(kScalarKernels, true);
    }
};

const Candidates& candidates() {
    static const Candidates all;
    return all;
}

const KernelSet& find(const char* name) {
    for (const KernelSet* const* set = available(); *set != nullptr; ++set)
        if (std::strcmp((*set)->name, name) == 0) return **set;
    std::string here;
    for (const KernelSet* const* set = available(); *set != nullptr; ++set) here += (here.empty() ? "" : ", ") + std::string((*set)->name);
    throw std::invalid_argument("kernel set \"" + std::string(name) + "\": wanted one of " + candidates().known +
                                " that this machine runs (" + here + ")");
}

std::atomic<const KernelSet*> forced{nullptr};

}  // namespace

const KernelSet* const* available() { return candidates().runnable; }

const KernelSet& active() {
    if (const KernelSet* set = forced.load(std::memory_order_acquire)) return *set;
    const char* name = std::getenv("TEXTASSAY_KERNELS");
    const KernelSet& set = name != nullptr && *name != '\0' ? find(name) : *available()[0];
    forced.store(&set, std::memory_order_release);
    return set;
}

void use(const char* name) { forced.store(&find(name), std::memory_order_release); }

}  // namespace textassay::kernels
