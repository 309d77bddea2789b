// Programs as children: their streams, how they end, that nothing of them stays behind.
#include "core/child_process.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>

#include <charconv>
#include <filesystem>

#include "core/clock.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

ChildSpec shell(const std::string& line) {
  return {.words = {"/bin/sh", "-c", line}};
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd"))
    count++;
  return count;
}

bool alive(pid_t id) {
  return ::kill(id, 0) == 0;
}

TEST_CASE("child: output, errors and exit code of a short run") {
  const ChildReport report = run_child(shell("echo out; echo err >&2; exit 3"), 20);
  REQUIRE(report.end);
  CHECK(report.end->exit_code == 3);
  CHECK(!report.end->well());
  CHECK(report.end->text() == "exit code 3");
  CHECK(report.output == "out\n");
  CHECK(report.errors == "err\n");
}

TEST_CASE("child: a signal that ended it has its name") {
  const ChildReport report = run_child(shell("kill -9 $$"), 20);
  REQUIRE(report.end);
  CHECK(report.end->exit_code == -1);
  CHECK(report.end->text() == "ended by signal 9 (Killed)");
}

TEST_CASE("child: more output than a pipe or the caller takes") {
  const ChildReport report =
      run_child(shell("head -c 3000000 /dev/zero; echo end >&2"), 20, 100000);
  REQUIRE(report.end);
  CHECK(report.end->well());
  CHECK(report.output.size() == 100000);
  CHECK(report.errors == "end\n");
}

TEST_CASE("child: a deadline stops a program and what it has started") {
  const TemporaryFolder folder;
  ChildSpec spec =
      shell("sleep 1000 & echo $! > grandchild; trap '' TERM; while :; do sleep 1; done");
  spec.folder = folder.path();
  const double began = seconds_now();
  const ChildReport report = run_child(spec, 0.5);
  CHECK(!report.end);
  CHECK(seconds_now() - began < 20);
  pid_t grandchild = 0;
  const std::string number = read_plainly(folder / "grandchild");
  std::from_chars(number.data(), number.data() + number.size(), grandchild);
  REQUIRE(grandchild > 0);
  for (int i = 0; i < 1000 && alive(grandchild); i++)
    ::poll(nullptr, 0, 10);
  // In a container without an init its entry may stay, as a zombie: it runs no more.
  const fs::path status = "/proc/" + std::to_string(grandchild) + "/status";
  CHECK((!alive(grandchild) || mentions(read_plainly(status), "Z (zombie)")));
}

TEST_CASE("child: a program that is not there, may not be run, or a folder that is not there") {
  const TemporaryFolder folder;
  const std::size_t before = open_descriptors();
  try {
    run_child({.words = {"no-such-program-anywhere"}}, 20);
    FAIL("it started");
  } catch (const CannotStart& error) {
    CHECK(error.not_found());
    CHECK(error.code() == ExitCode::storage);
    CHECK(std::string(error.what()) ==
          "cannot start no-such-program-anywhere: No such file or directory");
  }
  write_plainly(folder / "text", "#!/bin/sh\n");
  try {
    run_child({.words = {(folder / "text").string()}}, 20);
    FAIL("it started");
  } catch (const CannotStart& error) {
    CHECK(!error.not_found());
    CHECK(mentions(error.what(), "Permission denied"));
  }
  ChildSpec spec = shell("true");
  spec.output = ChildStream::file(folder / "absent" / "out");
  CHECK_THROWS_WITH_AS(ChildProcess{spec}, doctest::Contains("cannot open"), Error);
  spec = shell("true");
  spec.folder = folder / "absent";
  CHECK_THROWS_AS(ChildProcess{spec}, CannotStart);
  CHECK(open_descriptors() == before);
}

TEST_CASE("child: files, folder and environment are those of the specification") {
  const TemporaryFolder folder;
  write_plainly(folder / "in", "given\n");
  write_plainly(folder / "log", "first\n");
  ChildSpec spec = shell("cat; pwd; echo $COLOUR >&2");
  spec.environment = {{"COLOUR", "blue"}};
  spec.folder = folder.path();
  spec.input = ChildStream::file(folder / "in");
  spec.output = ChildStream::file(folder / "out");
  spec.errors = ChildStream::appended(folder / "log");
  ChildProcess child(spec);
  REQUIRE(child.wait(20));
  CHECK(child.poll()->well());  // again and again
  CHECK(read_plainly(folder / "out") == "given\n" + fs::canonical(folder.path()).string() + "\n");
  CHECK(read_plainly(folder / "log") == "first\nblue\n");
}

TEST_CASE("child: a conversation over pipes") {
  ChildSpec spec = shell("read a; echo got $a; read b || echo end");
  spec.input = ChildStream::pipe();
  spec.output = ChildStream::pipe();
  ChildProcess child(spec);
  CHECK(child.write_input("word\n") == 5);
  std::string text;
  const double began = seconds_now();
  while (text.empty() && seconds_now() - began < 20)
    child.read_output(text);
  CHECK(text == "got word\n");
  CHECK(!child.poll());
  child.close_input();
  CHECK(child.input() == -1);
  REQUIRE(child.wait(20));
  CHECK(!child.read_output(text));
  CHECK(text == "got word\nend\n");
}

TEST_CASE("child: stopping gives it time to end itself, and none longer than that") {
  ChildSpec spec = shell("trap 'exit 75' TERM; echo ready; while :; do sleep 0.01; done");
  spec.output = ChildStream::pipe();
  ChildProcess kind(spec);
  std::string text;
  for (int i = 0; i < 2000 && text.empty(); i++) {
    kind.read_output(text);
    ::poll(nullptr, 0, 10);
  }
  CHECK(kind.stop(20).exit_code == 75);
  CHECK(kind.stop(20).exit_code == 75);  // it has ended: nothing happens

  spec = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done");
  spec.output = ChildStream::pipe();
  ChildProcess deaf(spec);
  text.clear();
  for (int i = 0; i < 2000 && text.empty(); i++) {
    deaf.read_output(text);
    ::poll(nullptr, 0, 10);
  }
  CHECK(deaf.stop(0.1).signal == SIGKILL);
}

TEST_CASE("child: an object that goes takes its process and its descriptors along") {
  const std::size_t before = open_descriptors();
  pid_t id = 0;
  {
    ChildSpec spec = shell("exec sleep 1000");
    spec.input = spec.output = spec.errors = ChildStream::pipe();
    ChildProcess child(spec);
    id = child.id();
    CHECK(alive(id));
    const ChildProcess moved(std::move(child));
    CHECK(moved.id() == id);
    CHECK(child.id() == 0);
  }
  CHECK(!alive(id));
  CHECK(open_descriptors() == before);
}

}  // namespace
}  // namespace farsight
