#include "methods/aespa/rounding.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "methods/aespa/rounding_loops.h"
#include "methods/aespa/undecided.h"

namespace assay::aespa {
namespace {

// Adam's step t of the schedule, t = 0, 1, ..: the regulariser sets in after the warm-up, and its
// exponent falls linearly from there.
AdamStep step_of(std::int64_t t, const RoundingOptions& options) {
  const double begin = options.warm_up * static_cast<double>(options.iterations);
  const double now = static_cast<double>(t);
  AdamStep step{.learning_rate = options.learning_rate, .number = t + 1};
  if (now < begin) return step;
  step.regularizer = options.weight;
  const double part = (now - begin) / (static_cast<double>(options.iterations) - begin);
  step.beta = options.end_beta + (options.start_beta - options.end_beta) * (1 - part);
  return step;
}

at::Tensor floors_of(const RoundingProblem& problem) {
  return at::floor(problem.base / problem.step);
}

struct Learning {
  const RoundingProblem& problem;
  at::Tensor weight, floor, step, zero, column;  // as RoundingValues, contiguous
  at::Tensor variable, sigmoid, difference, gradient, first, second;

  explicit Learning(const RoundingProblem& from)
      : problem(from),
        weight(from.weight.contiguous()),
        floor(floors_of(from).contiguous()),
        step(from.step.expand_as(weight).contiguous()),
        zero(from.zero.contiguous()),
        column(from.column.contiguous()),
        variable(inverse_soft_rounding(from.base / from.step - floor).contiguous()),
        sigmoid(at::empty_like(weight)),
        difference(at::empty_like(weight)),
        gradient(at::empty_like(weight)),
        first(at::zeros_like(weight)),
        second(at::zeros_like(weight)) {}

  template <typename T>
  RoundingValues<T> values(const at::Tensor& change) const {
    return {.rows = weight.numel() / weight.size(-1),
            .columns = weight.size(-1),
            .weight = weight.const_data_ptr<T>(),
            .floor = floor.const_data_ptr<T>(),
            .step = step.const_data_ptr<T>(),
            .zero = zero.const_data_ptr<T>(),
            .qmax = static_cast<T>(problem.qmax),
            .sigmoid = sigmoid.mutable_data_ptr<T>(),
            .difference = change.mutable_data_ptr<T>(),
            .variable = variable.mutable_data_ptr<T>(),
            .first = first.mutable_data_ptr<T>(),
            .second = second.mutable_data_ptr<T>()};
  }

  template <typename T>
  void iterate(const AdamStep& now) {
    soft_difference(values<T>(difference));
    at::Tensor change = difference;
    if (problem.row.defined()) change = at::matmul(problem.row, change);
    at::matmul_out(gradient, change, problem.column);
    gradient.mul_(2);
    update_variable(values<T>(gradient), now);
  }

  // Whether the other values are few enough to go on with alone, or none. Their part of the moments
  // has to stay in the caches for that.
  template <typename T>
  bool mostly_decided(const AdamStep& next) const {
    constexpr std::int64_t kCached = 768;
    const UndecidedCount left = count_undecided(values<T>(difference), next);
    if (left.all == 0) return true;
    const std::int64_t columns = weight.size(-1);
    return !problem.row.defined() && 2 * left.all <= weight.numel() &&
           (left.most <= kCached || 5 * left.most <= columns);
  }

  // The iterations from `done` on, for some rows at a time.
  template <typename T>
  void finish(std::int64_t done, const RoundingOptions& options) {
    constexpr std::int64_t kRows = 64;
    const std::int64_t columns = weight.size(-1), rows = weight.numel() / columns;
    const bool one_matrix = column.numel() == columns * columns;
    RemainingRows<T> remaining{.values = values<T>(difference),
                               .column = column.const_data_ptr<T>(),
                               .rows_of_matrix = one_matrix ? rows : weight.size(-2)};
    if (!problem.row.defined()) {
      for (std::int64_t t = done; t < options.iterations; ++t) {
        remaining.steps.push_back(step_of(t, options));
      }
    }
    for (std::int64_t row = 0; row < rows; row += kRows) {
      const std::int64_t end = std::min(rows, row + kRows);
      finish_rows(remaining, row, end);
      if (options.stepped) options.stepped(done + (options.iterations - done) * end / rows);
    }
  }

