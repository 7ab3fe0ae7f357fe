#include "results/store/file_system.h"

#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace assay::results {

bool is_network_magic(long magic) {
  // NFS, CIFS, SMB2, AFS, Ceph, Lustre, GPFS, BeeGFS, FUSE, PVFS2, OCFS2, 9p
  constexpr std::array<std::uint32_t, 12> kMagic = {0x6969,     0xFF534D42, 0xFE534D42, 0x5346414F,
                                                    0x00C36400, 0x0BD00BD0, 0x47504653, 0x19830326,
                                                    0x65735546, 0x20030528, 0x7461636F, 0x01021997};
  return std::find(kMagic.begin(), kMagic.end(), static_cast<std::uint32_t>(magic)) != kMagic.end();
}

Journal journal_for(const std::filesystem::path& folder) {
  struct statfs facts {};
  if (statfs(folder.c_str(), &facts) != 0) return Journal::kRollback;
  return is_network_magic(static_cast<long>(facts.f_type)) ? Journal::kRollback
                                                           : Journal::kWriteAhead;
}

}  // namespace assay::results
