#include "datasets/readers.h"

#include "datasets/austen.h"
#include "datasets/preprocess.h"
#include "datasets/text_rules.h"

namespace assay::datasets {
namespace {

std::vector<ParameterSchema> document_parameters() {
  return {{.name = "strip",
           .type = ParameterType::kBool,
           .default_value = false,
           .doc = "Removes white space at both ends of each document."},
          {.name = "max_characters",
           .type = ParameterType::kInteger,
           .default_value = 0,
           .unit = "characters",
           .minimum = 0,
           .doc = "Keeps the first characters of each document; 0 keeps all."}};
}

ReaderDeclaration fashion_mnist() {
  return {
      .name = "fashion_mnist",
      .title = "Fashion-MNIST as in Debian's dataset-fashion-mnist",
      .task = "classification",
      .roots = {"/usr/share/datasets/fashion-mnist"},
      .files = {
          {"train",
           {{"images", "train-images-idx3-ubyte.gz"}, {"labels", "train-labels-idx1-ubyte.gz"}}},
          {"test",
           {{"images", "t10k-images-idx3-ubyte.gz"}, {"labels", "t10k-labels-idx1-ubyte.gz"}}}}};
}

ReaderDeclaration idx() {
  return {.name = "idx",
          .title = "IDX files as of MNIST, plain or gzip",
          .task = "classification",
          .parameters = {{.name = "classes",
                          .type = ParameterType::kInteger,
                          .default_value = 0,
                          .minimum = 0,
                          .maximum = 256,
                          .doc = "Number of classes; 0 takes the largest label plus one."}},
          .roles = {"images", "labels"}};
}

ParameterSchema choice(const char* name, std::vector<std::string> choices, const char* doc) {
  return {.name = name,
          .type = ParameterType::kString,
          .default_value = choices.front(),
          .choices = std::move(choices),
          .doc = doc};
}

ReaderDeclaration image_folder() {
  return {.name = "image_folder",
          .title = "A folder a split, in it a folder a class with JPEG or PNG files",
          .task = "classification",
          .parameters =
              {choice("preprocess", preprocessing_names(),
                      "Resize and crop, unless a metric names another; auto: what the checkpoint's "
                      "pretrained_cfg says, if it has one."),
               {.name = "classes",
                .type = ParameterType::kPath,
                .default_value = "",
                .doc = "File with the class of each output, a folder name a line."},
               choice("class_order", {"auto", "natural", "bytes"},
                      "How sorting the training split's folders numbers the classes; auto: by the "
                      "checkpoint's class names, or where all orders agree."),
               choice("alpha", {"drop", "white"},
                      "Transparent pixels: their colour, as Pillow, or composed on white."),
               choice("grey16", {"clip", "high"},
                      "16-bit grey: clipped at 255, as Pillow, or its upper byte.")},
          .folder = true};
}

ReaderDeclaration text() {
  ReaderDeclaration reader{
      .name = "text",
      .title = "UTF-8 text files, plain or gzip",
      .task = "language",
      .parameters = {{.name = "join",
                      .type = ParameterType::kString,
                      .default_value = "file",
                      .choices = join_rules(),
                      .doc = "How the lines of a file become one text."},
                     {.name = "separator",
                      .type = ParameterType::kString,
                      .default_value = "",
                      .doc = "Splits each file into documents, such as <|endoftext|>."}}};
  for (ParameterSchema& parameter : document_parameters()) {
    reader.parameters.push_back(std::move(parameter));
  }
  return reader;
}

ReaderDeclaration austen() {
  const auto novels = [](const char* split, Json default_value) {
    return ParameterSchema{.name = split,
                           .type = ParameterType::kStrings,
                           .default_value = std::move(default_value),
                           .choices = austen_novels(),
                           .doc = "Novels of this split, in order."};
  };
  ReaderDeclaration reader{
      .name = "austen",
      .title = "Jane Austen's six novels as in Debian's r-cran-janeaustenr",
      .task = "language",
      .parameters = {novels("train", {"emma", "mansfield", "northanger", "pride", "sense"}),
                     novels("test", {"persuasion"})},
      .roots = {"/usr/lib/R/site-library/janeaustenr/data",
                "$ASSAY_DEPS/austen/usr/lib/R/site-library/janeaustenr/data",
                // Where ./bootstrap unpacked it, whatever folder a run starts in.
                ASSAY_DEPS_FOLDER "/austen/usr/lib/R/site-library/janeaustenr/data"},
      .files = {{"train", {{"novels", "Rdata.rdb"}}}, {"test", {{"novels", "Rdata.rdb"}}}}};
  for (ParameterSchema& parameter : document_parameters()) {
    reader.parameters.push_back(std::move(parameter));
  }
  return reader;
}

}  // namespace

std::vector<ReaderDeclaration> readers() {
  return {fashion_mnist(),
          idx(),
          {.name = "cifar_binary",
           .title = "CIFAR-10, binary version: one or several files of 3,073-byte records",
           .task = "classification"},
          image_folder(),
          text(),
          austen()};
}

}  // namespace assay::datasets
