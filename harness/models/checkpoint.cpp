#include <ATen/ATen.h>

#include <optional>

#include "harness/base/atomic_file.h"
#include "harness/models/checkpoint_files.h"
#include "harness/models/family.h"
#include "harness/models/tensor_file.h"
#include "harness/models/tensor_match.h"

namespace assay::models {
namespace {

// The tensors of a checkpoint in the slots of a network; all of one dtype, the widest that occurs.
void fill(Network& network, const TensorMatch& match, const CheckpointFiles& files) {
  std::optional<at::ScalarType> type;
  bool mixed = false;
  for (const auto& [slot, name] : match.sources) {
    const std::shared_ptr<const SafetensorsFile>& file = files.tensors.at(name);
    const at::ScalarType own = scalar_type_of(file->at(name).dtype);
    if (network.parameters().may_defer(slot)) {
      network.parameters().defer(slot, own, [view = mapped_tensor(file, name)] { return view; });
    } else {
      at::Tensor& target = network.parameters().contains(slot) ? network.parameters().at(slot)
                                                               : network.buffers().at(slot);
      target = tensor_of(file, name);
    }
    mixed = mixed || (type && *type != own);
    type = type ? at::promote_types(*type, own) : own;
  }
  if (mixed) network.to(*type);
}

}  // namespace

std::unique_ptr<Network> load_network(const FileSet& checkpoint, const std::string& family) {
  const CheckpointFiles files = open_checkpoint(checkpoint);
  const Family& record = find_family(family.empty() ? family_of(files.configuration) : family);
  std::unique_ptr<Network> network =
      make_network(record.declaration.name, files.configuration, /*allocate=*/false);
  const TensorMatch match = match_tensors(*network, record, files, TieCheck::kWhole);
  require_fit(match, *network, files);
  network->defer_weights();
  fill(*network, match, files);
  return network;
}

void save_network(const Network& network, const std::filesystem::path& folder) {
  TensorMap tensors;
  for (const ParameterTable* table : {&network.parameters(), &network.buffers()})
    for (const auto& [name, slot] : table->slots()) tensors.emplace(name, *slot);
  save_tensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
  write_file_atomically(folder / "config.json", network.configuration().dump(2) + "\n");
}

}  // namespace assay::models
