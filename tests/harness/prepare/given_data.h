#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "harness/base/digest.h"
#include "harness/formats/input_file.h"
#include "harness/prepare/stages.h"
#include "tests/support/fake_context.h"

// Small data sets in recipes of stages.

namespace assay::prepare {

inline void give_file(FakeContext& context, const std::filesystem::path& path,
                      const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
  InputFile file = unplanned(path);
  file.digest = sha256(content);
  context.recipe_json["data"]["files"] = recipe_json(FileSet({file}));
  context.locations_json["data"]["files"] = locations_json(FileSet({file}));
}

// 10 records of CIFAR's form.
inline void give_images(FakeContext& context, const std::filesystem::path& folder) {
  std::string bytes;
  for (int i = 0; i < 10; ++i) {
    bytes += static_cast<char>(i);
    for (int j = 0; j < 3072; ++j) bytes += static_cast<char>((i * 31 + j * 7) % 256);
  }
  context.recipe_json["data"] = {{"reader", "cifar_binary"}, {"parameters", Json::object()}};
  give_file(context, folder / "c.bin", bytes);
}

// A text whose tokens are its bytes.
inline void give_text(FakeContext& context, const std::filesystem::path& folder,
                      const std::string& text) {
  context.recipe_json["data"] = {{"reader", "text"}, {"parameters", Json::object()}};
  context.recipe_json["model"] = {{"config", {{"vocab_size", 256}}}};
  give_file(context, folder / "t.txt", text);
}

// The result of `tokenize`, whose artifact is the folder "tokens".
inline Json tokenized(const std::filesystem::path& folder, const std::string& text) {
  FakeContext context;
  give_text(context, folder, text);
  context.folder = folder / "tokens";
  return context.run(tokenize);
}

}  // namespace assay::prepare
