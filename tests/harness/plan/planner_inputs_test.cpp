#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "harness/base/digest.h"
#include "harness/plan/planner.h"
#include "tests/harness/plan/planner_fixture.h"

namespace assay::plan {
namespace {

using ::testing::HasSubstr;

TEST_F(Planner, every_file_is_digested_once) {
  plan(kLanguage);
  for (const auto& [path, count] : digests_.asked) EXPECT_EQ(count, 1) << path;
}

TEST_F(Planner, a_network_that_a_method_makes_in_two_stages_stands_twice_in_the_chain) {
  catalogue_.stages.push_back({.name = "turn", .reads_model = true, .reads_network = true});
  catalogue_.stages.push_back({.name = "turn.round",
                               .reads = {"a_bits"},
                               .reads_model = true,
                               .inputs = {{.name = "network", .stage = "turn"}}});
  catalogue_.methods.push_back({.name = "turn",
                                .families = {"opt"},
                                .reads_bits = true,
                                .traits = {"quantizer"},
                                .network = "turn.round"});
  EXPECT_EQ(labels(plan("trials:\n"
                        "  - {model: opt, method: turn + rtn, bits: [W4A4, W3A4, W4A8]}\n"
                        "  - {model: opt, method: rtn + turn, bits: W4A4}\n"
                        "evaluate: [{metric: perplexity}]\n")),
            "0 turn opt W4A4\n"
            "1 turn.round opt W4A4 <network:0\n"
            "2 rtn.quantize opt W4A4 <network:1 <network.0:0\n"
            "3 tokenize opt text test\n"
            "4 perplexity.evaluate opt W4A4 <network:2 <network.0:0 <network.1:1 <tokens:3\n"
            "5 rtn.quantize opt W3A4 <network:1 <network.0:0\n"
            "6 perplexity.evaluate opt W3A4 <network:5 <network.0:0 <network.1:1 <tokens:3\n"
            "7 turn.round opt W4A8 <network:0\n"
            "8 rtn.quantize opt W4A8 <network:7 <network.0:0\n"
            "9 perplexity.evaluate opt W4A8 <network:8 <network.0:0 <network.1:7 <tokens:3\n"
            "10 rtn.quantize opt W4A4\n"
            "11 turn opt W4A4 <network:10\n"
            "12 turn.round opt W4A4 <network:11 <network.0:10\n"
            "13 perplexity.evaluate opt W4A4 <network:12 <network.0:10 <network.1:11 <tokens:3\n"
            "opt turn + rtn W4A4: 0 1 2 3 4 -> perplexity@4 net 2\n"
            "opt turn + rtn W3A4: 0 1 3 5 6 -> perplexity@6 net 5\n"
            "opt turn + rtn W4A8: 0 3 7 8 9 -> perplexity@9 net 8\n"
            "opt rtn + turn W4A4: 3 10 11 12 13 -> perplexity@13 net 12\n");
}

TEST_F(Planner, an_input_named_network_is_no_second_chain_and_has_no_condition) {
  const std::string block = "trials: [{model: opt, method: turn, bits: W16A4}]\n";
  catalogue_.stages.push_back({.name = "turn", .reads_model = true, .reads_network = true});
  catalogue_.stages.push_back({.name = "turn.round",
                               .reads = {"a_bits"},
                               .reads_network = true,
                               .inputs = {{.name = "network", .stage = "turn"}}});
  catalogue_.methods.push_back({.name = "turn", .reads_bits = true, .network = "turn.round"});
  StageDeclaration& round = catalogue_.stages.back();
  EXPECT_THAT(error(block), HasSubstr("input 'network' must be a name of its own"));
  round.reads_network = false;
  EXPECT_EQ(error(block), "no error");
  round.inputs[0].when = "quantizes_activations";
  EXPECT_THAT(error(block), HasSubstr("an input 'network' has no condition"));
  round.inputs[0] = {.name = "network.0", .stage = "turn"};
  EXPECT_THAT(error(block), HasSubstr("'network.0' and, with reads_network, 'network' are given"));
}

TEST_F(Planner, sharded_weights_enter_by_the_files_of_their_index) {
  digests_.files.erase("/m/vit/model.safetensors");
  digests_.files["/m/vit/model.safetensors.index.json"] =
      R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}})";
  digests_.files["/m/vit/model-1.safetensors"] = "1";
  digests_.files["/m/vit/model-2.safetensors"] = "2";
  const std::string block = "trials: [{model: vit, method: rtn, bits: W4A8}]\n";
  EXPECT_EQ(stage(plan(block), "rtn.quantize").recipe_json().at("model").at("files").size(), 4U);
  digests_.files.erase("/m/vit/model-2.safetensors");
  EXPECT_THAT(error(block), HasSubstr("names the shard 'model-2.safetensors', which is not there"));
  digests_.files["/m/vit/model.safetensors.index.json"] = R"({"weight_map": {"a": "../x"}})";
  EXPECT_THAT(error(block), HasSubstr("is not the plain name of a .safetensors file"));
  digests_.files["/m/vit/model.safetensors.index.json"] = "[";
  EXPECT_THAT(error(block), HasSubstr("sweep.yaml"));
}

