#include "train/farsight_program.h"

#include <fmt/core.h>

#include <algorithm>
#include <exception>
#include <new>
#include <span>
#include <string_view>

#include "core/check.h"
#include "core/process.h"
#include "core/version.h"
#include "train/corpus_verb.h"
#include "train/data_verb.h"
#include "train/doctor.h"
#include "train/nearest.h"
#include "train/operations/replay.h"
#include "train/operations/watch.h"
#include "train/probe_verb.h"
#include "train/ranks/launch.h"
#include "train/ranks/ranks_verb.h"
#include "train/report_verb.h"
#include "train/repro/repro.h"
#include "train/tokenize_verb.h"
#include "train/words.h"

namespace farsight {
namespace {

/// `words`: those after the verb.
using VerbWords = std::span<const std::string>;

struct FarsightVerb {
  std::string_view name;
  std::string_view help;
  int (*run)(VerbWords words);
};

constexpr std::string_view kDoctorHelp =
    "what this build and this machine can do, a verdict a line";

int run_doctor(VerbWords words) {
  constexpr VerbOption kOptions[] = {{"help", "", "print this text and stop"}};
  const Words given("farsight doctor", kOptions, {words.begin(), words.end()},
                    Words::With::options_alone);
  given.refuse_unknown();
  if (!given.has("help")) return doctor();
  fmt::print("{}", verb_help("farsight", "doctor", kDoctorHelp, kOptions));
  return 0;
}

/// In the order of --help. A verb is a function in a file of its own; this is its only other place.
constexpr FarsightVerb kVerbs[] = {
    {"corpus", kCorpusHelp, run_corpus_verb},
    {"data", kDataHelp, run_data_verb},
    {"detokenize", kDetokenizeHelp, run_detokenize},
    {"doctor", kDoctorHelp, run_doctor},
    {"launch", kLaunchHelp, run_launch},
    {"probe", kProbeHelp, run_probe_verb},
    {"ranks", kRanksHelp, run_ranks},
    {"replay", kReplayHelp, run_replay_verb},
    {"report", kReportHelp, run_report_verb},
    {"repro", kReproHelp, run_repro},
    {"tokenize", kTokenizeHelp, run_tokenize},
    {"watch", kWatchHelp, run_watch_verb},
};

std::string usage() {
  std::string text = "usage: farsight VERB [--option value ...]\n\n";
  for (const FarsightVerb& verb : kVerbs) {
    text += fmt::format("  {:<12}{}\n", verb.name, verb.help);
  }
  text +=
      "\n  VERB --help every option of a verb\n"
      "  --version   version, commit, build type, CPU level, GPU architectures\n";
  return text;
}

int dispatch(const std::vector<std::string>& words) {
  const std::string_view first = words.empty() ? "--help" : std::string_view(words.front());
  if (first == "--version") {
    fmt::print("farsight {}\n", version_line());
    return 0;
  }
  if (first == "--help" || first == "-h") {
    fmt::print("{}", usage());
    return 0;
  }
  const auto verb = std::find_if(std::begin(kVerbs), std::end(kVerbs),
                                 [&](const FarsightVerb& entry) { return entry.name == first; });
  if (verb != std::end(kVerbs)) return verb->run(VerbWords(words).subspan(1));
  std::vector<std::string_view> names;
  for (const FarsightVerb& entry : kVerbs)
    names.push_back(entry.name);
  fail(ExitCode::usage, "there is no verb '{}'{}\n{}", first, did_you_mean(first, names), usage());
}

int report_error(std::string_view message, ExitCode code) {
  const bool named = message.starts_with("farsight");  // "farsight data: there is no option ..."
  fmt::print(stderr, "{}{}\n", named ? "" : "farsight: ", message);
  return static_cast<int>(code);
}

}  // namespace

int run_farsight(const std::vector<std::string>& words) {
  try {
    prepare_process();
    return dispatch(words);
  } catch (const Error& error) {
    return report_error(error.what(), error.code());
  } catch (const std::bad_alloc&) {
    return report_error("out of memory", ExitCode::memory);
  } catch (const std::exception& error) {
    return report_error(error.what(), ExitCode::internal);
  }
}

}  // namespace farsight
