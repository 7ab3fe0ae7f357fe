#include "methods/quant/partial_pass.h"

#include <utility>

namespace assay::quant {
namespace {

struct AllSeen {};

class EndingTap final : public models::Tap {
 public:
  EndingTap(models::Tap& tap, SiteNames sites) : tap_(tap), missing_(std::move(sites)) {}

  at::Tensor operator()(std::string_view site, const at::Tensor& value) override {
    at::Tensor out = tap_(site, value);
    if (const auto found = missing_.find(site); found != missing_.end()) missing_.erase(found);
    if (missing_.empty()) throw AllSeen();
    return out;
  }
  bool passive() const override { return tap_.passive(); }
  bool wants(std::string_view site) const override { return tap_.wants(site); }

 private:
  models::Tap& tap_;
  SiteNames missing_;
};

}  // namespace

void pass_until_seen(const SiteNames& sites, const models::Network& network, std::int64_t unit,
                     const at::Tensor& hidden, models::Tap& tap) {
  EndingTap ending(tap, sites);
  try {
    network.unit(unit, hidden, ending);
  } catch (const AllSeen&) {
    return;
  }
}

}  // namespace assay::quant
