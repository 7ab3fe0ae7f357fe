#include "methods/aespa/rounding_loops.h"

#include "methods/aespa/rounding_row.h"

namespace assay::aespa {
namespace {

// A thread is worth its start for some ten thousand values.
template <typename T>
std::int64_t grain_of(const RoundingValues<T>& values) {
  return 1 + 20000 / (values.columns + 1);
}

template <typename T>
void all_differences(const RoundingValues<T>& values) {
  quant::for_rows(values.rows, grain_of(values),
                  [&](std::int64_t row) ASSAY_ALWAYS_INLINE { difference_of_row(values, row); });
}

template <typename T>
void all_updates(const RoundingValues<T>& values, const AdamStep& step) {
  const Adam<T> adam(step);
  quant::for_rows(values.rows, grain_of(values),
                  [&](std::int64_t row) ASSAY_ALWAYS_INLINE { update_row(values, adam, row); });
}

}  // namespace

void soft_difference(const RoundingValues<float>& values) { all_differences(values); }
void soft_difference(const RoundingValues<double>& values) { all_differences(values); }

void update_variable(const RoundingValues<float>& values, const AdamStep& step) {
  all_updates(values, step);
}
void update_variable(const RoundingValues<double>& values, const AdamStep& step) {
  all_updates(values, step);
}

}  // namespace assay::aespa
