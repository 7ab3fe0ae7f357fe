#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/formats/class_list.h"
#include "harness/plan/planner.h"
#include "harness/spec/sweep.h"
#include "tests/support/fake_digests.h"
#include "tests/support/refusal.h"
#include "tests/support/sweep_text.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_catalogue.h"

// What of image folders a plan decides: class numbers, preprocessing, what is passed over.

namespace assay::plan {
namespace {

using assay::testing::refusal;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ParameterSchema text_parameter(const char* name, const char* value) {
  return {.name = name, .type = ParameterType::kString, .default_value = value, .doc = "A text."};
}

Catalogue catalogue_of_images() {
  Catalogue catalogue = assay::testing::test_catalogue();
  for (ReaderDeclaration& reader : catalogue.readers) {
    if (reader.name != "image_folder") continue;
    reader.parameters = {text_parameter("preprocess", "auto"), text_parameter("classes", ""),
                         text_parameter("class_order", "auto"), text_parameter("alpha", "drop")};
  }
  for (MetricDeclaration& metric : catalogue.metrics) {
    if (metric.name == "top1") metric.parameters.push_back(text_parameter("preprocess", "auto"));
  }
  return catalogue;
}

class ImageData : public ::testing::Test {
 protected:
  ImageData() {
    digests_.add_model("/m/vit");
    digests_.files["/m/vit/config.json"] = R"({"num_classes": 3})";
    for (const char* name : {"ant", "bee", "cat"}) {
      digests_.files[std::string("/d/train/") + name + "/1.png"] = name;
      digests_.files[std::string("/d/test/") + name + "/2.png"] = name;
    }
  }

  Plan plan(const std::string& settings = "", const std::string& metrics = "{metric: top1}",
            const std::string& method = "float") {
    notes_.clear();
    const TemporaryFolder folder;
    const auto file = folder.write(
        "sweep.yaml",
        "assay: 1\ndata:\n  d: {reader: image_folder, root: /d" + settings +
            "}\n  e: {reader: image_folder, root: /d}\nmodels:\n"
            "  v: {family: vit, weights: /m/vit, data: d}\ntrials: [{model: v, method: " + method +
            "}]\nevaluate: [" + metrics + "]\n");
    const spec::Sweep sweep = spec::load_sweep(file, {}, catalogue_);
    return make_plan(sweep, catalogue_, digests_,
                     {.on_note = [this](const std::string& note) { notes_.push_back(note); }});
  }

  std::string error(const std::string& settings = "", const std::string& metrics = "{metric: top1}",
                    const std::string& method = "float") {
    return refusal([&] { plan(settings, metrics, method); });
  }

  static const Stage& stage(const Plan& plan, const std::string& name) {
    for (const Stage& each : plan.stages) {
      if (each.name == name) return each;
    }
    throw std::runtime_error("no stage " + name);
  }

  // {"classes", "preprocess"} of the data of a stage, the classes by name.
  static Json seen(const Plan& plan, const std::string& name = "top1.evaluate") {
    const Stage& found = stage(plan, name);
    const Json data = found.recipe_json().at("data");
    const Json& names = found.locations->at("data").at("classes");
    EXPECT_EQ(data.at("classes"), class_list_identity(names.get<std::vector<std::string>>()));
    EXPECT_FALSE(data.at("parameters").contains("classes"));
    return {{"classes", names}, {"preprocess", data.at("preprocess").at("name")}};
  }

