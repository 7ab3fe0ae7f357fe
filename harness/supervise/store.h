#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "harness/base/json.h"

// The content-addressed store of artifacts: the truth about what is done (docs/formats/store.md).
//
//   objects/<2>/<key>.json        a result without files
//   objects/<2>/<key>/            result.json and the files of the stage
//   runs/<run id>/<2>/<key>...    the same for stages that are valid in one run only (timing)
//   partial/<key>/<run>.<number>/ checkpoints of an attempt at a stage that has not published yet;
//                                 its name ends in "@<owner>" while that process may write there
//   partial/<key>/claim           symbolic link to "<run>@<owner>": who computes it now
//   manifests/<digest>            what lies below a folder that stages read
//   (harness/formats/manifest.h) tmp/<owner>/                  what a live process is making;
//   nothing in it is looked up roots/<run id>.json           what a run wants kept, with a lease
//   damaged/                      artifacts that failed their check, moved out of the way
//
// What is visible below objects/ and runs/ is whole: it arrives by one rename. After a power cut a
// renamed file may still be empty or short; lookup() finds that by the sizes in result.json, and a
// later write by the time of the file or the digest of the text, and moves the artifact aside.
//
// result.json: {"stage", "key", "metrics", "fingerprint"?, ... as the stage said,
//               "files": {name: bytes}, "digests": {name: SHA-256}, "digest": SHA-256 of the rest,
//               "attempt", "cost": {wall_s, cpu_s, peak_memory_bytes}, "environment": {...}}.
// Only the last three, and with them "digest", differ between two executions of one recipe.

//
//   Store store;                                        // of the user
//   if (const auto artifact = store.lookup(key)) {      // whole, or not there
//     read(artifact->path / "model.safetensors");
//     report(artifact->result.at("metrics"));
//   }

namespace assay::supervise {

struct Artifact {
  std::filesystem::path path;  // the folder, or the .json file of a result without files
  Json result;
  std::int64_t size_bytes = 0;  // of all its files
};

// What two executions of one recipe must agree on: `result` without digest, attempt, cost and
// environment.
Json deterministic_part(const Json& result);

// Sizes of the regular files below `folder` by path relative to it, as result.json lists them.
// Throws Error(kData) for anything that an artifact may not hold: links, devices, a result.json of
// the stage's own.
Json inventory(const std::filesystem::path& folder);

// A finished stage that waits for its publication.
struct Finished {
  std::string key;
  std::string run;              // run id for CachePolicy::kRun, "" for kShared
  Json result;                  // as described above, without digests
  std::filesystem::path files;  // folder with what the stage made (an output_folder()), or ""
  std::string made_by = {};     // run id, whose checkpoints and claim go
  std::string text = {};        // of result.json, once prepared()
};

struct Published {
  std::string key;
  Artifact artifact;           // what the store holds now: ours, or that of the run that was first
  bool first = true;           // false: another execution had published this key before
  std::string nondeterminism;  // what differs between it and ours; "": nothing
};

struct StoreUsage {
  std::int64_t objects = 0;
  std::int64_t object_bytes = 0;
  std::int64_t partial_bytes = 0;
  std::int64_t temporary_bytes = 0;
  std::int64_t damaged_bytes = 0;
};

// What a run wants kept.
struct Root {
  std::string run;
  std::filesystem::path folder;  // the run folder: while it exists, its keys are kept
  std::set<std::string> keys;
  double lease_until_unix_s = 0;  // kept until then even if the folder is gone
};

struct Collected {
  std::int64_t objects = 0;
  std::int64_t bytes = 0;
};

// One per process; used by one thread. Several processes, also on other nodes, may use one root at
// the same time. Every member throws Error(kIo) naming the file when the disk is full or a folder
// cannot be written.
class Store {
 public:
  // $ASSAY_STORE, else $XDG_CACHE_HOME/assay, else ~/.cache/assay. Throws Error(kEnvironment) if
  // none of the three is set.
  static std::filesystem::path default_root();

