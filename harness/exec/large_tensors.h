#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <unordered_map>

namespace assay::exec {

// Memory for large tensors: each has a mapping of its own, and freed ones wait for the next tensor
// of about their size. From malloc's heap they would leave holes between what lives long that no
// aligned block of the same size fits into again, so that memory would grow with every layer; and
// asking the kernel for zeroed pages each time would take as long as many a product. Any thread.
class LargeBlocks {
 public:
  // Free blocks beyond so many bytes go back to the kernel, the oldest first; so do those that
  // would add more than 64 MB to the most that was ever taken at once.
  explicit LargeBlocks(std::size_t most_free_bytes) : most_free_bytes_(most_free_bytes) {}
  ~LargeBlocks();
  LargeBlocks(const LargeBlocks&) = delete;
  LargeBlocks& operator=(const LargeBlocks&) = delete;

  // Begins at a page; of a free block the old values stand in it. Null if the kernel refuses.
  void* take(std::size_t bytes);

  // False if it is none that take() gave.
  bool give_back(void* block);

  std::size_t free_bytes() const;

 private:
  struct Block {
    void* address;
    std::size_t bytes;
  };

  void* reused(std::size_t bytes);
  void note_taken(const Block& block);
  void trim(std::size_t most_bytes);

  const std::size_t most_free_bytes_;
  mutable std::mutex mutex_;
  std::unordered_map<void*, std::size_t> taken_;
  std::size_t taken_bytes_ = 0;
  std::size_t most_taken_ = 0;
  std::list<Block> free_;  // newest first
  std::size_t free_bytes_ = 0;
};

// From now on LibTorch's tensors of a megabyte or more lie in such blocks, of which up to 256 MB
// are free. With AddressSanitizer nothing changes: it would not see the ends of tensors.
void use_large_blocks();

}  // namespace assay::exec
