#pragma once

#include <filesystem>
#include <string>

namespace assay::run {

inline constexpr const char* kSamplesFile = "samples.safetensors";

// Per-sample values of a run's metrics, kept in its folder so that the folder alone can be
// compared: samples/<stage key>.safetensors, a hard link to the artifact's file where both lie on
// one file system, else a copy.
std::filesystem::path samples_in(const std::filesystem::path& run, const std::string& stage);

// Keeps those of the artifact of `stage`, if it has any, in place of what is kept of another
// artifact. Throws Error(kIo).
void keep_samples(const std::filesystem::path& run, const std::string& stage,
                  const std::filesystem::path& artifact);

}  // namespace assay::run
