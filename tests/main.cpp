// Runs every test case linked into the program. The last line is always
// "N passed, N failed, N skipped"; the exit status is 0 only when none failed and one at least ran.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <map>
#include <string>

#include "tests/skip.h"

namespace farsight {
namespace {

/// What happened to the test cases. doctest counts passed and failed; it does not know "skipped".
struct Tally {
  std::string current;
  std::map<std::string, std::string> reasons;  // of the skipped cases, by name
  std::map<std::string, bool> results;         // of the cases that ran: whether they passed
  std::map<std::string, int> repeated;         // names that more than one case has
};

Tally& tally() {
  static Tally instance;
  return instance;
}

class Listener final : public doctest::IReporter {
 public:
  explicit Listener(const doctest::ContextOptions&) {}

  void test_case_start(const doctest::TestCaseData& test) override {
    tally().current = test.m_name;
  }
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    const bool ok = stats.failure_flags == 0;
    const auto [place, fresh] = tally().results.emplace(tally().current, ok);
    if (!fresh) {
      tally().repeated[tally().current]++;
      place->second = false;
    }
    tally().current.clear();
  }

  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};

REGISTER_LISTENER("tally", 1, Listener);

/// Names the skipped and the failed cases, then prints the closing line. Returns the failures.
int report() {
  int passed = 0;
  int failed = 0;
  int skipped = 0;
  for (const auto& [name, ok] : tally().results) {
    const auto reason = tally().reasons.find(name);
    if (!ok) {
      failed++;
      const char* why = tally().repeated.contains(name) ? " (several cases have this name)" : "";
      std::printf("FAILED  %s%s\n", name.c_str(), why);
    } else if (reason != tally().reasons.end()) {
      skipped++;
      std::printf("skipped %s: %s\n", name.c_str(), reason->second.c_str());
    } else {
      passed++;
    }
  }
  std::printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed;
}

}  // namespace

void skip(std::string_view reason) {
  tally().reasons[tally().current] = reason;
}

}  // namespace farsight

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  const int status = context.run();
  if (context.shouldExit()) return status;  // --help, --list-test-cases
  if (farsight::tally().results.empty()) {
    std::fprintf(stderr, "no test case matched: a run that tests nothing is a failure\n");
    farsight::report();
    return 1;
  }
  std::fflush(stdout);
  return farsight::report() == 0 ? status : 1;
}
