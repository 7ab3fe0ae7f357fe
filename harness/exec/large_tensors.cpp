#include "harness/exec/large_tensors.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>

namespace assay::exec {
namespace {

constexpr std::size_t kLarge = 1'000'000;
constexpr std::size_t kMostFree = 256'000'000;
constexpr std::size_t kGranularity = std::size_t{64} << 10;  // blocks of nearly equal sizes are one
constexpr std::size_t kPage = 4096;
constexpr std::size_t kSlack = 64'000'000;  // what free blocks may add to the most ever taken

LargeBlocks& blocks() {
  static auto* const all = new LargeBlocks(kMostFree);  // outlives tensors that are static
  return *all;
}

void release(void* data) {
  const bool may_be_block = reinterpret_cast<std::uintptr_t>(data) % kPage == 0;
  if (!may_be_block || !blocks().give_back(data)) c10::free_cpu(data);
}

class TensorAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    void* data = bytes >= kLarge ? blocks().take(bytes) : nullptr;
    if (data == nullptr) data = c10::alloc_cpu(bytes);  // which says if there is no memory
    return {data, data, &release, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t count) const override {
    default_copy_data(to, from, count);
  }
};

}  // namespace

LargeBlocks::~LargeBlocks() { trim(0); }

void* LargeBlocks::take(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const std::size_t whole = (bytes + kGranularity - 1) / kGranularity * kGranularity;
  if (void* block = reused(whole)) return block;
  const std::size_t most = std::max(most_taken_, taken_bytes_ + whole);
  trim(most + kSlack - taken_bytes_ - whole);
  void* block =
      ::mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) {
    trim(0);
    block = ::mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  if (block == MAP_FAILED) return nullptr;
  note_taken({block, whole});
  return block;
}

// The smallest free block that is not much larger.
void* LargeBlocks::reused(std::size_t bytes) {
  auto best = free_.end();
  for (auto each = free_.begin(); each != free_.end(); ++each) {
    if (each->bytes < bytes || each->bytes > bytes + bytes / 8) continue;
    if (best == free_.end() || each->bytes < best->bytes) best = each;
  }
  if (best == free_.end()) return nullptr;
  const Block block = *best;
  free_.erase(best);
  free_bytes_ -= block.bytes;
  note_taken(block);
  return block.address;
}

void LargeBlocks::note_taken(const Block& block) {
  taken_.emplace(block.address, block.bytes);
  taken_bytes_ += block.bytes;
  most_taken_ = std::max(most_taken_, taken_bytes_);
}

bool LargeBlocks::give_back(void* block) {
  const std::lock_guard lock(mutex_);
  const auto found = taken_.find(block);
  if (found == taken_.end()) return false;
  const std::size_t bytes = found->second;
  taken_.erase(found);
  taken_bytes_ -= bytes;
  if (bytes > most_free_bytes_) {
    ::munmap(block, bytes);
    return true;
  }
  free_.push_front({block, bytes});
  free_bytes_ += bytes;
  trim(most_free_bytes_);
  return true;
}

void LargeBlocks::trim(std::size_t most_bytes) {
  while (free_bytes_ > most_bytes) {
    ::munmap(free_.back().address, free_.back().bytes);
    free_bytes_ -= free_.back().bytes;
    free_.pop_back();
  }
}

std::size_t LargeBlocks::free_bytes() const {
  const std::lock_guard lock(mutex_);
  return free_bytes_;
}

void use_large_blocks() {
#ifndef __SANITIZE_ADDRESS__
  c10::SetCPUAllocator(new TensorAllocator);  // for good
#endif
}

}  // namespace assay::exec
