// Settings files that are wrong, damaged or made to harm.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/temporary_folder.h"
#include "train/toml.h"

namespace farsight {
namespace {

std::string refusal(std::string_view text, ExitCode expected) {
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { read_toml(text, "my.toml"); }, &code);
  INFO(message);
  CHECK(code == expected);
  return message;
}

TEST_CASE("toml: unknown tables and keys name the place and the nearest name") {
  std::string message = refusal("\n[train]\nlearning_rate = 1\n", ExitCode::usage);
  CHECK(mentions(message, "my.toml, line 3: there is no setting train.learning_rate"));
  CHECK(mentions(message, "batch_size"));
  CHECK(mentions(refusal("[train]\nwarmpu = 0.1", ExitCode::usage), "did you mean 'warmup'?"));
  message = refusal("[trian]\nlr = 1", ExitCode::usage);
  CHECK(mentions(message, "there is no table [trian]; did you mean 'train'?"));
  CHECK(mentions(message, "run, task, model, data, train"));
  CHECK(mentions(refusal("lr = 1", ExitCode::usage), "there is no table [lr]"));
  CHECK(mentions(refusal("train = 1", ExitCode::usage), "must be a table"));
  CHECK(mentions(refusal("[[train]]\nlr = 1", ExitCode::usage), "must be a table"));
}

TEST_CASE("toml: values of the wrong type or out of range are refused with their place") {
  CHECK(mentions(refusal("[train]\nlr = \"fast\"", ExitCode::usage),
                 "my.toml, line 2: train.lr must be a number from 0 to 100, got 'fast'"));
  CHECK(mentions(refusal("[train]\nlr = -1", ExitCode::usage), "got '-1'"));
  CHECK(mentions(refusal("[train]\nlr = nan", ExitCode::usage), "got 'nan'"));
  CHECK(mentions(refusal("[train]\nsteps = 1.0", ExitCode::usage), "must be an integer"));
  CHECK(mentions(refusal("[train]\nsteps = true", ExitCode::usage), "must be an integer"));
  CHECK(mentions(refusal("[log]\nprogress = 1", ExitCode::usage), "must be true or false"));
  CHECK(mentions(refusal("[data]\npairs = [1, \"2\"]", ExitCode::usage), "data.pairs must be"));
  CHECK(mentions(refusal("[data]\npairs = [[1]]", ExitCode::usage), "data.pairs must be"));
  CHECK(mentions(refusal("[data]\npairs = 4", ExitCode::usage), "a list of integers"));
  CHECK(mentions(refusal("[train]\nlr = 1979-05-27", ExitCode::usage), "train.lr must be"));
  CHECK(mentions(refusal("[train]\nlr = {a = 1}", ExitCode::usage), "train.lr must be"));
  CHECK(mentions(refusal("[run]\ntask = \"shufle\"", ExitCode::usage), "did you mean 'shuffle'?"));
}

TEST_CASE("toml: a whole number is a real where a real is wanted, and mqar is standard") {
  const Assignments read = read_toml("[train]\nlr = 1\n[run]\ntask = \"mqar\"\n", "my.toml");
  REQUIRE(read.size() == 2);
  CHECK(std::get<std::string>(read[0].value) == "standard");
  CHECK(std::get<double>(read[1].value) == 1.0);
  CHECK(read[1].where == "my.toml, line 2: train.lr");
}

TEST_CASE("toml: text that is not TOML is corrupt, and says where") {
  CHECK(mentions(refusal("[train]\nlr = \n", ExitCode::corrupt), "my.toml, line 2 is not TOML"));
  refusal("[train\nlr = 1", ExitCode::corrupt);
  refusal("[train]\nlr = 1\nlr = 2\n", ExitCode::corrupt);            // a key twice
  refusal("[train]\nlr = 1\n[train]\neps = 1\n", ExitCode::corrupt);  // a table twice
  refusal("[run]\nout = \"\xff\xfe\"\n", ExitCode::corrupt);
  refusal("[run]\nout = \"never closed\n", ExitCode::corrupt);
  refusal("[train]\nsteps = 99999999999999999999999\n", ExitCode::corrupt);
  refusal(std::string_view("[train]\nlr = 1\0\n", 17), ExitCode::corrupt);
  refusal("<!DOCTYPE html><html>", ExitCode::corrupt);
}

TEST_CASE("toml: deep nesting and long input end in a message") {
  for (const std::size_t depth : {std::size_t{1000}, std::size_t{200000}}) {
    refusal("[data]\npairs = " + std::string(depth, '[') + std::string(depth, ']'),
            ExitCode::corrupt);
    std::string inline_tables = "[data]\npairs = ";
    for (std::size_t i = 0; i < depth; i++)
      inline_tables += "{a=";
    refusal(inline_tables, ExitCode::corrupt);
  }
  std::string dotted = "[train";
  for (int i = 0; i < 20000; i++)
    dotted += ".a";
  ExitCode code = ExitCode::ok;
  CHECK(!error_of([&] { read_toml(dotted + "]\n", "my.toml"); }, &code).empty());
  const std::string long_key = "[train]\n" + std::string(300000, 'k') + " = 1\n";
  refusal(long_key, ExitCode::usage);
}

TEST_CASE("toml: every prefix of a settings file is read or refused") {
  const std::string text = write_toml(Settings{});
  for (std::size_t bytes = 0; bytes < text.size(); bytes += 7) {
    ExitCode code = ExitCode::ok;
    error_of([&] { read_toml(std::string_view(text).substr(0, bytes), "cut.toml"); }, &code);
    CHECK((code == ExitCode::ok || code == ExitCode::corrupt || code == ExitCode::usage));
  }
}

TEST_CASE("toml: files that are missing, too long or folders are refused with their name") {
  const TemporaryFolder folder;
  ExitCode code = ExitCode::ok;
  CHECK(mentions(error_of([&] { read_toml_file(folder / "none.toml"); }, &code), "none.toml"));
  CHECK(code == ExitCode::storage);
  CHECK(mentions(error_of([&] { read_toml_file(folder.path()); }, &code), folder.path().string()));
  CHECK(code == ExitCode::storage);
  write_plainly(folder / "long.toml", std::string((1 << 20) + 1, '#'));
  CHECK(mentions(error_of([&] { read_toml_file(folder / "long.toml"); }, &code), "long.toml"));
  CHECK(code == ExitCode::corrupt);
  write_plainly(folder / "empty.toml", "");
  CHECK(read_toml_file(folder / "empty.toml").empty());
}

}  // namespace
}  // namespace farsight
