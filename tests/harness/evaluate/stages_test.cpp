#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "datasets/reader.h"
#include "harness/evaluate/metric.h"
#include "harness/models/tensor_file.h"
#include "tests/harness/evaluate/toy_networks.h"
#include "tests/harness/prepare/given_data.h"
#include "tests/support/fake_context.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay::evaluate {
namespace {

namespace fs = std::filesystem;
using assay::testing::refusal;

class StagesTest : public ::testing::Test {
 protected:
  static NetworkLoader gives(const std::shared_ptr<const models::Network>& network) {
    return [network](StageContext&) {
      return LoadedNetwork{network, std::make_shared<models::Untapped>()};
    };
  }

  static NetworkLoaders serves(const std::shared_ptr<const models::Network>& network) {
    return {.trial = gives(network), .float_model = {}};
  }

  static StageBody body(const std::string& name, const NetworkLoaders& load = {}) {
    for (const Metric& metric : built_in_metrics()) {
      for (const StageImplementation& stage : implementations(metric, load)) {
        if (stage.declaration.name == name) return stage.body;
      }
    }
    throw Error(ErrorKind::kConfig, "no stage " + name);
  }

  static std::shared_ptr<const models::Network> classifier() {
    models::NetworkInfo info = mixing_classifier(10).info();
    info.input = {3, 32, 32};
    info.mean = info.std = {0.5, 0.5, 0.5};
    const at::Tensor weight = at::arange(10 * 3072).mul(0.37).sin().view({10, 3072}).to(at::kFloat);
    return std::make_shared<ToyNetwork>(
        info, [weight](const at::Tensor& x) { return at::linear(x.flatten(1), weight); });
  }

  static int revision(const std::string& name) {
    for (const Metric& metric : built_in_metrics()) {
      for (const MetricStage& stage : metric.stages) {
        if (stage.declaration.name == name) return stage.declaration.revision;
      }
    }
    return -1;
  }

  // The sum of what was recorded of samples i, each times i + 1.
  static double weighed(const fs::path& folder, const std::string& name) {
    const at::Tensor values =
        models::load_tensors(folder / "samples.safetensors").at(name).to(at::kDouble);
    return values.mul(at::arange(1, values.numel() + 1)).sum().item<double>();
  }

  // Evaluates in m shards and merges; the merged result.
  Json classified(int shards, const fs::path& folder) const {
    FakeContext merge;
    merge.folder = folder;
    merge.recipe_json["parameters"] = {{"shards", shards}};
    for (int i = 0; i < shards; ++i) {
      FakeContext context;
      prepare::give_images(context, root_);
      context.recipe_json["parameters"] = {{"limit", 0}, {"chunk", 4}};
      context.recipe_json["shard"] = {i, shards};
      context.folder = folder / std::to_string(i);
      context.run(body("evaluate.classification", serves(classifier())));
      merge.inputs["shard." + std::to_string(i)] = context.folder;
    }
    return merge.run(body("merge.classification"));
  }

