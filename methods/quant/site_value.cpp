#include "methods/quant/site_value.h"

#include <fmt/format.h>

#include "harness/base/error.h"
#include "methods/quant/tap_sequence.h"

namespace assay::quant {
namespace {

// Leaves the unit at a site. A forward pass has no other way out, and holds nothing but tensors.
class UntilTap : public models::Tap {
 public:
  struct Reached {
    at::Tensor value;
  };

  explicit UntilTap(const std::string& site) : site_(site) {}
  at::Tensor operator()(std::string_view site, const at::Tensor& value) override {
    if (site == site_) throw Reached{value};
    return value;
  }

 private:
  const std::string& site_;
};

}  // namespace

at::Tensor site_value(const models::Network& network, std::int64_t unit, const at::Tensor& hidden,
                      const std::string& site, models::Tap& own) {
  UntilTap until(site);
  TapSequence tap(own, until);
  try {
    network.unit(unit, hidden, tap);
  } catch (const UntilTap::Reached& reached) {
    return reached.value;
  }
  throw Error(ErrorKind::kMethod, fmt::format("unit {} does not reach site '{}'", unit, site),
              {{"site", site}});
}

}  // namespace assay::quant
