#pragma once

#include <optional>
#include <string>

namespace assay::schedule {

// Messages between the ranks of one job. Rank 0 coordinates; every other rank talks to it alone.
// The control program is built without MPI: the implementation is a module that it loads when a
// launcher started it (cluster/mpi). One thread.
//
// Rules that keep a job alive when a rank dies: only the other ranks begin an exchange, rank 0 only
// answers (a message to a dead rank may end the job), and nobody waits in a collective operation,
// except right after joining, when every rank is there.
class Transport {
 public:
  struct Incoming {
    int from = 0;
    std::string text;
  };
  static constexpr std::size_t kMaxMessageBytes = std::size_t{64} << 20;

  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual int local_rank() const = 0;  // among the ranks of this node
  virtual int local_size() const = 0;
  // Ranks of this node that may run on the same cores as this one, itself included: 1 if a launcher
  // bound each rank to cores of its own.
  virtual int core_sharers() const { return local_size(); }

  // Collective: gives every rank the text of rank 0. Once, right after joining.
  virtual std::string from_rank_0(std::string text) = 0;
  // Never blocks. Throws Error(kEnvironment) with the library's own text.
  virtual void send(int to, std::string text) = 0;
  // What has arrived, or nothing. Never blocks. Also moves on what send() has begun.
  virtual std::optional<Incoming> receive() = 0;
  // Ends the use of the library after what was sent has left. `all_alive`: false when a rank was
  // lost; then nothing is waited for, and the process should leave by _exit.
  virtual void finish(bool all_alive) = 0;
};

// The one symbol of the module: joins the job. Throws Error(kEnvironment).
using OpenTransport = Transport* (*)();
inline constexpr const char* kOpenTransportSymbol = "assay_open_transport";

}  // namespace assay::schedule