TEST_F(Planner, weights_beside_the_shards_of_an_index_are_two_networks) {
  digests_.files["/m/vit/model.safetensors.index.json"] =
      R"({"weight_map": {"a": "s.safetensors"}})";
  const std::string block = "trials: [{model: vit, method: rtn, bits: W4A8}]\n";
  const auto files = [&](const std::string& weights) {
    spec::Sweep loaded = sweep(block);
    loaded.models[0].weights = weights;
    std::string names;
    const Plan made = make_plan(loaded, catalogue_, digests_);
    const Json recipe = stage(made, "rtn.quantize").recipe_json();
    for (const Json& file : recipe.at("model").at("files")) {
      names += file.at("name").get<std::string>() + " ";
    }
    return names;
  };
  // A leftover: none of its shards is there.
  EXPECT_EQ(files("/m/vit"), "config.json model.safetensors ");
  digests_.files["/m/vit/s.safetensors"] = "s";
  EXPECT_THAT(error(block), HasSubstr("holds two networks: model.safetensors, and "
                                      "model.safetensors.index.json with s.safetensors"));
  EXPECT_EQ(files("/m/vit/model.safetensors"), "config.json model.safetensors ");
  EXPECT_EQ(files("/m/vit/model.safetensors.index.json"),
            "config.json model.safetensors.index.json s.safetensors ");
}

TEST_F(Planner, every_file_of_a_tokenizer_enters) {
  digests_.files.erase("/m/opt/tokenizer.json");
  std::set<std::string> keys;
  for (const std::string& name : tokenizer_files()) {
    digests_.files["/m/opt/" + name] = "{}";
    EXPECT_TRUE(keys.insert(stage(plan(kLanguage), "tokenize").key).second) << name;
    digests_.files["/m/opt/" + name] = "other";
    EXPECT_TRUE(keys.insert(stage(plan(kLanguage), "tokenize").key).second) << name;
  }
}

TEST_F(Planner, a_configuration_named_like_its_weights_comes_before_config_json) {
  spec::Sweep loaded = sweep("trials: [{model: vit, method: rtn, bits: W4A8}]\n");
  digests_.files["/m/vit/tiny.safetensors"] = "tiny";
  digests_.files["/m/vit/tiny.json"] = "{}";
  loaded.models[0].weights = "/m/vit/tiny.safetensors";
  const Plan made = make_plan(loaded, catalogue_, digests_);
  const Json files = stage(made, "rtn.quantize").recipe_json().at("model").at("files");
  EXPECT_EQ(files.at(0).at("name"), "tiny.json");
  digests_.files["/m/vit/config.json"] = "other";
  EXPECT_EQ(make_plan(loaded, catalogue_, digests_).stages[0].key, made.stages[0].key);
}

TEST_F(Planner, a_single_file_takes_the_config_beside_it) {
  spec::Sweep loaded = sweep("trials: [{model: vit, method: rtn, bits: W4A8}]\n");
  loaded.models[0].weights = "/m/vit/model.safetensors";
  const Plan made = make_plan(loaded, catalogue_, digests_);
  EXPECT_EQ(stage(made, "rtn.quantize").recipe_json().at("model").at("files").size(), 2U);
  EXPECT_EQ(stage(made, "rtn.quantize").locations->at("model").at("path"),
            "/m/vit/model.safetensors");
}

TEST_F(Planner, missing_files_are_errors_that_say_where_was_looked) {
  const std::string block = "trials: [{model: vit, method: rtn, bits: W4A8}]\n";
  digests_.files["/m/vit/pytorch_model.bin"] = "x";
  digests_.files.erase("/m/vit/model.safetensors");
  EXPECT_THAT(error(block),
              HasSubstr("/m/vit/pytorch_model.bin: checkpoints are read from .safetensors files"));
  digests_.files["/m/vit/a.safetensors"] = digests_.files["/m/vit/b.safetensors"] = "x";
  EXPECT_THAT(error(block), HasSubstr("holds 2 .safetensors files"));
  digests_.files.erase("/m/vit/config.json");
  EXPECT_THAT(error(block), HasSubstr("/m/vit: has no config.json"));
  digests_.files.clear();
  EXPECT_THAT(error(block),
              HasSubstr("sweep.yaml:4:4: weights of model 'vit': no file or folder '/m/vit'"));
  EXPECT_THAT(error("trials: [{model: resnet, method: train}]\n"),
              HasSubstr("data 'fashion' was not found (Fashion-MNIST as in Debian's "
                        "dataset-fashion-mnist); looked in /usr/share/datasets/fashion-mnist; "
                        "install it or name its folder: 'root: /path'"));
}

