// The kernel sets, each defined in the file of its instruction set.
#pragma once

namespace textassay::kernels {

struct KernelSet;

extern const KernelSet kScalarKernels;
#if defined(TEXTASSAY_X86_64)
extern const KernelSet kAvx2Kernels;
extern const KernelSet kAvx512Kernels;
#elif defined(TEXTASSAY_AARCH64)
extern const KernelSet kNeonKernels;
#endif

}  // namespace textassay::kernels
