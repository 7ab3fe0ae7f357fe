#include "harness/exec/heartbeat.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>

namespace assay::exec {
namespace {

TEST(Heartbeat, beats_while_its_owner_says_nothing_and_not_afterwards) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
  Channel ours(pair[0]);
  Channel theirs(pair[1]);
  {
    const Heartbeat heartbeat(ours, "a.1", 0.01);
    for (int i = 0; i < 3; ++i) {
      const auto message = theirs.receive();
      ASSERT_TRUE(message);
      EXPECT_EQ(message->type, protocol::Type::kAlive);
      EXPECT_EQ(message->attempt, "a.1");
    }
  }
  while (theirs.receive_now()) {
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_FALSE(theirs.receive_now());
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST(Heartbeat, ends_by_itself_when_nobody_listens) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
  Channel ours(pair[0]);
  {
    const Heartbeat heartbeat(ours, "a.1", 0.01);
    ::close(pair[1]);
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
  }
  ::close(pair[0]);
}

}  // namespace
}  // namespace assay::exec