TEST_F(Planner, a_tokenizer_is_asked_for_only_where_it_is_read) {
  digests_.files.erase("/m/opt/tokenizer.json");
  EXPECT_EQ(error("trials: [{model: opt, method: float}]\n"), "no error");
  EXPECT_THAT(error(kLanguage), HasSubstr("/m/opt: no tokenizer; looked for tokenizer.json"));
  // With 256 ids they are byte values, and config.json decides.
  digests_.files["/m/opt/config.json"] = R"({"vocab_size": 256})";
  const Plan made = plan(kLanguage);
  EXPECT_EQ(stage(made, "tokenize").recipe_json().at("model").at("files"),
            Json::array({{{"role", "tokenizer"},
                          {"name", "config.json"},
                          {"digest", sha256(R"({"vocab_size": 256})")}}}));
}

TEST_F(Planner, usual_places_expand_the_environment_and_the_first_that_exists_wins) {
  digests_.variables["FASHION"] = "/own";
  for (const char* name : {"train-images.gz", "train-labels.gz"}) {
    digests_.files[std::string("/own/data/") + name] = name;
  }
  const Plan made = plan("trials: [{model: resnet, method: train}]\n");
  EXPECT_EQ(stage(made, "train.fit").locations->at("data").at("files")[0].at("path"),
            "/own/data/train-images.gz");
}

TEST_F(Planner, a_parameter_named_like_a_split_enters_that_split_only) {
  digests_.files["/usr/lib/austen/novels.rdb"] = "novels";
  const auto tokenized = [&](const std::string& novels) {
    const spec::Sweep loaded = assay::testing::sweep_of(
        "assay: 1\ndata: {a: {reader: austen, " + novels + "}}\n" +
        "models: {o: {family: opt, weights: /m/opt, data: a}}\n"
        "trials: [{model: o, method: gptq, bits: W4A16}]\nevaluate: [{metric: perplexity}]\n");
    std::map<std::string, std::string> keys;
    for (const Stage& each : make_plan(loaded, catalogue_, digests_).stages) {
      if (each.name == "tokenize") keys[each.recipe_json().at("data").at("split")] = each.key;
    }
    return keys;
  };
  const auto before = tokenized("test: sense");
  const auto after = tokenized("test: emma");
  EXPECT_EQ(before.at("train"), after.at("train"));
  EXPECT_NE(before.at("test"), after.at("test"));
}

TEST_F(Planner, image_folders_enter_by_their_manifest_and_val_is_the_test_split) {
  digests_.files["/images/val/cat/1.png"] = "1";
  const auto key_of = [&] {
    const spec::Sweep loaded = assay::testing::sweep_of(
        "assay: 1\ndata: {i: {reader: image_folder, root: /images}}\n"
        "models: {v: {family: vit, weights: /m/vit, data: i}}\n"
        "trials: [{model: v, method: float}]\nevaluate: [{metric: top1}]\n");
    const Plan made = make_plan(loaded, catalogue_, digests_);
    EXPECT_EQ(made.stages[0].locations->at("data").at("files")[0].at("path"), "/images/val");
    return made.stages[0].key;
  };
  const std::string before = key_of();
  digests_.files["/images/val/cat/2.png"] = "2";
  const std::string after = key_of();
  EXPECT_NE(after, before);
  digests_.folders.insert("/images/val/dog");  // a class without images moves the others' numbers
  EXPECT_NE(key_of(), after);
}

TEST_F(Planner, an_unknown_split_is_refused_with_the_legal_ones) {
  EXPECT_THAT(
      error("trials: [{model: vit, method: float}]\nevaluate: [{metric: top1, split: tset}]\n"),
      HasSubstr("data 'fashion' has no split 'tset'; did you mean 'test'?"));
  EXPECT_THAT(
      error(
          "trials: [{model: opt, method: float}]\nevaluate: [{metric: perplexity, split: dev}]\n"),
      HasSubstr("name its files: 'dev: ...'"));
}

TEST_F(Planner, a_checkpoint_of_another_family_is_refused_with_the_one_that_fits) {
  const std::string block = "trials: [{model: vit, method: rtn, bits: W4A8}]\n";
  digests_.files["/m/vit/config.json"] = R"({"model_type": "opt"})";
  EXPECT_THAT(error(block),
              HasSubstr("model 'vit' is of family 'vit' here, but '/m/vit/config.json' says "
                        "model_type 'opt', which is of family 'opt'; write 'family: opt'"));
  digests_.files["/m/vit/config.json"] = R"({"architecture": "opt"})";
  EXPECT_THAT(error(block), HasSubstr("says architecture 'opt'"));
  // Nobody's name, a field that is no text, and no JSON are not for the planner to judge.
  for (const char* fine :
       {R"({"model_type": "vit", "architecture": "opt"})",
        R"({"architecture": "vit_tiny_patch16_224"})", R"({"model_type": 3})", "[]", "{", ""}) {
    digests_.files["/m/vit/config.json"] = fine;
    EXPECT_NO_THROW(plan(block)) << fine;
  }
}

}  // namespace
}  // namespace assay::plan
