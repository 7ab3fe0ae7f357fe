#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "harness/contract/bits.h"
#include "harness/contract/stage_context.h"
#include "harness/models/network.h"
#include "methods/quant/method_network.h"

// A method, as one value: what it declares, what its stages do, and what is known of them before
// they run. Each folder below methods/ gives one; methods/CMakeLists.txt lists them.

namespace assay {

// What the methods of a trial round and put in front, as far as known; nothing: one of another
// provider may.
struct Rounding {
  std::optional<bool> weights = false;
  std::optional<bool> activations = false;
  std::optional<bool> cache = false;  // keys and values of attention
  Bits bits = {};                     // that the trial asks for, as far as its stages read them
  std::int64_t prefix = 0;  // the most tokens that a prefix of theirs may have
  bool rotated = false;     // the network's residual stream and heads
};

// A stage that has not run: of its network only shapes are known, and no input is made.
struct PlannedStage {
  const StageContext& context;
  const models::Network& network;
  // Images of its data, or the most tokens that its text can have; nothing: not known.
  std::optional<std::int64_t> samples;
  Rounding before;  // of the network that it is given
};

// That a method may put a prefix in front of the network that it is given. Throws
// Error(kUnsupported) naming the mend where a method before it has done so, or has rounded
// activations, whose ranges a prefix would change.
void require_prefix_fits(const PlannedStage& stage, const char* method);

struct MethodStage {
  StageDeclaration declaration;
  // Returns what protocol::Message::result holds. The loader gives the network that the stage works
  // on. Throws Error.
  std::function<Json(StageContext&, const quant::ModelLoader&)> run;
  // Throws Error as the stage would, before anything runs. Not set: nothing can be said.
  std::function<void(const PlannedStage&)> check = {};
  // What the stage rounds, with the parameters of its recipe. Not set: nothing.
  std::function<Rounding(const StageContext&)> rounds = {};
};

struct Method {
  MethodDeclaration declaration;
  std::vector<MethodStage> stages = {};
  // Runs the method on a tiny network in seconds; throws Error(kMethod) if it does not do what it
  // says. Not set: there is nothing that could go wrong.
  std::function<void()> canary = {};
};

// What the method declares, with the stage NAME.canary if it has a canary.
MethodDeclaration declaration_of(const Method& method);

// The stages with their loader, as a registry takes them, the canary's with a revision that rises
// with those of the others.
std::vector<StageImplementation> implementations(const Method& method,
                                                 const quant::ModelLoader& loader);

// Every method of methods/CMakeLists.txt, in its order.
std::vector<Method> built_in_methods();

}  // namespace assay
