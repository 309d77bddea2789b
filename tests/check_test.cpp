#include "core/check.h"

#include <doctest/doctest.h>

#include <source_location>
#include <string>

#include "core/bounded_reader.h"
#include "tests/temporary_folder.h"

namespace farsight {

TEST_CASE("check: a failed check names file and line below the repository, and exits with 1") {
  ExitCode code = ExitCode::ok;
  const auto line = std::source_location::current().line() + 1;
  const std::string message = error_of([] { check(false, "w must be [D={}]", 3); }, &code);
  CHECK(message == "w must be [D=3] (tests/check_test.cpp:" + std::to_string(line) + ")");
  CHECK(code == ExitCode::internal);
}

TEST_CASE("check: sentences for the user carry their exit code and no source position") {
  ExitCode code = ExitCode::ok;
  CHECK(error_of([] { require(false, ExitCode::usage, "--steps is {}", -1); }, &code) ==
        "--steps is -1");
  CHECK(code == ExitCode::usage);
  CHECK(error_of([] { fail(ExitCode::diverged, "loss is {}", "nan"); }, &code) == "loss is nan");
  CHECK(code == ExitCode::diverged);
  check(true, "never {}", 1);
  require(true, ExitCode::data, "never");
}

TEST_CASE("check: exit codes are the documented numbers") {
  const auto number = [](ExitCode code) { return static_cast<int>(code); };
  CHECK(number(ExitCode::ok) == 0);
  CHECK(number(ExitCode::internal) == 1);
  CHECK(number(ExitCode::usage) == 2);
  CHECK(number(ExitCode::data) == 3);
  CHECK(number(ExitCode::corrupt) == 4);
  CHECK(number(ExitCode::storage) == 5);
  CHECK(number(ExitCode::diverged) == 6);
  CHECK(number(ExitCode::memory) == 7);
  CHECK(number(ExitCode::peer) == 8);
  CHECK(number(ExitCode::device) == 9);
  CHECK(number(ExitCode::resumable) == 75);
  CHECK(number(ExitCode::interrupted) == 130);
}

TEST_CASE("bounded reader: takes what is there and refuses the rest with file and byte") {
  BoundedReader reader(
      bytes_of(std::string_view("\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7fxyz", 15)), "a.bin",
      100);
  CHECK(reader.u32("count") == 1);
  CHECK(reader.u64("length") == 0x7fffffffffffffffull);
  CHECK(text_of(reader.take(2, "text")) == "xy");
  CHECK(reader.remaining() == 1);
  const auto refused = [](const auto& f) {
    ExitCode code = ExitCode::ok;
    const std::string message = error_of(f, &code);
    CHECK(code == ExitCode::corrupt);
    return message;
  };
  CHECK(refused([&] { reader.take(2, "name"); }) ==
        "a.bin: the name needs 2 bytes, 1 are left (byte 114)");
  CHECK(mentions(refused([&] { reader.take(~0ull, "name"); }), "needs 18446744073709551615 bytes"));
  CHECK(mentions(refused([&] { reader.u32("x"); }), "the x needs 4 bytes"));
  CHECK(mentions(refused([&] { reader.expect_end(); }), "1 bytes follow the end"));
  CHECK(reader.add(1, 2, "sum") == 3);
  CHECK(reader.mul(0xffffffffull, 0xffffffffull, "product") == 0xfffffffe00000001ull);
  CHECK(mentions(refused([&] { reader.add(~0ull, 1, "sum"); }), "the sum overflows 64 bits"));
  CHECK(
      mentions(refused([&] { reader.mul(1ull << 32, 1ull << 32, "size"); }), "the size overflows"));
  CHECK(reader.at_most(7, 7, "rank") == 7);
  CHECK(mentions(refused([&] { reader.at_most(8, 7, "rank"); }), "the rank is 8, at most 7"));
  CHECK(text_of(reader.take(1, "z")) == "z");
  CHECK(reader.take(0, "nothing").empty());
  reader.expect_end();
}

}  // namespace farsight
