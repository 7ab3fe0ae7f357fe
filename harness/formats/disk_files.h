#pragma once

#include "harness/formats/checkpoint_layout.h"

namespace assay {

// The real file system.
class DiskFiles : public FileView {
 public:
  Kind kind(const std::filesystem::path& path) override;
  std::vector<std::string> files_in(const std::filesystem::path& folder) override;
  std::string text(const std::filesystem::path& path) override;
};

}  // namespace assay
