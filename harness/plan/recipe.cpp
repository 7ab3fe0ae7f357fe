#include "harness/plan/recipe.h"

#include <fmt/format.h>

#include <iterator>

namespace assay::plan {

Recipe::Recipe(const Json& whole) : text_(canonical_json(whole)) {}

Recipe::Recipe(std::shared_ptr<const RecipeFrame> frame, SharedText parameters, std::int64_t seed,
               int shard, int shards, SharedText trial)
    : frame_(std::move(frame)),
      text_(std::move(parameters)),
      trial_(std::move(trial)),
      seed_(seed),
      shard_(shard),
      shards_(shards) {}

Recipe Recipe::for_shard(int shard) const {
  Recipe other = *this;
  other.shard_ = shard;
  return other;
}

std::string Recipe::text(const std::vector<StageInput>& inputs) const {
  std::string out;
  write(inputs, out);
  return out;
}

void Recipe::write(const std::vector<StageInput>& inputs, std::string& out) const {
  if (!frame_) {
    out += text_.empty() ? std::string_view("{}") : std::string_view(text_);
    return;
  }
  out.append("{").append(frame_->data).append("\"inputs\":{");
  for (const StageInput& input : inputs) {
    if (&input != inputs.data()) out += ',';
    out.append("\"").append(input.name.str()).append("\":\"");
    out.append(input.key.str()).append("\"");
  }
  out.append("},").append(frame_->models);
  out.append("\"parameters\":").append(text_.str()).append(",").append(frame_->revision);
  if (frame_->random) fmt::format_to(std::back_inserter(out), ",\"seed\":{}", seed_);
  if (shard_ >= 0) fmt::format_to(std::back_inserter(out), ",\"shard\":[{},{}]", shard_, shards_);
  out.append(",").append(frame_->stage);
  if (!trial_.empty()) out.append(",\"unshared\":\"").append(trial_.str()).append("\"");
  out += '}';
}

}  // namespace assay::plan
