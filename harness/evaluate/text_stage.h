#pragma once

#include <cstdint>
#include <string>

#include "datasets/chunks.h"
#include "harness/base/json.h"
#include "harness/contract/declared_options.h"
#include "harness/contract/inspection.h"
#include "harness/contract/stage_context.h"
#include "harness/evaluate/metric.h"
#include "harness/evaluate/windows.h"
#include "harness/models/network.h"

// What the metrics over the windows of a text have in common: their options, the windows of a
// stage, their part of the fingerprint, and what is checked before a run.

namespace assay::evaluate {

struct TextOptions {
  std::int64_t context = 0;
  std::int64_t stride = 0;
  std::string bos = "tokenizer";
  std::string windows = "stream";
  std::int64_t limit = 0;
  std::int64_t chunk = 0;

  void visit(OptionVisitor& option);

  // Over a network that takes `most` tokens (0: any number).
  WindowProtocol protocol(std::int64_t most) const;
};

// The artifact that they read.
InputDeclaration tokens_input();

// The windows that the options leave of the stage's text, and the chunks of its shard.
struct StageText {
  WindowedText text;
  datasets::ChunkPlan plan;
};

// Throws as cut_windows().
StageText stage_text(StageContext& context, const TextOptions& options,
                     const models::NetworkInfo& info);

// What was measured, with the protocol as it was in effect: equal protocols have equal
// fingerprints, however a sweep spelled them.
Json text_fingerprint(const char* metric, int revision, const StageContext& context,
                      const models::Network& network, const TextOptions& options,
                      const WindowedText& text);

// What the fingerprint of a result says of bytes that a reader of the text does not see.
void note_hidden_bytes(Json& result);

// MetricStage::check of a stage with TextOptions.
void check_text(const PlannedMeasurement& planned, Findings& findings);

}  // namespace assay::evaluate
