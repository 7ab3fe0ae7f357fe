#include "harness/contract/catalogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace assay {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

Catalogue small_catalogue() {
  Catalogue catalogue;
  catalogue.provider = "test";
  catalogue.stages = {{.name = "quantize",
                       .reads = {"group"},
                       .inputs = {{.name = "tokens", .stage = "tokenize", .split = "train"}},
                       .random = "seed"},
                      {.name = "tokenize", .exact = true}};
  catalogue.methods = {
      {.name = "m",
       .parameters =
           {{.name = "group", .type = ParameterType::kInteger, .default_value = -1, .minimum = -1}},
       .network = "quantize"}};
  return catalogue;
}

TEST(Catalogue, survives_a_round_trip_through_json) {
  const Catalogue catalogue = small_catalogue();
  EXPECT_EQ(catalogue_from(to_json(catalogue)), catalogue);
}

TEST(Catalogue, unknown_fields_and_dangling_stages_are_refused_by_place) {
  Json json = to_json(small_catalogue());
  json["stages"][0]["revison"] = 2;
  EXPECT_THAT(refusal([&] { catalogue_from(json); }),
              HasSubstr("catalogue.stages[0]: unknown field 'revison'; did you mean 'revision'?"));
  Catalogue catalogue = small_catalogue();
  catalogue.methods[0].network = "quantise";
  EXPECT_THAT(refusal([&] { catalogue_from(to_json(catalogue)); }),
              HasSubstr("did you mean 'quantize'?"));
}

TEST(Catalogue, a_canary_needs_nothing_and_is_no_network) {
  Catalogue catalogue = small_catalogue();
  catalogue.methods[0].canary = "tokenize";
  EXPECT_EQ(catalogue_from(to_json(catalogue)), catalogue);
  const auto refused = [&](const std::string& canary) {
    catalogue.methods[0].canary = canary;
    return refusal([&] { catalogue_from(to_json(catalogue)); });
  };
  EXPECT_THAT(refused("tokenise"), HasSubstr("did you mean 'tokenize'?"));
  EXPECT_THAT(refused("quantize"), HasSubstr("a canary brings its own example along"));
  catalogue.stages[1].reads_network = true;
  EXPECT_THAT(refused("tokenize"), HasSubstr("a canary brings its own example along"));
  // Two methods whose networks waited for one another would wait for ever.
  catalogue.stages[1].reads_network = false;
  catalogue.methods.push_back({.name = "n", .network = "tokenize"});
  EXPECT_THAT(refused("tokenize"), HasSubstr("makes the network of method 'n'"));
}

TEST(Catalogue, conditions_of_parameters_look_at_other_parameters_and_need_a_default) {
  Catalogue catalogue = small_catalogue();
  const ParameterSchema scheme{
      .name = "scheme", .type = ParameterType::kString, .default_value = "row"};
  catalogue.methods[0].parameters.push_back(scheme);
  catalogue.methods[0].parameters[0].when = "scheme=group,quantizes_weights";
  EXPECT_EQ(catalogue_from(to_json(catalogue)), catalogue);
  const auto refused = [&](const char* when) {
    catalogue.methods[0].parameters[0].when = when;
    return refusal([&] { catalogue_from(to_json(catalogue)); });
  };
  EXPECT_THAT(refused("shceme=group"), HasSubstr("'shceme' is no other parameter of this method"));
  EXPECT_THAT(refused("group=3"), HasSubstr("'group' is no other parameter of this method"));
  EXPECT_THAT(refused("sometimes"), HasSubstr("condition 'sometimes' is not known"));
  catalogue.methods[0].parameters[0].default_value = nullptr;
  EXPECT_THAT(refused("scheme=group"), HasSubstr("the parameter needs a default"));
}

TEST(Catalogue, conditions_are_for_parameters_of_methods_only) {
  Catalogue catalogue = small_catalogue();
  catalogue.readers = {{.name = "r", .parameters = {{.name = "join", .when = "task:language"}}}};
  EXPECT_THAT(refusal([&] { catalogue_from(to_json(catalogue)); }),
              HasSubstr("reader r: parameter 'join': 'when' is for parameters of methods"));
}

TEST(Catalogue, values_of_a_method_are_metrics_of_its_network) {
  Catalogue catalogue = small_catalogue();
  catalogue.methods[0].values = {{.name = "bits_per_weight", .unit = "bits"}};
  EXPECT_EQ(catalogue_from(to_json(catalogue)), catalogue);
  catalogue.methods[0].network = "";
  EXPECT_THAT(refusal([&] { catalogue_from(to_json(catalogue)); }),
              HasSubstr("method m: 'values' are metrics of 'network', which is not named"));
  catalogue = small_catalogue();
  catalogue.metrics = {{.name = "network", .stage = "quantize"}};
  EXPECT_THAT(refusal([&] { catalogue_from(to_json(catalogue)); }),
              HasSubstr("metric network: this name stands for the values of methods"));
}

TEST(Conditions, compare_parameters_and_are_told_to_people) {
  const Json parameters = {{"group", 64}, {"act", "token"}};
  const InputConditions conditions{.bits = {.weights = 4}, .parameters = &parameters};
  EXPECT_TRUE(holds("quantizes_weights,group=64,act!=tensor", conditions));
  EXPECT_FALSE(holds("group!=64", conditions));
  EXPECT_TRUE(holds("group!=-1", conditions));
  EXPECT_FALSE(holds("quantizes_weights", {.bits = {.weights = 16}}));
  EXPECT_EQ(parameters_in("group!=-1,act=token"), (std::vector<std::string>{"group", "act"}));
  EXPECT_EQ(condition_text("granularity=group,group!=-1,quantizes_weights"),
            "granularity: group and group other than -1 and weights below 16 bits");
}

