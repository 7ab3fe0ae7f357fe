#include "methods/aespa/undecided.h"

#include "methods/aespa/rounding_row.h"

namespace assay::aespa {
namespace {

constexpr double kEnd = 2.3978952727983707;  // h(B) = 1 from here on: ln 11
// Without a gradient a step is at most `rate` m 0.9^s / sqrt(0.999^s v) after s steps, and the sum
// over s from 1 on is 9.05 rate m / sqrt(v).
constexpr double kMomentum = 9.1;
constexpr double kMargin = 1e-3;
constexpr std::int64_t kIterationsBetween = 25;  // looks for what has been decided meanwhile
constexpr std::int64_t kLanes = 8;               // rows of packed moments begin at multiples

template <typename T>
ASSAY_INLINE_LOOP bool is_decided(T variable, T first, T second, const Adam<T>& next) {
  const T beyond = std::abs(variable) - T(kEnd + kMargin);
  if (beyond <= 0) return false;
  return first == 0 || T(kMomentum) * next.rate * std::abs(first) < beyond * std::sqrt(second);
}

template <typename T>
UndecidedCount count(const RoundingValues<T>& values, const AdamStep& next) {
  const Adam<T> adam(next);
  UndecidedCount out;
  for (std::int64_t row = 0; row < values.rows; ++row) {
    std::int64_t here = 0;
    for (std::int64_t j = row * values.columns; j < (row + 1) * values.columns; ++j) {
      here += is_decided(values.variable[j], values.first[j], values.second[j], adam) ? 0 : 1;
    }
    out.all += here;
    out.most = std::max(out.most, here);
  }
  return out;
}

// The undecided values of one row, side by side.
template <typename T>
struct Packed {
  std::vector<std::int64_t> column;  // of the row
  std::vector<T> weight, floor, step, variable, first, second;
  std::vector<T> sigmoid, difference;
  std::vector<T> constant;  // what decided values add to e column
  std::vector<T> gradient;
  std::vector<T> moments;  // [count, stride] of the columns
  std::int64_t count = 0, stride = 0;

  // Room for a row of so many columns.
  void reserve(std::int64_t columns) {
    column.resize(static_cast<std::size_t>(columns));
    for (std::vector<T>* each : {&weight, &floor, &step, &variable, &first, &second, &sigmoid,
                                 &difference, &constant, &gradient}) {
      each->resize(static_cast<std::size_t>(columns));
    }
  }

