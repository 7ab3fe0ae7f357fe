#include "harness/supervise/inspection_batches.h"

#include <map>
#include <utility>

namespace assay::supervise {
namespace {

std::size_t bytes_of(const Question& question) {
  return to_json(question).dump(-1, ' ', false, Json::error_handler_t::replace).size() + 1;
}

class Batches {
 public:
  Batches(const std::vector<Question>& questions, std::size_t most_bytes)
      : questions_(questions), most_bytes_(most_bytes) {}

  void add(std::size_t question, std::size_t place) {
    const std::vector<std::size_t> missing = missing_for(question);
    std::size_t bytes = 0;
    for (const std::size_t each : missing) bytes += bytes_of(questions_[each]);
    if (!missing.empty() && bytes_ + bytes > most_bytes_ && !places_.empty()) {
      end();
      return add(question, place);
    }
    bytes_ += bytes;
    for (const std::size_t each : missing) enter(each);
    batches_.back().asked[places_.at(question)] = place;
  }

  std::vector<InspectionBatch> take() { return std::move(batches_); }

 private:
  // The question and those that its inputs name, as far as they are not there yet, these first.
  std::vector<std::size_t> missing_for(std::size_t question) const {
    std::map<std::size_t, bool> found;  // in the order of the plan: inputs are earlier questions
    std::vector<std::size_t> open = {question};
    while (!open.empty()) {
      const std::size_t next = open.back();
      open.pop_back();
      if (places_.contains(next) || !found.emplace(next, true).second) continue;
      for (const auto& [name, input] : questions_[next].inputs) open.push_back(input);
    }
    std::vector<std::size_t> missing;
    for (const auto& [each, unused] : found) missing.push_back(each);
    return missing;
  }

  void enter(std::size_t question) {
    if (batches_.empty()) batches_.emplace_back();
    InspectionBatch& batch = batches_.back();
    places_[question] = batch.questions.size();
    Question& entered = batch.questions.emplace_back(questions_[question]);
    for (auto& [name, input] : entered.inputs) input = places_.at(input);
    batch.asked.push_back(InspectionBatch::kBeside);
  }

  void end() {
    batches_.emplace_back();
    places_.clear();
    bytes_ = 0;
  }

  const std::vector<Question>& questions_;
  std::size_t most_bytes_;
  std::size_t bytes_ = 0;
  std::vector<InspectionBatch> batches_;
  std::map<std::size_t, std::size_t> places_;  // in the last batch
};

}  // namespace

std::vector<InspectionBatch> inspection_batches(const std::vector<Question>& questions,
                                                const std::vector<std::size_t>& wanted,
                                                std::size_t most_bytes) {
  Batches batches(questions, most_bytes);
  for (std::size_t place = 0; place < wanted.size(); ++place) batches.add(wanted[place], place);
  return batches.take();
}

}  // namespace assay::supervise
