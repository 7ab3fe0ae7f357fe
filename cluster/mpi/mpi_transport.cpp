#include <fmt/format.h>
#include <mpi.h>
#include <sched.h>

#include <chrono>
#include <cstdlib>
#include <list>
#include <thread>
#include <vector>

#include "harness/base/error.h"
#include "harness/schedule/transport.h"

// The module assay_mpi.so: Transport over MPI point-to-point messages.

namespace assay::cluster {
namespace {

constexpr int kTag = 1;

void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error(ErrorKind::kEnvironment, fmt::format("{}: {}", call, text));
}

// The messages are a few kilobytes of JSON: shared memory and TCP carry them, and looking through
// every fast network that Open MPI knows takes most of MPI_Init (on one node 0.4 s instead of
// 0.15 s). What the user has set stays.
void prefer_light_components() {
#ifdef OPEN_MPI
#if OMPI_MAJOR_VERSION >= 5
  constexpr const char* kCarriers = "self,sm,tcp";
#else
  constexpr const char* kCarriers = "self,vader,tcp";
#endif
  if (std::getenv("OMPI_MCA_pml") != nullptr || std::getenv("OMPI_MCA_btl") != nullptr) return;
  ::setenv("OMPI_MCA_pml", "ob1", 0);
  ::setenv("OMPI_MCA_btl", kCarriers, 0);
#endif
}

// Without PMIx, Open MPI's MPI_Init ends the process with a text of its own.
void refuse_without_pmix() {
#ifdef OPEN_MPI
  for (const char* sign : {"PMIX_RANK", "OMPI_COMM_WORLD_SIZE"}) {
    if (std::getenv(sign) != nullptr) return;
  }
  throw Error(
      ErrorKind::kEnvironment,
      "a launcher started several tasks, but not in a way that Open MPI knows (no PMIx): "
      "start them with `srun --mpi=pmix` (`srun --mpi=list` shows what this Slurm offers) or "
      "with the mpirun of the Open MPI that assay was built with");
#endif
}

// Ranks of `node` whose cores overlap with those of this process, itself included.
int sharers_of_cores(MPI_Comm node, int ranks) {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  if (::sched_getaffinity(0, sizeof mine, &mine) != 0) return ranks;
  std::vector<cpu_set_t> all(static_cast<std::size_t>(ranks));
  check(MPI_Allgather(&mine, sizeof mine, MPI_BYTE, all.data(), sizeof mine, MPI_BYTE, node),
        "MPI_Allgather");
  int sharers = 0;
  for (const cpu_set_t& theirs : all) {
    cpu_set_t both;
    CPU_AND(&both, &mine, &theirs);
    sharers += CPU_COUNT(&both) > 0 ? 1 : 0;
  }
  return sharers;
}

class MpiTransport : public schedule::Transport {
 public:
  MpiTransport() {
    refuse_without_pmix();
    prefer_light_components();
    check(MPI_Init(nullptr, nullptr), "MPI_Init");
    // Right after initialisation: by default any error ends the job without a message of ours.
    check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
    // The only collective calls, at the start, when every rank is there.
    MPI_Comm node = MPI_COMM_NULL;
    check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node),
          "MPI_Comm_split_type");
    check(MPI_Comm_rank(node, &local_rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(node, &local_size_), "MPI_Comm_size");
    core_sharers_ = sharers_of_cores(node, local_size_);
    check(MPI_Comm_free(&node), "MPI_Comm_free");
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_rank() const override { return local_rank_; }
  int local_size() const override { return local_size_; }
  int core_sharers() const override { return core_sharers_; }

  std::string from_rank_0(std::string text) override {
    int length = static_cast<int>(text.size());
    check(MPI_Bcast(&length, 1, MPI_INT, 0, MPI_COMM_WORLD), "MPI_Bcast");
    text.resize(static_cast<std::size_t>(length));
    check(MPI_Bcast(text.data(), length, MPI_CHAR, 0, MPI_COMM_WORLD), "MPI_Bcast");
    return text;
  }

  void send(int to, std::string text) override {
    if (text.size() > kMaxMessageBytes) {
      throw Error(ErrorKind::kEnvironment,
                  fmt::format("a message of {} bytes to rank {} is too long", text.size(), to));
    }
    Sending& sending = unsent_.emplace_back();
    sending.text = std::move(text);
    check(MPI_Isend(sending.text.data(), static_cast<int>(sending.text.size()), MPI_CHAR, to, kTag,
                    MPI_COMM_WORLD, &sending.request),
          "MPI_Isend");
    advance();
  }

  std::optional<Incoming> receive() override {
    advance();
    int there = 0;
    MPI_Status status;
    check(MPI_Iprobe(MPI_ANY_SOURCE, kTag, MPI_COMM_WORLD, &there, &status), "MPI_Iprobe");
    if (there == 0) return std::nullopt;
    int length = 0;
    check(MPI_Get_count(&status, MPI_CHAR, &length), "MPI_Get_count");
    if (length < 0 || static_cast<std::size_t>(length) > kMaxMessageBytes) {
      throw Error(ErrorKind::kEnvironment,
                  fmt::format("rank {} sent a message of {} bytes", status.MPI_SOURCE, length));
    }
    Incoming incoming{status.MPI_SOURCE, std::string(static_cast<std::size_t>(length), '\0')};
    check(MPI_Recv(incoming.text.data(), length, MPI_CHAR, status.MPI_SOURCE, kTag, MPI_COMM_WORLD,
                   MPI_STATUS_IGNORE),
          "MPI_Recv");
    return incoming;
  }

  void finish(bool all_alive) override {
    if (!all_alive) return;  // MPI_Finalize would wait for the dead
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!unsent_.empty() && std::chrono::steady_clock::now() < limit) {
      advance();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    check(MPI_Finalize(), "MPI_Finalize");
  }

 private:
  struct Sending {
    std::string text;
    MPI_Request request = MPI_REQUEST_NULL;
  };

  void advance() {
    for (auto it = unsent_.begin(); it != unsent_.end();) {
      int done = 0;
      check(MPI_Test(&it->request, &done, MPI_STATUS_IGNORE), "MPI_Test");
      it = done != 0 ? unsent_.erase(it) : std::next(it);
    }
  }

  int rank_ = 0;
  int size_ = 1;
  int local_rank_ = 0;
  int local_size_ = 1;
  int core_sharers_ = 1;
  std::list<Sending> unsent_;  // stable addresses until MPI has taken them
};

}  // namespace
}  // namespace assay::cluster

extern "C" __attribute__((visibility("default"))) assay::schedule::Transport*
assay_open_transport() {
  return new assay::cluster::MpiTransport();
}