  RoundingValues<T> values(const T* zero, T qmax, std::vector<T>& change) {
    return {.rows = 1,
            .columns = count,
            .weight = weight.data(),
            .floor = floor.data(),
            .step = step.data(),
            .zero = zero,
            .qmax = qmax,
            .sigmoid = sigmoid.data(),
            .difference = change.data(),
            .variable = variable.data(),
            .first = first.data(),
            .second = second.data()};
  }
};

std::int64_t padded(std::int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

// Takes the undecided values of a row, whose differences are those of now.
template <typename T>
void pack(const RemainingRows<T>& remaining, std::int64_t row, const Adam<T>& next, Packed<T>& to) {
  const RoundingValues<T>& all = remaining.values;
  const std::int64_t at = row * all.columns;
  const T* matrix = remaining.column + row / remaining.rows_of_matrix * all.columns * all.columns;
  to.count = 0;
  for (std::int64_t j = 0; j < all.columns; ++j) {
    if (is_decided(all.variable[at + j], all.first[at + j], all.second[at + j], next)) continue;
    const auto k = static_cast<std::size_t>(to.count++);
    to.column[k] = j;
    to.weight[k] = all.weight[at + j];
    to.floor[k] = all.floor[at + j];
    to.step[k] = all.step[at + j];
    to.variable[k] = all.variable[at + j];
    to.first[k] = all.first[at + j];
    to.second[k] = all.second[at + j];
    to.constant[k] = 0;
  }
  to.stride = padded(to.count);
  to.moments.assign(static_cast<std::size_t>(to.count * to.stride), T(0));
  std::int64_t next_packed = 0;
  for (std::int64_t j = 0; j < all.columns; ++j) {
    const T* from = matrix + j * all.columns;
    if (next_packed < to.count && to.column[static_cast<std::size_t>(next_packed)] == j) {
      T* line = to.moments.data() + next_packed++ * to.stride;
      for (std::int64_t k = 0; k < to.count; ++k)
        line[k] = from[to.column[static_cast<std::size_t>(k)]];
      continue;
    }
    const T difference = all.difference[at + j];
    for (std::int64_t k = 0; k < to.count; ++k) {
      to.constant[static_cast<std::size_t>(k)] +=
          difference * from[to.column[static_cast<std::size_t>(k)]];
    }
  }
}

// Leaves out what has been decided meanwhile, if it is worth the copy; writes its B into the row.
template <typename T>
void drop_decided(T* variable_of_row, const Adam<T>& next, Packed<T>& packed) {
  std::vector<std::int64_t> kept, dropped;
  for (std::int64_t k = 0; k < packed.count; ++k) {
    const auto i = static_cast<std::size_t>(k);
    const bool decided = is_decided(packed.variable[i], packed.first[i], packed.second[i], next);
    (decided ? dropped : kept).push_back(k);
  }
  const bool few = static_cast<std::int64_t>(dropped.size()) * 8 < packed.count;
  if (dropped.empty() || (few && !kept.empty())) return;
  for (const std::int64_t k : dropped) {
    const auto i = static_cast<std::size_t>(k);
    variable_of_row[packed.column[i]] = packed.variable[i];
    const T* line = packed.moments.data() + k * packed.stride;
    for (const std::int64_t j : kept) {
      packed.constant[static_cast<std::size_t>(j)] += packed.difference[i] * line[j];
    }
  }
  // Towards the front, so nothing is overwritten before it is read.
  const std::int64_t stride = padded(static_cast<std::int64_t>(kept.size()));
  for (std::size_t k = 0; k < kept.size(); ++k) {
    const auto from = static_cast<std::size_t>(kept[k]);
    packed.column[k] = packed.column[from];
    for (std::vector<T>* each :
         {&packed.weight, &packed.floor, &packed.step, &packed.variable, &packed.first,
          &packed.second, &packed.sigmoid, &packed.difference, &packed.constant}) {
      (*each)[k] = (*each)[from];
    }
    T* line = packed.moments.data() + static_cast<std::int64_t>(k) * stride;
    const T* old = packed.moments.data() + kept[k] * packed.stride;
    for (std::size_t j = 0; j < kept.size(); ++j) line[j] = old[kept[j]];
    for (std::int64_t j = static_cast<std::int64_t>(kept.size()); j < stride; ++j) line[j] = 0;
  }
  packed.count = static_cast<std::int64_t>(kept.size());
  packed.stride = stride;
}

// gradient = 2 (constant + difference moments)
template <typename T>
ASSAY_INLINE_LOOP void product(Packed<T>& packed) {
  const std::int64_t count = packed.count, stride = packed.stride;
  const T* __restrict difference = packed.difference.data();
  const T* __restrict moments = packed.moments.data();
  T* __restrict gradient = packed.gradient.data();
  for (std::int64_t j = 0; j < count; ++j)
    gradient[j] = packed.constant[static_cast<std::size_t>(j)];
  std::int64_t k = 0;
  for (; k + 4 <= count; k += 4) {
    const T *line0 = moments + k * stride, *line1 = line0 + stride, *line2 = line1 + stride,
            *line3 = line2 + stride;
    const T e0 = difference[k], e1 = difference[k + 1], e2 = difference[k + 2],
            e3 = difference[k + 3];
    for (std::int64_t j = 0; j < count; ++j) {
      gradient[j] += (e0 * line0[j] + e1 * line1[j]) + (e2 * line2[j] + e3 * line3[j]);
    }
  }
  for (; k < count; ++k) {
    const T* line = moments + k * stride;
    for (std::int64_t j = 0; j < count; ++j) gradient[j] += difference[k] * line[j];
  }
  for (std::int64_t j = 0; j < count; ++j) gradient[j] *= 2;
}

template <typename T>
ASSAY_INLINE_LOOP void finish_row(const RemainingRows<T>& remaining,
                                  const std::vector<Adam<T>>& steps, std::int64_t row,
                                  Packed<T>& packed) {
  const RoundingValues<T>& all = remaining.values;
  T* variable = all.variable + row * all.columns;
  difference_of_row(all, row);
  pack(remaining, row, steps.front(), packed);
  std::int64_t done = 0;
  for (const Adam<T>& step : steps) {
    if (packed.count == 0) return;
    difference_of_row(packed.values(all.zero + row, all.qmax, packed.difference), 0);
    if (++done % kIterationsBetween == 0) drop_decided(variable, step, packed);
    product(packed);
    update_row(packed.values(all.zero + row, all.qmax, packed.gradient), step, 0);
  }
  for (std::int64_t k = 0; k < packed.count; ++k) {
    const auto i = static_cast<std::size_t>(k);
    variable[packed.column[i]] = packed.variable[i];
  }
}

template <typename T>
void finish(const RemainingRows<T>& remaining, std::int64_t first, std::int64_t last) {
  if (remaining.steps.empty()) return;
  const std::vector<Adam<T>> steps(remaining.steps.begin(), remaining.steps.end());
  quant::for_row_runs(last - first, 1,
                      [&](std::int64_t begin, std::int64_t end) ASSAY_ALWAYS_INLINE {
                        Packed<T> packed;
                        packed.reserve(remaining.values.columns);
                        for (std::int64_t row = begin; row < end; ++row) {
                          finish_row(remaining, steps, first + row, packed);
                        }
                      });
}

}  // namespace

UndecidedCount count_undecided(const RoundingValues<float>& values, const AdamStep& next) {
  return count(values, next);
}
UndecidedCount count_undecided(const RoundingValues<double>& values, const AdamStep& next) {
  return count(values, next);
}

void finish_rows(const RemainingRows<float>& remaining, std::int64_t first, std::int64_t last) {
  finish(remaining, first, last);
}
void finish_rows(const RemainingRows<double>& remaining, std::int64_t first, std::int64_t last) {
  finish(remaining, first, last);
}

}  // namespace assay::aespa