  TemporaryFolder root_;
};

TEST_F(StagesTest, shards_merge_into_the_same_bytes) {
  const Json one = classified(1, root_ / "a");
  const std::string bytes = read_file(root_ / "a" / "samples.safetensors");
  EXPECT_EQ(one.at("metrics").at("samples"), 10);
  EXPECT_EQ(one.at("fingerprint").at("metric"), "classification");
  for (const int shards : {2, 3, 8}) {
    const fs::path folder = root_ / ("b" + std::to_string(shards));
    EXPECT_EQ(classified(shards, folder), one);
    EXPECT_EQ(read_file(folder / "samples.safetensors"), bytes);
  }
}

TEST_F(StagesTest, top5_of_five_classes_is_left_out_and_said) {
  EXPECT_TRUE(classified(1, root_ / "ten").at("metrics").contains("top5"));
  Json shard = parse_json(read_file(root_ / "ten" / "0" / "result.json"), "result");
  shard["fingerprint"]["classes"] = 5;
  write_file_atomically(root_ / "ten" / "0" / "result.json", shard.dump());
  FakeContext merge;
  merge.folder = root_ / "five";
  merge.recipe_json["parameters"] = {{"shards", 1}};
  merge.inputs["shard.0"] = root_ / "ten" / "0";
  const Json result = merge.run(body("merge.classification"));
  EXPECT_FALSE(result.at("metrics").contains("top5"));
  EXPECT_TRUE(result.at("metrics").contains("top1"));
  EXPECT_EQ(result.at("note"), "top5 is left out: of 5 classes it is always 100 %");
}

TEST_F(StagesTest, shards_of_another_protocol_do_not_merge) {
  classified(2, root_ / "a");
  Json result = parse_json(read_file(root_ / "a" / "1" / "result.json"), "result");
  result["fingerprint"]["limit"] = 7;
  write_file_atomically(root_ / "a" / "1" / "result.json", result.dump());
  FakeContext merge;
  merge.folder = root_ / "m";
  merge.recipe_json["parameters"] = {{"shards", 2}};
  merge.inputs = {{"shard.0", root_ / "a" / "0"}, {"shard.1", root_ / "a" / "1"}};
  EXPECT_THROW(merge.run(body("merge.classification")), Error);
  merge.inputs.erase("shard.1");
  EXPECT_THROW(merge.run(body("merge.classification")), Error);
}

TEST_F(StagesTest, a_text_becomes_tokens_windows_and_a_perplexity) {
  const Json tokens = prepare::tokenized(root_, std::string(1000, 'a') + " b");
  EXPECT_EQ(tokens.at("metrics").at("tokens"), 1002);
  EXPECT_EQ(tokens.at("metrics").at("words"), 2);
  FakeContext merge;
  merge.folder = root_ / "merged";
  merge.recipe_json["parameters"] = {{"shards", 2}};
  for (int i = 0; i < 2; ++i) {
    FakeContext context;
    context.folder = root_ / std::to_string(i);
    context.inputs["tokens"] = root_ / "tokens";
    context.recipe_json["parameters"] = {{"context", 0},       {"stride", 0}, {"limit", 0},
                                         {"pass", "whole"},    {"chunk", 0},  {"bos", "tokenizer"},
                                         {"windows", "stream"}};
    context.recipe_json["shard"] = {i, 2};
    context.run(body("evaluate.language",
                     serves(std::make_shared<ToyNetwork>(uniform_language(256, 100)))));
    merge.inputs["shard." + std::to_string(i)] = context.folder;
  }
  const Json result = merge.run(body("merge.language"));
  EXPECT_NEAR(result.at("metrics").at("perplexity").get<double>(), 256, 1e-3);
  EXPECT_EQ(result.at("metrics").at("windows"), 10);
  EXPECT_EQ(result.at("metrics").at("tokens"), 990);
  EXPECT_EQ(result.at("fingerprint").at("context"), 100);
  EXPECT_EQ(result.at("fingerprint").at("stride"), 100);
  EXPECT_EQ(result.at("fingerprint").at("bos"), "none");
  EXPECT_EQ(result.at("fingerprint").at("text").at("vocabulary"), 256);
}

// Raise the stages' revisions when these numbers move on purpose.
TEST_F(StagesTest, golden_classification_of_revisions_4_2) {
  EXPECT_EQ(revision("evaluate.classification"), 4);
  EXPECT_EQ(revision("merge.classification"), 2);
  const Json result = classified(2, root_ / "golden");
  const Json& metrics = result.at("metrics");
  EXPECT_EQ(metrics.at("top1"), 10.0);
  EXPECT_EQ(metrics.at("top5"), 50.0);
  EXPECT_NEAR(metrics.at("cross_entropy").get<double>(), 4.690856, 1e-5);
  EXPECT_EQ(weighed(root_ / "golden", "correct"), 4);
  EXPECT_EQ(weighed(root_ / "golden", "top5"), 28);
  EXPECT_NEAR(weighed(root_ / "golden", "margin"), -201.35908, 1e-3);
  EXPECT_NEAR(weighed(root_ / "golden", "nll"), 248.94063, 1e-3);
  Json fingerprint = result.at("fingerprint");
  fingerprint.erase("data");
  EXPECT_EQ(fingerprint, Json::parse(R"({"metric": "classification", "revision": 4, "classes": 10,
      "decode_revision": 2, "resize_revision": 2, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
      "limit": 0, "samples": 10, "device": "cpu", "dtype": "F32"})"));
}

TEST_F(StagesTest, golden_perplexity_of_revisions_3_2) {
  EXPECT_EQ(revision("evaluate.language"), 3);
  EXPECT_EQ(revision("merge.language"), 2);
  prepare::tokenized(root_, "The moon rose.\n\nNobody saw it, and then it set behind the hill.\n");
  FakeContext merge;
  merge.folder = root_ / "golden";
  merge.recipe_json["parameters"] = {{"shards", 2}};
  for (int i = 0; i < 2; ++i) {
    FakeContext context;
    context.folder = root_ / std::to_string(i);
    context.inputs["tokens"] = root_ / "tokens";
    context.recipe_json["parameters"] = {{"context", 16},      {"stride", 8}, {"limit", 0},
                                         {"pass", "whole"},    {"chunk", 2},  {"bos", "tokenizer"},
                                         {"windows", "stream"}};
    context.recipe_json["shard"] = {i, 2};
    context.run(body("evaluate.language",
                     serves(std::make_shared<ToyNetwork>(rippling_language(256, 64)))));
    merge.inputs["shard." + std::to_string(i)] = context.folder;
  }
  const Json result = merge.run(body("merge.language"));
  const Json& metrics = result.at("metrics");
  for (const auto& [name, value] : std::map<std::string, double>{{"windows", 7},
                                                                 {"tokens", 56},
                                                                 {"nll", 5.8000572},
                                                                 {"perplexity", 330.31846},
                                                                 {"word_perplexity", 6.6628208e12},
                                                                 {"byte_perplexity", 330.31846},
                                                                 {"bits_per_byte", 8.3677138}}) {
    EXPECT_NEAR(metrics.at(name).get<double>(), value, 1e-5 * value) << name;
  }
  EXPECT_NEAR(weighed(root_ / "golden", "window_nll"), 1291.64887, 1e-3);
  Json fingerprint = result.at("fingerprint");
  fingerprint.erase("text");
  EXPECT_EQ(fingerprint,
            Json::parse(R"({"metric": "perplexity", "revision": 3, "averaging": "token",
      "windows_over": "stream", "context": 16, "stride": 8, "bos": "none", "limit": 0, "samples": 7,
      "device": "cpu", "dtype": "F32", "logits_dtype": "F32"})"));
}

// A model's divergence in m shards, each of which reads its part of the float model's states.
class DivergenceStages : public StagesTest {
 protected:
  Json diverged(int shards, const fs::path& folder) {
    prepare::tokenized(root_,
                       "The moon rose.\n\nNobody saw it, and then it set behind the hill.\n");
    const NetworkLoaders load = {
        .trial = gives(std::make_shared<ToyNetwork>(uniform_language(256, 64))),
        .float_model = gives(std::make_shared<ToyNetwork>(rippling_language(256, 64)))};
    merge_.folder = folder;
    merge_.inputs.clear();
    merge_.recipe_json["parameters"] = {{"shards", shards}};
    for (int i = 0; i < shards; ++i) {
      FakeContext states;
      states.folder = folder / ("states" + std::to_string(i));
      states.inputs["tokens"] = root_ / "tokens";
      states.recipe_json["parameters"] = {{"context", 16},      {"stride", 8}, {"limit", 0},
                                          {"pass", "whole"},    {"chunk", 2},  {"bos", "tokenizer"},
                                          {"windows", "stream"}};
      states.recipe_json["shard"] = {i, shards};
      states.run(body("float_states", load));
      FakeContext context;
      context.folder = folder / std::to_string(i);
      context.recipe_json = states.recipe_json;
      context.inputs = {{"tokens", root_ / "tokens"}, {"float_states", states.folder}};
      context.run(body("evaluate.divergence", load));
      merge_.inputs["shard." + std::to_string(i)] = context.folder;
    }
    return merge_.run(body("merge.divergence"));
  }