  // Makes the folders and removes what dead processes of this host left in tmp/.
  explicit Store(std::filesystem::path root = default_root());
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  const std::filesystem::path& root() const { return root_; }

  // `run`: the run id for a stage with CachePolicy::kRun, else "". A damaged artifact is moved to
  // damaged/ with a warning and counts as missing. Throws Error(kData) for a key that is not 64
  // lower-case hexadecimal digits.
  std::optional<Artifact> lookup(const std::string& key, const std::string& run = "");

  // lookup() with every file read and compared with its digest, however it is sealed.
  std::optional<Artifact> verified(const std::string& key, const std::string& run = "");

  // The keys that objects/ has a name for, nothing of them read: one look at the folders instead of
  // two at each key of a large plan.
  std::unordered_set<std::string> listed() const;

  // What lookup() moved aside so far, a sentence each.
  const std::vector<std::string>& damage() const { return damage_; }

  // Whether an artifact is there and whole, by sizes; the second looks at its name only.
  bool intact(const std::filesystem::path& artifact, const std::string& key) const;
  bool holds(const std::filesystem::path& artifact) const;
  // intact() by content, as verified() has it: a damaged one is moved aside.
  bool audit(const std::filesystem::path& artifact, const std::string& key);

  // lookup(), but without reading anything while there is no such name.
  std::optional<Artifact> find(const std::string& key, const std::string& run = "");

  // Where a stage makes its files: a folder that is not made here; the executor makes it if it needs
  // one. That above it is made here, for this attempt alone.
  std::filesystem::path output_folder(const std::string& attempt);
  // Removes both.
  void remove_output(const std::filesystem::path& output);
  // Keeps the folder above the output of an attempt that has ended without one for a later attempt,
  // if nothing was ever put into it; false if something was, or it is gone. ext4 looks at each inode
  // that was freed in the last minutes before it hands out another, so that a folder made and
  // removed costs more than a short stage.
  bool reuse_output(const std::filesystem::path& output);

  // Where an attempt of `run` keeps its checkpoints (not made here either). No other attempt writes
  // there: what an earlier one of this run has left, or another run that is over, is moved there.
  // `found`: whether anything was.
  std::filesystem::path resume_folder(const std::string& key, const std::string& run, int number,
                                      bool* found = nullptr);
  // Once an attempt has failed: its checkpoints, if there are any, are for whoever comes next.
  void leave_checkpoints(const std::filesystem::path& resume_folder);

  // Whether another process has been at work in this store since this one opened it; looked up at
  // most each kLookSeconds. Until one has, nobody else claims or publishes what this one computes.
  bool shared() const;
  static constexpr double kLookSeconds = 0.1;

  // Claims keep two runs from computing one long stage twice. They are a courtesy: without them, or
  // when two are quick at once, both compute it and the first to publish wins.
  //
  // Whether `run` may compute the key: false while another live run holds the claim. A run's own
  // claim is taken over whichever of its ranks has made it, one of a dead process too.
  bool claim(const std::string& key, const std::string& run);
  void release(const std::string& key, const std::string& run);
  // "run R, process P on host H" of the live run other than `run` that holds the claim, or "".
  std::string claimed_by_other(const std::string& key, const std::string& run) const;
  // Shows other hosts that this process lives: call every few seconds. Works at most each
  // kBeatSeconds.
  void beat();
  static constexpr double kBeatSeconds = 10;
  static constexpr double kSilentSeconds = 120;  // without a beat, the process of another host is gone

  // Where the manifest of a folder lies, and puts one there. `name`: SHA-256 of its text, as plans
  // and locations name it.
  std::filesystem::path manifest_file(const std::string& name) const;
  void keep_manifest(const std::string& name, const std::string& text);
  // Locations of a plan as an executor is told them: manifests by their paths here.
  Json with_manifest_paths(const Json& locations) const;

  // Gets what a stage made ready: digests, seals, result.json. Throws Error(kData) if its files do
  // not allow that though the store can be written.
  Finished prepared(Finished finished);

  // Prepares what is not yet, renames all into place, syncs the file system once, drops their
  // checkpoints. On return all are durable. The first of two publishers wins. In the order of
  // `group`.
  std::vector<Published> publish(std::span<const Finished> group);

