#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/json.h"
#include "harness/contract/catalogue.h"
#include "harness/formats/image_listing.h"
#include "harness/plan/data_views.h"
#include "harness/plan/inputs.h"
#include "harness/spec/sweep.h"

namespace assay::plan {

// A part of a recipe: the value, its canonical text, and the paths behind its digests.
struct RecipePart {
  Json value = nullptr;
  std::string text;         // canonical_json(value)
  Json location = nullptr;  // null: nothing lies on disk
  std::string id;    // a short digest of the text
  std::string passed_over = "";  // of an image folder: what it holds besides its images
};

// The part with this value; an empty one for null.
RecipePart part_of(Json value, Json location = nullptr);

// The files of a model's checkpoint. Throws Error(kConfig) at the model's place.
FileSet checkpoint_files(const spec::Model& model, CheckpointParts parts, InputDigests& digests);

// Finds the files of models and data sets and makes their parts of recipes, each once. Throws
// Error(kConfig) with the place of the entry and the paths looked at if something is missing.
class InputFiles {
 public:
  InputFiles(const spec::Sweep& sweep, const Catalogue& catalogue, InputDigests& digests)
      : sweep_(sweep), catalogue_(catalogue), digests_(digests),
        views_(sweep, catalogue, digests) {}

  // {family, files: [{role, name, digest}]} or {family, config}; location {path, files: [{role,
  // name, path, identity}]}. A model of a task without text has no tokenizer to read.
  const RecipePart& model(std::size_t index, bool weights, bool tokenizer);
  // {reader, parameters, split, files: [{role, name, digest}]}, of image folders also {classes:
  // {count, digest}, preprocess}; location {files: [{role, name, path, identity | manifest}],
  // classes: [names]}. `manifest` is a name in manifests(). `view`: of views().
  const RecipePart& data(int view, const std::string& split);
  DataViews& views() { return views_; }

  // What there is to say of the data sets that were asked for, in the order of the questions.
  const std::vector<std::string>& notes() const { return notes_; }

  // Texts of the manifests of folders by name, the SHA-256 of the text.
  std::map<std::string, std::string> take_manifests() { return std::move(manifests_); }

 private:
  struct File {
    std::string role;
    std::string name;  // enters the recipe
    std::filesystem::path path;
  };

  RecipePart make_model(const spec::Model& model, bool weights, bool tokenizer);
  RecipePart make_data(const DataView& view, const std::string& split);
  Json data_parameters(const spec::DataSet& data, const ReaderDeclaration& reader,
                       const std::string& split) const;
  ImageListing check_images(const DataView& view, const std::string& split,
                            const std::filesystem::path& folder, const Manifest& manifest);
  Manifest manifest_of(const File& folder, const spec::DataSet& data);
  InputFile folder_of_files(const File& folder, const Manifest& manifest);
  void check_family(const spec::Model& model, const FileSet& files);
  FileSet digested(const FileSet& files);
  InputFile digested(const File& file);
  std::vector<File> files_of(const spec::DataSet& data, const ReaderDeclaration& reader,
                             const std::string& split);
  std::vector<File> named_files(const spec::DataSet& data, const ReaderDeclaration& reader,
                                const std::string& split);
  std::filesystem::path root_of(const spec::DataSet& data, const ReaderDeclaration& reader,
                                const std::vector<ReaderFile>& files);
  std::filesystem::path folder_of(const spec::DataSet& data, const std::string& split);
  std::string expanded(const std::string& root);

  const spec::Sweep& sweep_;
  const Catalogue& catalogue_;
  InputDigests& digests_;
  std::map<std::pair<std::size_t, int>, RecipePart> models_;
  DataViews views_;
  std::map<std::pair<int, std::string>, RecipePart> data_;
  std::vector<std::string> notes_;
  std::map<std::string, std::string> manifests_;
};

}  // namespace assay::plan