TEST(Catalogue, an_input_may_be_a_stage_of_another_provider) {
  Catalogue one = small_catalogue();
  one.stages.pop_back();  // tokenize
  const Catalogue read = catalogue_from(to_json(one));
  Catalogue built_in;
  built_in.provider = "assay";
  built_in.stages = {{.name = "tokenize", .exact = true}};
  EXPECT_NO_THROW(check_against(joined({built_in, read}), read));
  built_in.stages[0].name = "tokenise";
  EXPECT_THAT(refusal([&] {
                check_against(joined({built_in, read}), read);
              }),
              HasSubstr("provider 'test': input 'tokens' of stage 'quantize' refers to stage "
                        "'tokenize', which no provider of this sweep offers; did you mean "
                        "'tokenise'?"));
}

TEST(Catalogue, what_a_stage_and_its_inputs_read_is_a_parameter_of_the_method) {
  Catalogue one = small_catalogue();
  one.stages[0].reads = {"grup"};
  EXPECT_THAT(refusal([&] { check_against(one, one); }),
              HasSubstr("stage 'quantize' reads parameter 'grup', which method 'm' does not have; "
                        "did you mean 'group'?"));
  one = small_catalogue();
  one.stages[1].reads = {"samples"};
  EXPECT_THAT(refusal([&] { check_against(one, one); }),
              HasSubstr("stage 'tokenize' reads parameter 'samples', which method 'm' does not "
                        "have"));
}

TEST(Catalogue, files_are_absolute_and_few_and_numerics_are_a_mapping) {
  Json json = to_json(small_catalogue());
  json["files"] = {"/a/b.py"};
  EXPECT_EQ(catalogue_from(json).files, std::vector<std::string>{"/a/b.py"});
  json["files"] = {"b.py"};
  EXPECT_THAT(refusal([&] { catalogue_from(json); }),
              HasSubstr("catalogue.files: 'b.py' is not the absolute path of a file"));
  json["files"] = std::vector<std::string>(20'001, "/a");
  EXPECT_THAT(refusal([&] { catalogue_from(json); }), HasSubstr("at most 20000"));
  json["files"] = Json::array();
  json["numerics"] = "2.15";
  EXPECT_THAT(refusal([&] { catalogue_from(json); }), HasSubstr("must be a mapping"));
}

TEST(InputConditions, all_that_an_input_names_must_hold) {
  EXPECT_TRUE(holds("", {}));
  EXPECT_FALSE(holds("quantizes_activations", {.bits = {.activations = 16}}));
  EXPECT_TRUE(holds("quantizes_activations", {.bits = {.activations = 8}}));
  const std::string both = "quantizes_activations,task:language";
  EXPECT_TRUE(holds(both, {.bits = {.activations = 8}, .task = "language"}));
  EXPECT_FALSE(holds(both, {.bits = {.activations = 8}, .task = "classification"}));
}

TEST(InputConditions, a_parameter_may_decide) {
  const Json parameters = {{"act", "fixed"}, {"group", 128}};
  EXPECT_TRUE(holds("act=fixed,group=128", {.parameters = &parameters}));
  EXPECT_FALSE(holds("act=dynamic", {.parameters = &parameters}));
  EXPECT_FALSE(holds("other=fixed", {.parameters = &parameters}));
  EXPECT_FALSE(holds("act=fixed", {}));
  EXPECT_EQ(parameters_in("quantizes_activations,act=fixed,group=128"),
            (std::vector<std::string>{"act", "group"}));
}

TEST(InputConditions, an_unknown_one_is_refused_when_the_catalogue_is_read) {
  Catalogue catalogue = small_catalogue();
  catalogue.stages[0].inputs[0].when = "task:vision";
  EXPECT_THAT(refusal([&] { catalogue_from(to_json(catalogue)); }),
              HasSubstr("condition 'task:vision'"));
}

TEST(CheckedParameters, defaults_fill_in_and_values_become_canonical) {
  const std::vector<ParameterSchema> schemas{
      {.name = "group", .type = ParameterType::kInteger, .default_value = -1},
      {.name = "damping", .type = ParameterType::kReal, .default_value = 0.01}};
  EXPECT_EQ(checked_parameters(schemas, {{"damping", 1}}, "gptq"),
            (Json{{"group", -1}, {"damping", 1.0}}));
}

TEST(CheckedParameters, refusals_name_parameter_value_and_legal_values) {
  const std::vector<ParameterSchema> schemas{{.name = "bits",
                                              .type = ParameterType::kInteger,
                                              .default_value = 4,
                                              .minimum = 1,
                                              .maximum = 8},
                                             {.name = "grid",
                                              .type = ParameterType::kString,
                                              .default_value = "minmax",
                                              .choices = {"minmax", "mse"}}};
  EXPECT_THAT(refusal([&] {
                checked_parameters(schemas, {{"bits", 9}}, "rtn");
              }),
              HasSubstr("parameter 'bits' = 9: expected an integer from 1 to 8"));
  EXPECT_THAT(refusal([&] {
                checked_parameters(schemas, {{"grid", "mes"}}, "rtn");
              }),
              HasSubstr("did you mean 'mse'?"));
  EXPECT_THAT(refusal([&] {
                checked_parameters(schemas, {{"gird", "mse"}}, "rtn");
              }),
              HasSubstr("rtn has no parameter 'gird'; did you mean 'grid'?"));
}

}  // namespace
}  // namespace assay
