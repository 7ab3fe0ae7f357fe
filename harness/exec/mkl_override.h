#pragma once

namespace assay::exec {

// MKL uses AVX-512 and its fastest kernels only where it finds a processor of one vendor. With
// ASSAY_MKL_OVERRIDE=1 in the environment this program tells it that it runs on one: about twice as
// fast on others, with other low bits, and not supported by MKL's vendor. Off by default, recorded
// in the environment of every result.
bool mkl_override_enabled();

}  // namespace assay::exec