  // Forgets an artifact (temporary retention, `invalidate`). False if there was none.
  bool remove(const std::string& key, const std::string& run = "");
  // Of `run`, and of others that are over; and the claim of `run`.
  void remove_checkpoints(const std::string& key, const std::string& run);

  // Roots: written when a run starts and renewed while it lives; an ended run leaves its root.
  void register_root(const Root& root);
  // One that cannot be read is passed over with a warning.
  std::vector<Root> roots() const;
  // Whether a root other than that of `except` wants the key now. `leased`: only one whose lease has
  // not ended counts, else also one whose run folder exists. Roots that have changed since the last
  // call are read again.
  bool wanted(const std::string& key, const std::string& except, bool leased) const;

  // remove() unless another run that lives wants the artifact: one that registers at the same moment
  // either sees no artifact or keeps it. False if it stays or there was none.
  bool remove_unless_wanted(const std::string& key, const std::string& by_run,
                            const std::string& run = "");

  // Removes artifacts and checkpoints that no root wants and that are older than `min_age_s`,
  // results of runs without root, damaged artifacts, and leftovers of dead processes. `dry_run` only
  // counts. Runs may start meanwhile: what they have seen stays.
  Collected gc(double min_age_s, bool dry_run = false);

  StoreUsage usage() const;
  // Every artifact of objects/ in key order: key, path, bytes.
  void for_each(const std::function<void(const std::string& key, const std::filesystem::path& path,
                                         std::int64_t size_bytes)>& visit) const;

  // A shared store is proved by a file: one process writes a nonce, all others look for it. Throws
  // Error(kEnvironment) with the mend if it does not appear within `patience_s`.
  std::string write_nonce() const;
  void check_nonce(const std::string& nonce, double patience_s = 5) const;
  void remove_nonce(const std::string& nonce) const;

 private:
  std::filesystem::path place(const std::string& key, const std::string& run) const;  // no suffix
  enum class Check { kSeals, kContent };  // of files: read those without a seal only, or all
  std::optional<Artifact> read(const std::filesystem::path& base, const std::string& key,
                               Check check) const;
  std::optional<Artifact> read_or_set_aside(const std::filesystem::path& base,
                                            const std::string& key, Check check);
  bool alive(const std::string& owner) const;
  bool run_lives(const std::string& run) const;
  void look_at_roots() const;
  bool drop_unless(const std::filesystem::path& path, const std::function<bool()>& wanted);
  void set_aside(const std::filesystem::path& path, const std::string& why);
  Published publish_one(const Finished& given);
  void put_result(const Finished& finished);
  [[noreturn]] void blame_files(const Finished& finished, const std::string& problem);
  void leave_attempt(const Finished& finished);
  void make_parent(const std::filesystem::path& base);
  void make_temporary();

  struct KnownRoot {
    std::int64_t inode = 0;  // each version arrives by a rename
    std::int64_t changed_ns = 0;
    Root root;
  };
  std::filesystem::path root_;
  std::string owner_;                // owner_name()
  std::filesystem::path temporary_;  // tmp/<owner>, made when first needed
  bool temporary_made_ = false;
  std::vector<std::filesystem::path> untouched_;  // folders above outputs that attempts left empty
  int outputs_ = 0;                               // of such folders made so far
  std::set<std::filesystem::path> parents_made_;  // objects/<2> folders known to exist
  std::vector<std::string> damage_;
  mutable std::map<std::filesystem::path, KnownRoot> roots_;
  mutable bool root_unreadable_ = false;  // one of them: what it wants is not known
  mutable bool root_warned_ = false;
  double last_beat_s_ = 0;
  std::unordered_set<std::string> begun_;  // keys that had checkpoints when the store was opened
  mutable bool shared_ = false;
  mutable double last_look_s_ = 0;
  double owners_changed_s_ = 0;  // the time of tmp/ when nobody else had been there
  int descriptor_ = -1;  // of root_, for syncfs
};

}  // namespace assay::supervise
