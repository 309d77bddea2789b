// farsight data fetch: files by name, from a folder or an address, checked before they get their name.
#include "train/data_fetch.h"

#include <doctest/doctest.h>

#include "core/sha256.h"
#include "data/known_files.h"
#include "tests/language_data.h"
#include "tests/skip.h"
#include "tests/temporary_folder.h"
#include "train/data_verb.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

std::string refusal(const std::vector<std::string>& words, ExitCode expected) {
  ExitCode code = ExitCode::ok;
  const std::string error = error_of([&] { data_outcome(words); }, &code);
  CHECK_MESSAGE(code == expected, error);
  return error;
}

TEST_CASE("fetch: the list has source, size, hash and licence of every file") {
  const std::string list = data_outcome(std::vector<std::string>{"fetch", "--list"}).text;
  for (const KnownFile& file : known_files()) {
    for (const std::string_view part :
         {file.set, file.path, file.sha256, file.licence, file.source, file.url}) {
      CHECK_MESSAGE(mentions(list, part), part);
    }
    CHECK((file.sha256.empty() || file.sha256.size() == 64));
    CHECK((file.bytes > 0 || file.sha256.empty()));
  }
}

TEST_CASE("fetch: a mirror's file with other contents is not taken, and what was there stays") {
  const TemporaryFolder mirror, to;
  fs::create_directories(mirror / "piqa");
  fs::create_directories(to / "piqa");
  write_plainly(to / "piqa/valid-labels.lst", "mine");
  write_plainly(mirror / "piqa/valid-labels.lst", std::string(3676, '0'));
  const std::vector<std::string> words = {"fetch",  "piqa/valid-labels.lst",
                                          "--from", mirror.path().string(),
                                          "--to",   to.path().string()};
  CHECK(mentions(refusal(words, ExitCode::corrupt), "SHA-256"));
  CHECK(read_plainly(to / "piqa/valid-labels.lst") == "mine");
  write_plainly(mirror / "piqa/valid-labels.lst", "short");
  CHECK(mentions(refusal(words, ExitCode::corrupt), "5 bytes"));
  fs::remove(mirror / "piqa/valid-labels.lst");
  CHECK(mentions(refusal(words, ExitCode::storage), "has no piqa/valid-labels.lst"));
  CHECK(std::distance(fs::directory_iterator(to / "piqa"), fs::directory_iterator()) == 1);
}

TEST_CASE("fetch: what is misspelt, without a place or without an address is one sentence") {
  const TemporaryFolder to;
  const std::string folder = to.path().string();
  CHECK(mentions(refusal({"fetch", "pika", "--to", folder}, ExitCode::usage), "piqa"));
  CHECK(mentions(refusal({"fetch", "--to", folder}, ExitCode::usage), "--list"));
  CHECK(mentions(refusal({"fetch", "wikitext", "--to", folder}, ExitCode::storage),
                 "wikitext-2-raw-v1.zip"));
  refusal({"fetch", "piqa", "--form", folder}, ExitCode::usage);
  CHECK(mentions(refusal({"fetch", "piqa", "--to", folder, "--from", "file:///nowhere/at/all"},
                         ExitCode::storage),
                 "file:///nowhere/at/all/piqa/valid.jsonl"));
}

TEST_CASE("fetch: files of a data directory come from a folder and from an address") {
  const fs::path data = data_with("piqa/valid.jsonl");
  if (data.empty()) return skip(kNoLanguageData);
  const TemporaryFolder to;
  const auto fetched = [&](const std::string& from) {
    return fetch_files({.names = {"piqa"}, .from = from, .to = to.path()});
  };
  CHECK(mentions(fetched(data.string()), "as known"));
  CHECK(read_plainly(to / "piqa/valid.jsonl") == read_plainly(data / "piqa/valid.jsonl"));
  CHECK(mentions(fetched(data.string()), "is there already"));
  write_plainly(to / "piqa/valid.jsonl", "damaged");
  const std::string address = "file://" + data.string();
  try {
    CHECK(mentions(fetched(address), address));
  } catch (const Error& error) {
    if (mentions(error.what(), "the program curl")) return skip("curl is not installed");
    throw;
  }
  CHECK(sha256_of_file(to / "piqa/valid.jsonl") == known_files()[2].sha256);
}

}  // namespace
}  // namespace farsight
