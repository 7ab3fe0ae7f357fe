#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "datasets/image_set.h"
#include "datasets/text_set.h"
#include "datasets/tokenizer.h"
#include "harness/evaluate/classification.h"
#include "harness/evaluate/language.h"
#include "harness/formats/checkpoint_layout.h"
#include "harness/models/tensor_file.h"

// Whole paths from files to figures that were measured with other programs.

namespace assay::evaluate {
namespace {

namespace fs = std::filesystem;

fs::path test_data(const std::string& name) {
  const char* folder = std::getenv("ASSAY_TEST_DATA");
  return fs::path(folder != nullptr ? folder : "../shared") / name;
}

std::unique_ptr<const datasets::Tokenizer> tokenizer_at(const fs::path& folder) {
  return datasets::open_tokenizer(
      checkpoint_on_disk(folder, {.network = false, .tokenizer = true}));
}

#define NEED(path)                                                 \
  do {                                                             \
    if (!fs::exists(path)) {                                       \
      GTEST_SKIP() << (path) << " is not there (ASSAY_TEST_DATA)"; \
    }                                                              \
  } while (false)

LanguageRecords score(const models::Network& network, const datasets::TokenSet& tokens,
                      const WindowProtocol& protocol) {
  const WindowedText text = cut_windows(tokens, protocol);
  models::Untapped tap;
  return score_windows(network, tap, text, {static_cast<std::int64_t>(text.windows.size()), 4});
}

TEST(Anchor, stories260k_costs_1_26644_nats_a_token_on_five_stories) {
  const fs::path folder = test_data("data/weights/stories260K");
  const fs::path text = test_data("data/text/tinystories/tinystories_sample_cs336.txt");
  NEED(folder);
  const auto documents = datasets::open_documents(
      {{"reader", "text"},
       {"parameters", {{"separator", "<|endoftext|>"}, {"strip", true}, {"max_characters", 1200}}}},
      FileSet({unplanned(text)}));
  const auto tokens = datasets::tokenize(*tokenizer_at(folder), documents);
  const auto network = models::load_network(checkpoint_on_disk(folder));
  const LanguageRecords records = score(*network, tokens, {.context = 512, .text = "documents"});
  const LanguageMetrics metrics = summarise(records);
  EXPECT_EQ(metrics.tokens, 1804);
  EXPECT_NEAR(metrics.nll, 1.26644103133, 1e-5);
  EXPECT_NEAR(metrics.perplexity, 3.54820212, 4e-5);
  const double per_story[] = {490.8640, 407.4848, 211.3960, 633.2228, 541.6920};
  for (int i = 0; i < 5; ++i) {
    EXPECT_NEAR(records.window_nll[i].item<double>(), per_story[i], 1e-5 * per_story[i]);
  }
  network->to(at::kDouble);
  const LanguageMetrics wide =
      summarise(score(*network, tokens, {.context = 512, .text = "documents"}));
  EXPECT_NEAR(wide.nll, 1.26644103133, 1e-8);
}

TEST(Anchor, tiny_models_give_their_recorded_likelihoods) {
  const fs::path file = test_data("parity/llm/models/tokens.safetensors");
  NEED(file);
  datasets::TokenSet tokens;
  tokens.ids = models::load_tensors(file).at("test").flatten().to(at::kInt);
  tokens.starts = {0, tokens.ids.numel()};
  tokens.bytes = tokens.words = at::ones_like(tokens.ids);
  for (const auto& [name, nll] :
       {std::pair{"opt-tiny", 1.92224}, std::pair{"llama-tiny", 1.79551}}) {
    const auto network = models::load_network(checkpoint_on_disk(test_data("parity/llm/models") / name));
    const LanguageMetrics metrics = summarise(score(*network, tokens, {.context = 128}));
    EXPECT_EQ(metrics.windows, 32);
    EXPECT_NEAR(metrics.nll, nll, 1e-5) << name;
  }
}

struct LanguageCase {
  std::string folder, text;
  WindowProtocol protocol;
  Json parameters;  // of the reader
  double nll = 0;            // nats a token
  std::int64_t targets = 0;  // 0: not recorded
};

// Figures of transformers and tokenizers on small models with added tokens, beginnings of text and
// normalizers.
TEST(Anchor, small_models_have_the_likelihood_that_transformers_gives_them) {
  NEED(test_data("cases"));
  const Json documents = {{"separator", "<|doc|>"}};
  const WindowProtocol every{.context = 64, .bos = "every_window"};
  const WindowProtocol each{.context = 64, .bos = "every_window", .text = "documents"};
  const WindowProtocol short_windows{.context = 32};
  for (const LanguageCase& one : std::vector<LanguageCase>{
           {"02-bos-twice/m", "02-bos-twice/text.txt", each, documents, 7.758401, 2119},
           {"02-bos-twice/m", "02-bos-twice/stream.txt", every, Json::object(), 7.803480, 2142},
           {"07-added-tokens/slow", "07-added-tokens/text.txt", short_windows, Json::object(), 7.814390, 0},
           {"07-added-tokens/decoder", "07-added-tokens/text.txt", short_windows, Json::object(), 7.814390, 0},
           {"07-added-tokens/json", "07-added-tokens/text.txt", short_windows, Json::object(), 7.814390, 0},
           {"09-qwen2-nfc/nfc", "09-qwen2-nfc/text.txt", short_windows, Json::object(), 7.876472, 0},
           {"10-sentencepiece-specials/json", "10-sentencepiece-specials/text.txt", short_windows, Json::object(), 8.184249, 0}}) {
    const fs::path folder = test_data("cases/" + one.folder);
    const auto texts = datasets::open_documents(
        {{"reader", "text"}, {"parameters", one.parameters}},
        FileSet({unplanned(test_data("cases/" + one.text))}));
    const auto tokens = datasets::tokenize(*tokenizer_at(folder), texts);
    const LanguageMetrics metrics =
        summarise(score(*models::load_network(checkpoint_on_disk(folder)), tokens, one.protocol));
    EXPECT_NEAR(metrics.nll, one.nll, 2e-6) << one.folder;
    if (one.targets > 0) {
      EXPECT_EQ(metrics.tokens, one.targets) << one.folder;
    }
  }
}

// A token is a byte here.
TEST(Anchor, the_byte_perplexity_of_a_byte_model_is_its_perplexity) {
  const fs::path folder = test_data("cases/01-bits-per-byte");
  NEED(folder);
  const auto texts = datasets::open_documents(
      {{"reader", "text"}},
      FileSet({unplanned(folder / "text.txt")}));
  const auto tokens = datasets::tokenize(*tokenizer_at(folder / "m"), texts);
  const auto network = models::load_network(checkpoint_on_disk(folder / "m"));
  const double strideless = summarise(score(*network, tokens, {.context = 16})).perplexity;
  EXPECT_NEAR(strideless, 2284.317, 5e-4);
  for (const std::int64_t context : {16, 64}) {
    for (const std::int64_t stride : {0, 8}) {
      const LanguageMetrics metrics =
          summarise(score(*network, tokens, {.context = context, .stride = stride}));
      EXPECT_NEAR(metrics.byte_perplexity / metrics.perplexity, 1, 1e-12);
    }
  }
}

TEST(Anchor, cifar_resnets_are_right_on_their_counted_images) {
  const fs::path weights = test_data("data/weights/resnet-cifar10");
  NEED(weights);
  const auto images = datasets::open_images(
      {{"reader", "cifar_binary"}},
      FileSet({unplanned(test_data("data/images/cifar10/cifar10_test_lossless100_eran.bin")),
               unplanned(test_data("data/images/cifar10/cifar10_test_lossless200_abcrown.bin"))}));
  struct Case {
    int depth;
    std::int64_t correct;
    double cross_entropy;
  };
  for (const Case& one : {Case{20, 279, 0.260796}, Case{32, 275, 0.385083}, Case{44, 280, 0.386469},
                          Case{56, 285, 0.309064}}) {
    const int blocks = (one.depth - 2) / 6;
    const auto network = models::make_network(
        "cifar_resnet", {{"blocks", {blocks, blocks, blocks}}, {"num_classes", 10}});
    const std::string file = "resnet" + std::to_string(one.depth) + ".safetensors";
    for (const auto& [name, tensor] : models::load_tensors(weights / file)) {
      const auto& table =
          network->parameters().contains(name) ? network->parameters() : network->buffers();
      if (table.contains(name)) {
        table.at(name) = tensor;
      }
    }
    models::Untapped tap;
    const ClassificationMetrics metrics = summarise(classify(*network, tap, *images, {300, 64}));
    EXPECT_NEAR(metrics.top1 * 3, static_cast<double>(one.correct), 1e-9) << one.depth;
    EXPECT_NEAR(metrics.cross_entropy, one.cross_entropy, 1e-5) << one.depth;
  }
}

}  // namespace
}  // namespace assay::evaluate
