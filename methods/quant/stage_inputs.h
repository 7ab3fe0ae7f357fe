#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "harness/contract/bits.h"
#include "harness/contract/stage_context.h"
#include "harness/contract/stage_parameters.h"
#include "harness/models/network.h"
#include "methods/quant/method_network.h"

// What the bodies of method stages read: the network and its calibration data.

namespace assay::quant {

// That a grid of `bits` bits has levels on both sides of 0: with 1 bit a symmetric one has none
// above it, and what is positive rounds to 0. Throws Error(kUnsupported) naming `parameter`
// ("w_bits", "a_bits").
enum class Symmetry { kChosen, kFixed };  // whether the method has a parameter `symmetric`
void require_levels(const char* parameter, int bits, bool symmetric,
                    Symmetry symmetry = Symmetry::kChosen);

at::ScalarType dtype_of(const models::Network& network);
at::Device device_of(const models::Network& network);

// Half-precision networks are calibrated and rounded in float32.
void widen(models::Network& network);

// The calibration data that the task calls for, on the network's device, rows first:
//   input "images" (images.safetensors: images uint8 as stored, or float, normalised) -> floating
//   [n, C, H, W], normalised by the network's mean and std;
//   input "tokens" (tokens.safetensors: tokens [n, context]) -> int64; of windows as long as the
//   network's learned positions the last m tokens are left out behind a prefix of m.
// Throws Error(kData) if shapes or token ids do not fit the network.
at::Tensor calibration_inputs(const StageContext& context, const models::Network& network);

// The parameters of the stages that draw calibration data: how many images or token windows, by
// default `samples`, and how long a window is.
std::vector<ParameterSchema> calibration_parameters(std::int64_t samples);

// The calibration data of a stage: its inputs "images" or "tokens" by task, of the split "train",
// where all of `when` holds.
std::vector<InputDeclaration> calibration_data(const std::string& when = "");

// For use between the chunks of a pass, whose work is lost: throws Error(kLost) if the stage is to
// end.
void require_running(const StageContext& context);

// Rows of one pass: kImageChunk or kSequenceChunk by task.
std::int64_t calibration_chunk(const models::Network& network);

}  // namespace assay::quant
