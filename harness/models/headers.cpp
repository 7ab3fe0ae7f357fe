#include "harness/models/headers.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "harness/formats/checkpoint_layout.h"
#include "harness/models/checkpoint_files.h"
#include "harness/models/family.h"
#include "harness/models/tensor_match.h"

namespace assay::models {
namespace {

void count_parameters(NetworkHeaders& headers) {
  for (const auto& [name, slot] : headers.network->parameters().slots())
    headers.parameters += slot->numel();
}

void count_stored(const CheckpointFiles& files, NetworkHeaders& headers) {
  std::set<std::string> dtypes;
  for (const auto& [name, file] : files.tensors) {
    const TensorEntry& entry = file->at(name);
    dtypes.insert(entry.dtype);
    headers.bytes += static_cast<std::int64_t>(entry.bytes.size());
  }
  headers.dtype = fmt::format("{}", fmt::join(dtypes, ", "));
}

// The configuration's own errors do not know the file that it came from.
std::unique_ptr<Network> network_of(const std::string& family, const Json& configuration,
                                    const std::string& file) {
  try {
    return make_network(family, configuration, /*allocate=*/false);
  } catch (const Error& error) {
    Error::Context context = error.context();
    context.emplace_back("file", file);
    throw Error(error.kind(),
                fmt::format("{}: {}; correct it, or take the one that was saved with the weights",
                            file, error.what()),
                std::move(context));
  }
}

}  // namespace

NetworkHeaders read_headers(const FileSet& checkpoint, const std::string& family) {
  NetworkHeaders headers;
  try {
    const CheckpointFiles files = open_checkpoint(checkpoint);
    count_stored(files, headers);
    const Family& record = find_family(family.empty() ? family_of(files.configuration) : family);
    const InputFile* configuration = checkpoint.first(kConfigRole);
    headers.network =
        network_of(record.declaration.name, files.configuration,
                   configuration == nullptr ? files.what : configuration->path.string());
    count_parameters(headers);
    require_fit(match_tensors(*headers.network, record, files, TieCheck::kSampled),
                *headers.network, files);
  } catch (const Error& error) {
    headers.problems.push_back(error);
  }
  return headers;
}

NetworkHeaders headers_of_configuration(const std::string& family, const Json& configuration) {
  NetworkHeaders headers;
  try {
    headers.network = make_network(family, configuration, /*allocate=*/false);
    count_parameters(headers);
  } catch (const Error& error) {
    headers.problems.push_back(error);
  }
  return headers;
}

}  // namespace assay::models