  // The same where the loops cannot go.
  void iterate_on_device(const AdamStep& now) {
    const at::Tensor wide = variable.sigmoid() * 1.2 - 0.1, h = wide.clamp(0, 1);
    const at::Tensor code = floor + h + zero;
    const at::Tensor change = step * (code.clamp(0, problem.qmax) - zero) - weight;
    const at::Tensor left = problem.row.defined() ? at::matmul(problem.row, change) : change;
    const at::Tensor by_weight =
        2 * at::matmul(left, problem.column) * step * code.ge(0).logical_and(code.le(problem.qmax));
    const at::Tensor centre = 2 * h - 1;
    const at::Tensor by_h =
        by_weight - 2 * now.beta * now.regularizer * centre.abs().pow(now.beta - 1) * centre.sign();
    const at::Tensor s = variable.sigmoid();
    const at::Tensor g = by_h * (1.2 * s * (1 - s)) * wide.ge(0).logical_and(wide.le(1));
    const double t = static_cast<double>(now.number);
    first.add_(g - first, 0.1);
    second.mul_(0.999).add_(g.square(), 1 - 0.999);
    variable.sub_(now.learning_rate / (1 - std::pow(0.9, t)) * first /
                  (second.sqrt() / std::sqrt(1 - std::pow(0.999, t)) + 1e-8));
  }
};

}  // namespace

at::Tensor soft_rounding(const at::Tensor& variable) {
  return (variable.sigmoid() * 1.2 - 0.1).clamp(0, 1);
}

at::Tensor inverse_soft_rounding(const at::Tensor& part) {
  return -at::log(1.2 / (part + 0.1) - 1);
}

namespace {

template <typename T>
void learn(Learning& learning, const RoundingOptions& options) {
  constexpr std::int64_t kIterationsBetween = 25;  // looks for what is decided
  const bool whole = options.end < 0;
  const std::int64_t end = whole ? options.iterations : options.end;
  for (std::int64_t t = 0; t < end; ++t) {
    const AdamStep now = step_of(t, options);
    if (whole && now.regularizer > 0 && t % kIterationsBetween == 0 &&
        learning.mostly_decided<T>(now)) {
      return learning.finish<T>(t, options);
    }
    learning.iterate<T>(now);
    if (options.stepped) options.stepped(t + 1);
  }
}

void learn_on_device(Learning& learning, const RoundingOptions& options) {
  const std::int64_t end = options.end < 0 ? options.iterations : options.end;
  for (std::int64_t t = 0; t < end; ++t) {
    learning.iterate_on_device(step_of(t, options));
    if (options.stepped) options.stepped(t + 1);
  }
}

}  // namespace

at::Tensor learn_rounding(const RoundingProblem& problem, const RoundingOptions& options) {
  Learning learning(problem);
  if (!learning.weight.is_cpu()) {
    learn_on_device(learning, options);
  } else if (learning.weight.scalar_type() == at::kDouble) {
    learn<double>(learning, options);
  } else {
    learn<float>(learning, options);
  }
  return learning.variable;
}

at::Tensor rounded_codes(const RoundingProblem& problem, const at::Tensor& variable) {
  const at::Tensor up = variable.ge(0).to(problem.weight.scalar_type());
  return at::clamp(floors_of(problem) + up + problem.zero, 0, problem.qmax);
}

double rounding_loss(const RoundingProblem& problem, const at::Tensor& code) {
  const at::Tensor difference = problem.step * (code - problem.zero) - problem.weight;
  const at::Tensor right = at::matmul(difference, problem.column);
  const at::Tensor left = problem.row.defined() ? at::matmul(problem.row, difference) : difference;
  return (left * right).sum(at::kDouble).item<double>();
}

}  // namespace assay::aespa
