#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/contract/bits.h"
#include "harness/contract/catalogue.h"
#include "harness/spec/expression.h"
#include "harness/spec/method_expression.h"
#include "harness/spec/node.h"
#include "harness/spec/parameter_use.h"
#include "harness/spec/step_table.h"
#include "harness/spec/sweep.h"

namespace assay::spec {

// One combination of the axes of a block, before it is known what its method reads.
struct Point {
  std::uint32_t model = 0;
  const MethodExpression* method = nullptr;
  std::vector<std::uint32_t> steps;
  std::optional<Bits> bits;  // nothing: the block has none
  std::optional<std::int64_t> seed;
  std::optional<std::int64_t> calibration_seed;
  int calibration_data = -1;
  const Place* place = nullptr;  // of the method, for errors
};

// A block of `trials:` (or the base of an ablation): the product of its axes. Lives no longer than
// the node, the sweep and the table it was made from. block.cpp reads the keys, block_axes.cpp the
// values of axes, block_exclude.cpp decides what is left out, block_points.cpp walks the product.
class Block {
 public:
  enum class Exclude { kAllowed, kForbidden };

  // Reads and checks the block; nothing is expanded yet. `what` names it in errors.
  Block(Node& node, const std::string& what, Exclude exclude, const Catalogue& catalogue,
        const Sweep& sweep, StepTable& steps);

  // Number of combinations of the axes, without those of method parameters.
  std::uint64_t size() const { return size_; }
  const Place& place() const { return place_; }

  // Rules of `exclude` that have left out nothing, once for_each() is through: "FILE:LINE:COLUMN:
  // exclude: ...".
  std::vector<std::string> idle_rules() const;

  // Calls `visit` for each point that is not excluded, the first axis outermost.
  void for_each(const std::function<void(const Point&)>& visit);

  struct MethodChoice {
    MethodExpression expression;
    Node* parameters = nullptr;  // of the mapping form
    Place place;
  };
  const std::vector<MethodChoice>& methods() const { return methods_; }

  // Parameters that the points so far gave to their methods; whoever makes trials of them tells it
  // what these read.
  ParameterUse& use() { return use_; }

 private:
  // Axes by name. Parameters follow from kFirstParameter.
  enum Slot : std::size_t {
    kModel,
    kMethod,
    kBits,
    kSeed,
    kCalibrationSeed,
    kCalibrationData,
    kFirstParameter
  };
  static const std::vector<std::string> kAxisNames;
  static constexpr std::int64_t kBitsBase = 32;  // bits as a value: their digits to this base

  // A value of a slot: a number (index, bits, seed) or, for parameters, a node to be checked by the
  // schema of each method.
  struct Value {
    std::int64_t number = -1;
    Node* node = nullptr;
  };
  // Slots that are walked together: one, or those of a zip.
  struct Axis {
    std::vector<std::size_t> slots;
    std::vector<std::vector<Value>> rows;  // [row][slot of this axis]
  };
  struct ParameterAxis {
    std::string method;  // "": every method of the block that has it
    std::string parameter;
    Place place;
  };

  void read_methods(Node& node);
  bool names_method(const Member& member) const;
  void add_method_block(Member& member);
  void read_zip(Node& node);
  void read_zip_group(Node& node);
  void read_exclude(Node& node);
  void add_axis(const std::string& name, Node& node, const Place& place);
  std::optional<std::size_t> slot_of(const std::string& name, const Place& place);
  std::vector<Value> values_of(std::size_t slot, Node& node);
  const ParameterSchema* schema_of(const ParameterAxis& axis) const;
  std::vector<std::string> parameter_names() const;
  std::vector<std::string> axis_names() const;
  void finish();

  using Steps = std::vector<std::vector<std::uint32_t>>;  // each combination of parameters
  const Steps& steps_of(const std::vector<Value>& point);
  Steps make_steps(const MethodChoice& choice, const std::vector<Value>& point);
  Json value_of(const std::string& name, const Point& point,
                const std::vector<Value>& values) const;
  bool excluded(const Point& point, const std::vector<Value>& values);

  const Catalogue& catalogue_;
  const Sweep& sweep_;
  StepTable& steps_;
  std::string what_;
  Place place_;
  std::vector<MethodChoice> methods_;
  std::map<std::string, Node*> method_blocks_;  // `psaq_vit: {...}`
  std::vector<Axis> axes_;
  std::vector<std::optional<Place>> given_;  // by slot: where its axis stands
  std::vector<ParameterAxis> parameters_;
  std::vector<Expression> exclude_;
  std::vector<bool> excludes_;  // by rule: whether it has left out a point
  ParameterUse use_;
  std::uint64_t size_ = 1;
  std::map<std::vector<std::uintptr_t>, Steps> made_steps_;
};

}  // namespace assay::spec
