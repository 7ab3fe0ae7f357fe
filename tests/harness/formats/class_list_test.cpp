#include "harness/formats/class_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace assay {
namespace {

using assay::testing::refusal;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

ClassSources sources(std::vector<std::string> folders) {
  ClassSources made;
  made.data = "data 'd'";
  made.folders = std::move(folders);
  made.folders_from = "/d/train";
  made.list_file = "/d/classes.txt";
  made.checkpoint_file = "/m/config.json";
  made.order = "auto";
  return made;
}

// The error of sources that do not fit together, which their user has to mend.
std::string sources_error(const ClassSources& from) {
  const std::string error = refusal([&] { resolve_classes(from); });
  EXPECT_THAT(error, StartsWith("config: "));
  return error;
}

TEST(ClassList, without_names_the_folders_are_numbered_in_order) {
  const ClassList list = resolve_classes(sources({"dog", "ant", "cat"}));
  EXPECT_THAT(list.names, ElementsAre("ant", "cat", "dog"));
  EXPECT_EQ(list.source, "the sorted folders of '/d/train'");
}

TEST(ClassList, the_checkpoint_s_names_decide_where_they_are_those_of_folders) {
  ClassSources from = sources({"cat", "airplane"});
  from.checkpoint.names = {"cat", "dog", "airplane"};
  from.outputs = 3;
  EXPECT_THAT(resolve_classes(from).names, ElementsAre("cat", "dog", "airplane"));
  EXPECT_THAT(class_numbers({"airplane", "cat"}, resolve_classes(from).names, ""),
              ElementsAre(2, 0));
  from.folders.push_back("kiwi");
  EXPECT_THAT(sources_error(from), HasSubstr("folder 'kiwi' is none of the 3 classes"));
}

TEST(ClassList, names_agree_by_letters_and_digits_and_by_parts_between_commas) {
  const std::vector<std::string> names{"T-shirt/top", "tench, Tinca tinca", "crane", "crane, bird"};
  EXPECT_THAT(class_numbers({"t_shirt top", "tench"}, names, ""), ElementsAre(0, 1));
  EXPECT_THAT(class_numbers({"crane"}, names, ""), ElementsAre(2));  // the very name
  const auto error = [&](const std::vector<std::string>& folders) {
    return refusal([&] { class_numbers(folders, names, "here"); });
  };
  EXPECT_THAT(error({"Crane"}),
              HasSubstr("here: folder 'Crane' is more than one of the 4 classes"));
  EXPECT_THAT(error({"tench", "Tinca tinca"}),
              HasSubstr("'tench' and 'Tinca tinca' are both class 1"));
}

TEST(ClassList, a_list_names_its_classes_as_the_folders_do) {
  ClassSources from = sources({"t_shirt", "trouser"});
  from.checkpoint.names = {"Trouser", "T-shirt", "Bag"};
  EXPECT_THAT(resolve_classes(from).names, ElementsAre("trouser", "t_shirt", "Bag"));
}

TEST(ClassList, orders_that_differ_are_asked_about) {
  ClassSources from = sources({"10", "1", "2"});
  from.checkpoint.names = {"airplane", "bird", "cat"};  // other names: they cannot say
  from.outputs = 3;
  EXPECT_THAT(sources_error(from), HasSubstr("by bytes (1, 10, 2) or naturally (1, 2, 10)"));
  EXPECT_THAT(sources_error(from), HasSubstr("'class_order: natural'"));
  from.order = "natural";
  EXPECT_THAT(resolve_classes(from).names, ElementsAre("1", "2", "10"));
  from.order = "bytes";
  EXPECT_THAT(resolve_classes(from).names, ElementsAre("1", "10", "2"));
  from.order = "auto";
  from.listed = {"2", "1", "10"};
  EXPECT_THAT(resolve_classes(from).names, ElementsAre("2", "1", "10"));
}

TEST(ClassList, a_list_or_order_that_contradicts_the_checkpoint_is_refused) {
  ClassSources from = sources({"cat", "dog"});
  from.checkpoint.names = {"dog", "cat"};
  from.outputs = 2;
  from.order = "bytes";
  EXPECT_THAT(sources_error(from),
              HasSubstr("class 'cat' has number 0 by class_order, but is output 1 of "
                        "the network by '/m/config.json'"));
  from.order = "auto";
  from.listed = {"cat", "dog"};
  EXPECT_THAT(sources_error(from), HasSubstr("by '/d/classes.txt'"));
  from.listed = {"dog", "cat"};
  EXPECT_THAT(resolve_classes(from).names, ElementsAre("dog", "cat"));
}

TEST(ClassList, a_trained_network_has_an_output_for_each_class) {
  ClassSources from = sources({"n01", "n02"});
  from.outputs = 1000;  // ten folders of ImageNet's thousand, say
  EXPECT_THAT(sources_error(from),
              HasSubstr("2 classes by the sorted folders of '/d/train', but the "
                        "network has 1000 outputs"));
  from.trained_elsewhere = false;  // it learns whatever the numbers are
  EXPECT_EQ(resolve_classes(from).names.size(), 2U);
  from.outputs = 1;
  EXPECT_THAT(sources_error(from), HasSubstr("1 outputs"));
}

TEST(ClassList, natural_order_is_that_of_timm) {
  EXPECT_TRUE(natural_less("2", "10"));
  EXPECT_TRUE(natural_less("a2b", "a10a"));
  EXPECT_TRUE(natural_less("apple", "Banana"));
  EXPECT_FALSE(natural_less("x007", "x7"));
  EXPECT_FALSE(natural_less("x7", "x007"));
  EXPECT_TRUE(natural_less("a", "ab"));
}

TEST(ClassList, a_list_file_has_a_name_a_line) {
  EXPECT_THAT(class_list_from("\xEF\xBB\xBF"
                              "b\r\na\r\n",
                              "f"),
              ElementsAre("b", "a"));
  const auto error = [](const std::string& text) {
    return refusal([&] { class_list_from(text, "f"); });
  };
  EXPECT_THAT(error("a\n\nb\n"), HasSubstr("data: 'f', line 2: the class name is empty"));
  EXPECT_THAT(error("a\nb\na"), HasSubstr("data: 'f', line 3: the class name repeats"));
  EXPECT_THAT(error("a\n\xFF\n"), HasSubstr("data: 'f', line 2: the class name is not UTF-8"));
  EXPECT_THAT(error(""), HasSubstr("data: 'f' names no class"));
}

TEST(ClassList, names_that_cannot_be_used_are_not_passed_over_for_the_order_of_the_folders) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"num_classes": 2, "label_names": ["dog", "cat", "cow"]})",
       "the length of 'label_names' is 3, 'num_classes' is 2"},
      {R"({"num_classes": 2, "pretrained_cfg": {"label_names": ["dog"]}})",
       "the length of 'pretrained_cfg.label_names' is 1, 'num_classes' is 2"},
      {R"({"label_names": {"dog": 0, "cat": 1}})", "'label_names' is no list of names"},
      {R"({"label_names": ["dog", 3]})", "'label_names' is no list of names"},
      {R"({"id2label": ["dog", "cat"]})", "'id2label' does not number names from 0 without a gap"},
      {R"({"id2label": {"0": "dog", "2": "cat"}})", "'id2label' does not number names"},
      {R"({"id2label": {"-1": "dog", "0": "cat"}})", "'id2label' does not number names"},
      {R"({"id2label": {"0": "dog", "1": null}})", "'id2label' does not number names"},
      {R"({"id2label": {"0": "dog", "00": "cat"}})", "'id2label' does not number names"},
      {R"({"label2id": {"dog": 0, "cat": 0}})", "'label2id' does not number names"},
      {R"({"id2label": {"0": "dog", "1": "cat"}, "label2id": {"dog": 1, "cat": 0}})",
       "'id2label' and 'label2id' contradict each other"},
      {R"({"classes": ["dog", "cat"], "id2label": {"0": "cat", "1": "dog"}})",
       "'classes' and 'id2label' contradict each other"},
  };
  for (const auto& [text, problem] : cases) {
    ClassSources from = sources({"cat", "dog"});
    from.checkpoint = class_names_in(Json::parse(text));
    EXPECT_THAT(from.checkpoint.names, IsEmpty()) << text;
    EXPECT_THAT(sources_error(from), HasSubstr(problem)) << text;
    from.order = "bytes";
    EXPECT_THAT(resolve_classes(from).names, ElementsAre("cat", "dog")) << "that was asked for";
    from.order = "auto";
    from.listed = {"dog", "cat"};
    EXPECT_THAT(resolve_classes(from).names, ElementsAre("dog", "cat")) << "so was this";
    ClassSources other = sources({"n01", "n02"});
    other.checkpoint = from.checkpoint;
    EXPECT_THAT(resolve_classes(other).names, ElementsAre("n01", "n02")) << "other classes";
  }
}

