#include "methods/quant/layer_check.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <functional>

#include "harness/base/error.h"

namespace assay::quant {
namespace {

using Fail = std::function<void(const char* problem)>;

void check_positive(const at::Tensor& scale, const Fail& fail) {
  if (!scale.isfinite().all().item<bool>() || !scale.gt(0).all().item<bool>()) {
    fail("a scale is not above 0");
  }
}

void check_affine(const Grid& grid, const at::Tensor& code, const Fail& fail) {
  if (grid.scale.sizes() != grid.zero.sizes() || grid.scale.dim() != 2 ||
      !at::isFloatingType(grid.scale.scalar_type()) ||
      grid.scale.scalar_type() != grid.zero.scalar_type()) {
    fail("scale and zero must be floating [rows, groups] of one dtype");
  }
  const std::int64_t columns = code.size(1);
  if (grid.scale.size(0) != 1 && grid.scale.size(0) != code.size(0)) fail("wrong row count");
  if (grid.scale.size(1) != group_count(columns, grid.group)) fail("wrong number of groups");
  check_positive(grid.scale, fail);
  if (grid.symmetric &&
      !grid.zero.eq(static_cast<double>(std::int64_t{1} << (grid.bits - 1))).all().item<bool>()) {
    fail("a zero point of a symmetric grid is not in its middle");
  }
  if (grid.zeta.defined() &&
      (grid.zeta.dim() != 1 || grid.zeta.size(0) != columns ||
       grid.zeta.scalar_type() != grid.scale.scalar_type() ||
       !grid.zeta.isfinite().all().item<bool>() || !grid.zeta.ne(0).all().item<bool>())) {
    fail("zeta must be one factor a column, not 0, of the dtype of the scales");
  }
  if (grid.perm.defined() &&
      (grid.perm.dim() != 1 || grid.perm.size(0) != columns ||
       !std::get<0>(grid.perm.sort()).equal(at::arange(columns, at::kLong)))) {
    fail("perm is no permutation of the columns");
  }
}

void check_levels(const Grid& grid, const at::Tensor& code, const Fail& fail) {
  if (grid.zero.defined() || grid.zeta.defined() || grid.perm.defined() || grid.symmetric) {
    fail("a grid with levels has neither zero points nor zeta nor perm, and is not symmetric");
  }
  if (grid.group < 1) fail("a grid with levels needs a group of at least 1 weight");
  if (grid.scale.dim() != 2 || grid.scale.size(0) != 1 ||
      !at::isFloatingType(grid.scale.scalar_type()) ||
      grid.scale.size(1) != block_count(code.numel(), grid.group)) {
    fail("scale must be floating [1, blocks], one for every run of `group` weights");
  }
  check_positive(grid.scale, fail);
  if (grid.levels.dim() != 1 || grid.levels.size(0) != grid.qmax() + 1 ||
      grid.levels.scalar_type() != grid.scale.scalar_type() ||
      !grid.levels.isfinite().all().item<bool>() || !grid.levels.diff().gt(0).all().item<bool>()) {
    fail("levels must be 2^bits finite numbers in ascending order, of the dtype of the scales");
  }
}

[[noreturn]] void refuse_layer(const std::filesystem::path& file, const char* what,
                               const std::string& name, const char* problem) {
  throw Error(ErrorKind::kData, fmt::format("{}: {} '{}': {}", file.string(), what, name, problem),
              {{"file", file.string()}});
}

}  // namespace

void check_layer(const std::string& name, const QuantizedLayer& layer,
                 const std::filesystem::path& file) {
  const Fail fail = [&](const char* problem) { refuse_layer(file, "layer", name, problem); };
  if (layer.code.dim() != 2 || layer.code.numel() == 0) fail("codes must be [rows, columns]");
  if (at::isFloatingType(layer.code.scalar_type())) fail("codes must be integers");
  if (layer.grid.levels.defined()) {
    check_levels(layer.grid, layer.code, fail);
  } else {
    check_affine(layer.grid, layer.code, fail);
  }
  if (layer.code.max().item<std::int64_t>() > layer.grid.qmax() ||
      layer.code.min().item<std::int64_t>() < 0) {
    fail("a code does not fit its bits");
  }
}

void check_scales(const std::string& name, const CodedScales& scales,
                  const std::filesystem::path& file) {
  const Fail fail = [&](const char* problem) {
    refuse_layer(file, "scales of layer", name, problem);
  };
  const bool fits = scales.code.dim() == 2 && scales.code.size(0) == 1 && scales.code.numel() > 0 &&
                    scales.code.scalar_type() == at::kByte &&
                    at::isFloatingType(scales.mean.scalar_type()) && scales.mean.dim() == 1 &&
                    scales.mean.size(0) == 1 &&
                    scales.mean.scalar_type() == scales.grid.scale.scalar_type();
  if (!fits) fail("they must be uint8 [1, blocks], with one mean of the dtype of their steps");
  check_affine(scales.grid, scales.code, fail);
}

}  // namespace assay::quant
