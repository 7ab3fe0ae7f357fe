#include <gtest/gtest.h>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "tests/harness/models/checkpoint_fixture.h"

namespace assay::models {
namespace {

class ShardedCheckpoint : public Checkpoint {
 protected:
  void shard(const Json& weight_map) {
    write_file_atomically(folder_ / "config.json", vit().dump());
    write_file_atomically(folder_ / "model.safetensors.index.json",
                          Json{{"metadata", Json::object()}, {"weight_map", weight_map}}.dump());
  }

  // Two shards and the map that belongs to them.
  Json split(const TensorMap& tensors) {
    TensorMap parts[2];
    Json map = Json::object();
    std::size_t i = 0;
    for (const auto& [name, tensor] : tensors) {
      const std::size_t part = i++ % 2;
      parts[part][name] = tensor;
      map[name] = part == 0 ? "a.safetensors" : "b.safetensors";
    }
    save_tensors(folder_ / "a.safetensors", parts[0]);
    save_tensors(folder_ / "b.safetensors", parts[1]);
    return map;
  }
};

TEST_F(ShardedCheckpoint, shards_load_as_one) {
  const auto network = made(vit());
  shard(split(tensors_of(*network)));
  expect_equal(*network, *load_network(checkpoint_on_disk(folder_)));
}

TEST_F(ShardedCheckpoint, an_index_cannot_leave_its_folder) {
  for (const std::string path : {"../a.safetensors", "/etc/passwd", "x/a.safetensors", "", ".",
                                 "..", "a.bin", "..\\a.safetensors/"}) {
    Json map = split(tensors_of(*made(vit())));
    map["head.weight"] = path;
    shard(map);
    expect_refused(ErrorKind::kData, "is not the plain name");
  }
}

TEST_F(ShardedCheckpoint, an_index_that_lies_is_refused) {
  Json map = split(tensors_of(*made(vit())));
  Json moved = map;
  moved["head.weight"] = map["head.weight"] == "a.safetensors" ? "b.safetensors" : "a.safetensors";
  shard(moved);
  expect_refused(ErrorKind::kData, "does not lie in its shard");
  Json absent = map;
  absent["head.weight"] = "c.safetensors";
  shard(absent);
  expect_refused(ErrorKind::kData, "the shard 'c.safetensors', which is not there");
  Json number = map;
  number["head.weight"] = 3;
  shard(number);
  expect_refused(ErrorKind::kData, "is not a name");
  shard(Json::object());
  expect_refused(ErrorKind::kData, "has no 'weight_map'");
  save_tensors(folder_ / "b.safetensors", load_tensors(folder_ / "a.safetensors"));
  shard(map);
  expect_refused(ErrorKind::kData, "in another shard too");
}

}  // namespace
}  // namespace assay::models