TEST(ClassList, a_configuration_names_its_outputs_in_several_forms) {
  const auto names = [](const char* text) { return class_names_in(Json::parse(text)).names; };
  EXPECT_THAT(names(R"({"label_names": ["b", "a"], "num_classes": 2})"), ElementsAre("b", "a"));
  EXPECT_THAT(names(R"({"pretrained_cfg": {"label_names": ["b", "a"]}})"), ElementsAre("b", "a"));
  EXPECT_THAT(names(R"({"id2label": {"0": "b", "1": "a"}})"), ElementsAre("b", "a"));
  EXPECT_THAT(names(R"({"classes": ["b", "a"]})"), ElementsAre("b", "a"));
  EXPECT_THAT(names(R"({"id2label": {"00": "b", "01": "a"}})"), ElementsAre("b", "a"));
  EXPECT_THAT(names(R"({"label2id": {"a": 1, "b": 0}})"), ElementsAre("b", "a"));
  EXPECT_THAT(names(R"({"classes": 12})"), IsEmpty());
  EXPECT_THAT(names(R"({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}})"), IsEmpty());
  EXPECT_THAT(names(R"({"id2label": {"0": "b", "2": "a"}})"), IsEmpty());
  EXPECT_THAT(names(R"({"label_names": ["b", 3]})"), IsEmpty());
  EXPECT_THAT(names(R"({"label_names": ["b", "a"], "num_classes": 3})"), IsEmpty());
  EXPECT_THAT(names("[]"), IsEmpty());
  EXPECT_EQ(outputs_in(Json::parse(R"({"pretrained_cfg": {"num_classes": 7}})")), 7);
  EXPECT_EQ(outputs_in(Json::parse(R"({"id2label": {"0": "b", "1": "a"}})")), 2);
  EXPECT_EQ(outputs_in(Json::parse(R"({"hidden_size": 3})")), 0);
}

}  // namespace
}  // namespace assay
