#pragma once

namespace assay::exec {

// MKL uses AVX-512 and its fastest kernels only where it finds a processor of one vendor. With
// ASSAY_MKL_OVERRIDE=1 in the environment this program tells it that it runs on one, with 0 that it
// does not; left out, the processor's maker decides. On others it is about twice as fast, with other
// low bits, and not supported by MKL's vendor. Part of the numerics class.
bool mkl_takes_intel();

}  // namespace assay::exec