  Catalogue catalogue_ = catalogue_of_images();
  assay::testing::FakeDigests digests_;
  std::vector<std::string> notes_;
};

TEST_F(ImageData, a_class_that_the_test_split_lacks_keeps_its_number) {
  digests_.files.erase("/d/test/ant/2.png");
  EXPECT_EQ(seen(plan()).at("classes"), (Json{"ant", "bee", "cat"}));
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_EQ(notes_[0],
            "data 'd', split 'test': 2 images of 2 classes, numbered by the sorted folders of "
            "'/d/train'; 1 of the list's 3 have no image here ('ant')");
}

TEST_F(ImageData, the_key_of_an_evaluation_depends_on_the_names_in_the_training_split) {
  const std::string before = stage(plan(), "top1.evaluate").key;
  digests_.files["/d/train/bee/more.png"] = "another image";
  EXPECT_EQ(stage(plan(), "top1.evaluate").key, before);
  digests_.files.erase("/d/train/cat/1.png");
  digests_.files.erase("/d/test/cat/2.png");
  digests_.folders.insert("/d/train/dog");
  EXPECT_NE(stage(plan(), "top1.evaluate").key, before);
}

TEST_F(ImageData, a_class_that_training_lacks_is_refused_at_the_data_entry) {
  digests_.files["/d/test/dog/1.png"] = "dog";
  EXPECT_THAT(error(), HasSubstr("folder 'dog' is none of the 3 classes"));
  EXPECT_THAT(error(), HasSubstr("sweep.yaml:3:"));
}

TEST_F(ImageData, the_checkpoint_s_names_number_the_classes) {
  digests_.files["/m/vit/config.json"] = R"({"label_names": ["cat", "ant", "bee"]})";
  EXPECT_EQ(seen(plan()).at("classes"), (Json{"cat", "ant", "bee"}));
  EXPECT_THAT(notes_[0], HasSubstr("numbered by the class names in '/m/vit/config.json'"));
}

TEST_F(ImageData, a_list_file_numbers_them_and_must_fit) {
  digests_.files["/lists/c.txt"] = "bee\ncat\nant\n";
  EXPECT_EQ(seen(plan(", classes: /lists/c.txt")).at("classes"), (Json{"bee", "cat", "ant"}));
  digests_.files["/lists/c.txt"] = "bee\ncat\n";
  EXPECT_THAT(error(", classes: /lists/c.txt"), HasSubstr("2 classes by '/lists/c.txt', but the"));
  EXPECT_THAT(error(", classes: /lists/no.txt"), HasSubstr("no class list '/lists/no.txt'"));
}

TEST_F(ImageData, hidden_and_other_files_are_counted_and_lost_images_refused) {
  digests_.files["/d/test/.DS_Store"] = "x";
  digests_.files["/d/test/ant/notes.txt"] = "x";
  plan();
  EXPECT_THAT(notes_[0], HasSubstr("passed over: 1 hidden file, 1 file that is no image"));
  digests_.files["/d/test/ant/3.webp"] = "x";
  EXPECT_THAT(error(), HasSubstr("1 image in formats that are not read, 'ant/3.webp'"));
}

TEST_F(ImageData, preprocessing_is_the_metric_s_else_the_entry_s_else_the_checkpoint_s) {
  EXPECT_EQ(seen(plan()).at("preprocess"), "none");
  digests_.files["/m/vit/config.json"] =
      R"({"num_classes": 3, "pretrained_cfg": {"crop_pct": 1.0, "interpolation": "bilinear"}})";
  const Plan own = plan();
  EXPECT_EQ(seen(own).at("preprocess"), "timm");
  const Json data = stage(own, "top1.evaluate").recipe_json().at("data");
  EXPECT_EQ(data.at("preprocess").at("crop_pct"), 1.0);
  EXPECT_EQ(data.at("preprocess").at("interpolation"), "bilinear");
  EXPECT_EQ(seen(plan(", preprocess: deit_875")).at("preprocess"), "deit_875");
  EXPECT_EQ(seen(plan(", preprocess: deit_875", "{metric: top1, preprocess: mimiq}"))
                .at("preprocess"),
            "mimiq");
}

TEST_F(ImageData, a_method_reads_images_as_the_metric_does) {
  const Plan made = plan("", "{metric: top1, preprocess: mimiq}", "train");
  EXPECT_EQ(seen(made, "train.fit").at("preprocess"), "mimiq");
  EXPECT_EQ(seen(made, "top1.evaluate").at("preprocess"), "mimiq");
  // A metric of another data set counts where this one says nothing itself.
  EXPECT_EQ(seen(plan("", "{metric: top1, data: e, preprocess: mimiq}", "train"), "train.fit")
                .at("preprocess"),
            "mimiq");
  EXPECT_EQ(seen(plan(", preprocess: cifar", "{metric: top1, data: e, preprocess: mimiq}", "train"),
                 "train.fit")
                .at("preprocess"),
            "cifar");
}

TEST_F(ImageData, metrics_that_disagree_are_refused_where_a_method_reads_images) {
  const std::string two = "{metric: top1, preprocess: mimiq}, {metric: top1, preprocess: deit_875}";
  EXPECT_THAT(error("", two, "train"), HasSubstr("one metric says preprocess 'mimiq' and another "
                                                 "'deit_875'"));
  EXPECT_EQ(error("", two, "float"), "no error");
}

TEST_F(ImageData, timm_without_a_pretrained_cfg_is_refused_at_the_entry_that_names_it) {
  EXPECT_THAT(error("", "{metric: top1, preprocess: timm}"),
              HasSubstr("model 'v', data 'd': preprocess 'timm' is what the checkpoint's"));
  EXPECT_THAT(error(", preprocess: timm"), HasSubstr("sweep.yaml:3:"));
}

}  // namespace
}  // namespace assay::plan
