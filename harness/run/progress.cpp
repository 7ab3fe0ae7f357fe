#include "harness/run/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "harness/base/say.h"
#include "harness/base/utf8.h"

namespace assay::run {
namespace {

constexpr std::size_t kMaxSlots = 12;

std::size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
  return size.ws_col;
}

class Silent : public RunProgress {
 public:
  void line(const std::string&) override {}
  void show(const RunStatus&) override {}
  void close() override {}
};

class Lines : public RunProgress {
 public:
  void line(const std::string& text) override { say_text(harmless(text) + "\n"); }
  void show(const RunStatus&) override {}
  void close() override {}
};

class Block : public RunProgress {
 public:
  ~Block() override { erase(); }
  void line(const std::string& text) override {
    // Single successes are in the block; what a user must see stays on the screen.
    if (text.starts_with("done ")) return;
    erase();
    say_text(harmless(text) + "\n");
    draw();
  }
  void show(const RunStatus& status) override {
    erase();
    text_ = status_block(status, status.updated_unix_s, kMaxSlots, terminal_width() - 1);
    draw();
  }
  void close() override { erase(); }

 private:
  void draw() {
    say_text(text_);
    lines_ = static_cast<std::size_t>(std::count(text_.begin(), text_.end(), '\n'));
  }
  void erase() {
    if (lines_ > 0) say_text(fmt::format("\x1b[{}A\r\x1b[J", lines_));
    lines_ = 0;
  }

  std::string text_;
  std::size_t lines_ = 0;
};

}  // namespace

std::string status_block(const RunStatus& s, double now_unix_s, std::size_t max_slots,
                         std::size_t width) {
  const std::int64_t ended = s.stages_done + s.stages_reused;
  const double share =
      s.stages_total > 0 ? static_cast<double>(ended) / static_cast<double>(s.stages_total) : 1;
  constexpr int kBar = 24;
  const int filled = static_cast<int>(share * kBar);
  std::string head = fmt::format("{} [{}{}] {}/{} stages, {}/{} trials", s.run,
                                 std::string(static_cast<std::size_t>(filled), '#'),
                                 std::string(static_cast<std::size_t>(kBar - filled), '.'), ended,
                                 s.stages_total, s.trials_done, s.trials_total);
  if (s.stages_failed > 0) head += fmt::format(", {} failed", s.stages_failed);
  if (s.stages_blocked > 0) head += fmt::format(", {} blocked", s.stages_blocked);
  head += fmt::format(", {}", duration_text(now_unix_s - s.started_unix_s));
  if (s.eta_s >= 0) head += fmt::format(", about {} left", duration_text(s.eta_s));
  if (s.state == "stopping") head += ", stopping";
  std::string block = std::string(utf8_first(harmless(head), width)) + "\n";
  std::size_t shown = 0;
  std::size_t busy = 0;
  for (const auto& slot : s.slots) {
    if (slot.stage.empty() || ++busy > max_slots) continue;
    std::string line = fmt::format("  {} {} {}", slot.name, slot.stage,
                                   duration_text(now_unix_s - slot.since_unix_s));
    if (slot.total > 0) line += fmt::format(" {}/{} {}", slot.done, slot.total, slot.unit);
    block += std::string(utf8_first(harmless(line), width)) + "\n";
    ++shown;
  }
  if (busy > shown) block += fmt::format("  and {} more slots\n", busy - shown);
  return block;
}

std::unique_ptr<RunProgress> make_run_progress(bool terminal, bool quiet) {
  if (quiet) return std::make_unique<Silent>();
  if (terminal) return std::make_unique<Block>();
  return std::make_unique<Lines>();
}

}  // namespace assay::run