  FakeContext merge_;
};

TEST_F(DivergenceStages, shards_merge_into_the_same_bytes) {
  const Json one = diverged(1, root_ / "a");
  const std::string bytes = read_file(root_ / "a" / "samples.safetensors");
  const auto series = merge_.metrics;
  EXPECT_EQ(series.size(), 3U);
  for (const int shards : {2, 3, 8}) {
    const fs::path folder = root_ / ("b" + std::to_string(shards));
    EXPECT_EQ(diverged(shards, folder), one);
    EXPECT_EQ(read_file(folder / "samples.safetensors"), bytes);
    EXPECT_EQ(merge_.metrics, series);
  }
}

TEST_F(DivergenceStages, golden_divergence_of_revisions_1_1_1) {
  EXPECT_EQ(revision("float_states"), 1);
  EXPECT_EQ(revision("evaluate.divergence"), 1);
  EXPECT_EQ(revision("merge.divergence"), 1);
  const Json result = diverged(2, root_ / "golden");
  for (const auto& [name, value] : std::map<std::string, double>{{"windows", 7},
                                                                 {"tokens", 56},
                                                                 {"kld_mean", 0.20887179},
                                                                 {"kld_p99", 0.21103110},
                                                                 {"kld_p999", 0.21106341},
                                                                 {"kld_max", 0.21106700},
                                                                 {"top1_agreement", 0},
                                                                 {"delta_p_rms", 0.0024181301},
                                                                 {"ln_ppl_ratio", -0.25487976}}) {
    EXPECT_NEAR(result.at("metrics").at(name).get<double>(), value, 1e-5 * std::abs(value)) << name;
  }
  const auto samples = models::load_tensors(root_ / "golden" / "samples.safetensors");
  EXPECT_EQ(samples.at("token_kld").numel(), 56);
  EXPECT_NEAR(weighed(root_ / "golden", "token_kld"), 333.84991, 1e-3);
  EXPECT_NEAR(merge_.metrics.at("kld_by_position"), 0.20625743, 1e-5);
  EXPECT_NEAR(merge_.metrics.at("entropy_by_entropy"), 5.3425158, 1e-5);
  Json fingerprint = result.at("fingerprint");
  fingerprint.erase("text");
  EXPECT_EQ(fingerprint,
            Json::parse(R"({"metric": "kl_divergence", "revision": 1, "averaging": "token",
      "windows_over": "stream", "context": 16, "stride": 8, "bos": "none", "limit": 0, "samples": 7,
      "device": "cpu", "dtype": "F32", "logits_dtype": "F32"})"));
}

// The length was cut to the network's context, and the fingerprint kept the length asked for.
TEST_F(StagesTest, latency_of_a_longer_sequence_than_the_network_takes_is_refused) {
  FakeContext context;
  context.folder = root_ / "latency";
  context.recipe_json["parameters"] = {
      {"batch", 1}, {"tokens", 65}, {"repetitions", 5}, {"warmup_s", 0.01}, {"max_s", 1}};
  const auto load = serves(std::make_shared<ToyNetwork>(uniform_language(20, 64)));
  EXPECT_THAT(refusal([&] { context.run(body("measure.latency", load)); }),
              ::testing::AllOf(::testing::StartsWith("config: "),
                               ::testing::HasSubstr("write tokens: 64")));
  context.recipe_json["parameters"]["tokens"] = 64;
  const Json result = context.run(body("measure.latency", load));
  EXPECT_EQ(result.at("fingerprint").at("tokens"), 64);
}

TEST_F(StagesTest, latency_is_given_for_every_batch_size) {
  FakeContext context;
  context.folder = root_ / "latency";
  context.recipe_json["parameters"] = {
      {"batch", {1, 4}}, {"tokens", 8}, {"repetitions", 6}, {"warmup_s", 0.01}, {"max_s", 1}};
  const Json result = context.run(body("measure.latency", serves(classifier())));
  const Json& metrics = result.at("metrics");
  EXPECT_GT(metrics.at("latency_ms").get<double>(), 0);
  EXPECT_EQ(metrics.at("latency_ms"), metrics.at("latency_ms.b1"));
  EXPECT_EQ(metrics.at("throughput"), metrics.at("throughput.b4"));
  EXPECT_EQ(models::load_tensors(context.folder / "samples.safetensors").at("seconds.b4").numel(),
            6);
}

TEST_F(StagesTest, a_stage_that_is_asked_to_stop_counts_as_lost) {
  FakeContext context;
  prepare::give_images(context, root_);
  context.recipe_json["parameters"] = {{"limit", 0}, {"chunk", 4}};
  context.folder = root_ / "stopped";
  context.stop = true;
  EXPECT_THAT(refusal([&] { context.run(body("evaluate.classification", serves(classifier()))); }),
              ::testing::StartsWith("lost: "));
}

TEST(Catalogue, stages_metrics_and_readers_fit_together) {
  Catalogue catalogue;
  catalogue.provider = "assay";
  catalogue.version = "0";
  for (const StageImplementation& stage : prepare::stages()) {
    catalogue.stages.push_back(stage.declaration);
  }
  for (const Metric& metric : built_in_metrics()) {
    for (const MetricStage& stage : metric.stages) catalogue.stages.push_back(stage.declaration);
    for (const MetricDeclaration& each : metric.declarations) catalogue.metrics.push_back(each);
  }
  catalogue.readers = datasets::readers();
  EXPECT_EQ(catalogue_from(to_json(catalogue)), catalogue);
  for (const MetricDeclaration& metric : catalogue.metrics) {
    const Json defaults = checked_parameters(metric.parameters, Json::object(), metric.name);
    for (const std::string& stage : {metric.stage, metric.merge}) {
      if (stage.empty()) {
        continue;
      }
      for (const std::string& name : catalogue.find_stage(stage)->reads) {
        EXPECT_TRUE(defaults.contains(name)) << metric.name << " lacks " << name;
      }
    }
  }
}

}  // namespace
}  // namespace assay::evaluate
