#include "train/run_record.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/check.h"
#include "core/file_calls.h"
#include "core/files.h"
#include "train/environment.h"
#include "train/operations/restart.h"
#include "train/operations/resume.h"
#include "train/run_folder.h"
#include "train/run_report.h"
#include "train/task.h"
#include "train/toml.h"

namespace farsight {

namespace {

namespace fs = std::filesystem;

/// "train.lr = 0.001 there, 0.003 here, and 2 more"
std::string differences(const fs::path& folder, const Settings& settings) {
  const std::optional<Settings> there = stored_settings(folder);
  if (!there) return "its config.toml cannot be read";
  const std::vector<std::string_view> names = different_settings(*there, settings);
  if (names.empty()) return "--resume never was given";
  const Setting& first = setting_named(names.front());
  std::string text = fmt::format("{} = {} there, {} here", first.name, toml_of(first.get(*there)),
                                 toml_of(first.get(settings)));
  if (names.size() > 1) text += fmt::format(", and {} more", names.size() - 1);
  return text;
}

/// Deletes what runs write, and leaves anything else that somebody put there.
void clear(const fs::path& folder) {
  constexpr auto kOurs = std::to_array<std::string_view>(
      {"config.toml", "metrics.jsonl", "result.json", "report.html", "report.md", "report.json",
       "figures", "checkpoints", "latest", "best", "corpus.json", "tensorboard", "profile.md",
       "profile.json", "failure.txt", "launch"});
  std::vector<fs::path> ours;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const bool known = std::find(kOurs.begin(), kOurs.end(), name) != kOurs.end();
    if (known || name.starts_with("step-") || name.starts_with("bad-step-"))
      ours.push_back(entry.path());
  }
  for (const fs::path& path : ours) {
    std::error_code problem;
    fs::remove_all(path, problem);
    require(!problem, ExitCode::storage, "--overwrite: cannot delete {}: {}", path.string(),
            problem.message());
  }
}

std::vector<Scalar> scalars_of(const StepMetrics& metrics) {
  std::vector<Scalar> scalars = {
      {"train/loss", metrics.loss},
      {"train/gradient_norm", metrics.grad_norm},
      {"train/learning_rate", metrics.lr},
      {"train/tokens", static_cast<double>(metrics.tokens)},
      {"train/skipped_steps", static_cast<double>(metrics.skipped)},
      {"speed/tokens_per_second", metrics.tokens_per_second},
      {"speed/memory_gib", static_cast<double>(metrics.memory_bytes) / (1 << 30)}};
  const auto add = [&](std::string_view tag, const std::optional<double>& value) {
    if (value) scalars.emplace_back(tag, *value);
  };
  add("train/accuracy", metrics.train_accuracy);
  add("speed/mfu_percent", metrics.mfu);
  add("speed/percent_of_ceiling", metrics.of_ceiling);
  add("validation/loss", metrics.valid_loss);
  add("validation/pair_accuracy", metrics.valid_accuracy);
  add("validation/perplexity", metrics.valid_perplexity);
  return scalars;
}

}  // namespace

fs::path default_folder(const Settings& settings) {
  const RunSettings& run = settings.run;
  return fs::path("runs") /
         fmt::format("{}-{}-{}-seed{}", own_task_name(settings), run.model, run.preset, run.seed);
}

RunRecord::Content RunRecord::content_of(const fs::path& folder, const Settings& settings) {
  std::error_code none;
  if (!fs::exists(folder, none)) return Content::nothing;
  if (!fs::is_directory(folder, none)) return Content::no_run;
  const bool nothing = std::all_of(
      fs::directory_iterator(folder, none), fs::directory_iterator(), [](const auto& entry) {
        return is_leftover(
            entry.path().filename().string());  // killed before config.toml was there
      });
  if (nothing) return Content::nothing;
  if (!fs::exists(folder / "config.toml", none)) return Content::no_run;
  if (fs::exists(folder / "result.json", none)) return Content::finished;
  const std::optional<Settings> there = stored_settings(folder);
  const bool same = there && different_settings(*there, settings).empty();
  return same ? Content::same_unfinished : Content::another_unfinished;
}

void RunRecord::refuse(Content content) const {
  const std::string name = folder_.string();
  if (content == Content::no_run) {
    fail(ExitCode::usage, "--out: {} is not empty and holds no run; choose another folder", name);
  }
  if (content == Content::busy) {
    fail(ExitCode::usage, "--out: another process is writing a run in {}; choose another folder",
         name);
  }
  if (content == Content::finished) {
    fail(ExitCode::usage,
         "--out: {} holds a finished run; choose another folder, or add --overwrite to delete it",
         name);
  }
  fail(ExitCode::usage,
       "--out: {} holds an unfinished run that this one does not continue ({}); choose another "
       "folder, add --overwrite to delete it, or --resume {} to go on with its settings",
       name, differences(folder_, settings_), name);
}

RunRecord::Lock::~Lock() {
  if (fd_ >= 0) close(fd_);
}

bool RunRecord::Lock::take(const fs::path& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return true;  // writing will say what is wrong
  if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(fd);
    return false;
  }
  fd_ = fd;  // also where the file system has no locks: it is a guard against slips, not a right
  return true;
}

RunRecord::Content RunRecord::claim(const TrainOptions& options) {
  const bool from_path = resumes_path(options.resume);
  const bool may_continue = options.resume != "never" && !options.overwrite;
  const Content content = content_of(folder_, settings_);
  continues_ = from_path || (content == Content::same_unfinished && may_continue);
  const bool replaces = options.overwrite && content != Content::no_run;
  if (content != Content::nothing && !continues_ && !replaces) return content;
  make_output_folder(folder_);
  if (!lock_.take(folder_)) return Content::busy;
  if (!continues_ && replaces) clear(folder_);
  return Content::nothing;
}

void RunRecord::look_for(const std::string& launch, const fs::path& base, bool fixed) {
  folder_ = base;
  std::error_code none;
  for (int number = 2; !fixed && !begun_by(folder_, launch) && fs::exists(folder_, none); number++)
    folder_ = fmt::format("{}-{}", base.string(), number);
  restarts_ = begun_by(folder_, launch);
  if (!restarts_) folder_ = base;
}

RunRecord::RunRecord(const Resolved& resolved, const TrainOptions& given, const std::string& launch)
    : settings_(resolved.settings) {
  const std::string& out = settings_.run.out;
  const bool fixed = !out.empty() && resolved.origin_of("run.out") == Origin::flag;
  fs::path base = out.empty() ? default_folder(settings_) : fs::path(out).lexically_normal();
  if (!base.has_filename()) base = base.parent_path();  // "runs/a/"

  look_for(launch, base, fixed);
  const TrainOptions options = restarts_ ? TrainOptions{} : given;
  const Content there = content_of(folder_, settings_);
  if (resume_step(options.resume) && there != Content::same_unfinished) {
    fail(
        ExitCode::usage, "--resume {}: {} holds no unfinished run of these settings{}",
        options.resume, folder_.string(),
        there == Content::finished ? "; a finished one goes on from the path of a checkpoint" : "");
  }
  Content found = claim(options);
  for (int number = 2; found != Content::nothing; number++) {
    if (fixed) refuse(found);
    folder_ = fmt::format("{}-{}", base.string(), number);
    found = claim(options);
  }
  write_file_atomically(folder_ / "config.toml", write_toml(settings_));
  open_metrics();
}

void RunRecord::open_metrics() {
  const fs::path path = folder_ / "metrics.jsonl";
  metrics_.reset(std::fopen(path.c_str(), "ae"));
  require(metrics_ != nullptr, ExitCode::storage, "cannot write {}: {}", path.string(),
          std::strerror(errno));
}

void RunRecord::rewind(std::int64_t step) {
  metrics_.reset();
  const fs::path path = folder_ / "metrics.jsonl";
  const std::string text = read_file(path);
  std::string kept;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;  // torn: the process died while it wrote
    const std::string line = text.substr(begin, end - begin + 1);
    begin = end + 1;
    try {
      if (Json::parse(line, path.string()).at("step").as_int() <= step) kept += line;
    } catch (const Error&) {
      continue;  // damaged by a crash of the machine; the other lines are still good
    }
  }
  write_file_atomically(path, kept);
  std::error_code none;
  fs::remove(folder_ / "result.json", none);  // it goes on: not finished any more
  fs::remove(folder_ / "failure.txt", none);
  open_metrics();
  if (settings_.log.tensorboard) {
    board_ = std::make_unique<TensorBoardWriter>(folder_ / "tensorboard", step);
  }
}

void RunRecord::append(const StepMetrics& metrics) {
  if (!metrics_) return;
  if (board_) board_->add(metrics.step, scalars_of(metrics));
  Json line = Json::object({{"step", metrics.step},
                            {"loss", metrics.loss},
                            {"lr", metrics.lr},
                            {"grad_norm", metrics.grad_norm},
                            {"tokens", metrics.tokens},
                            {"seconds", metrics.seconds},
                            {"tokens_per_second", metrics.tokens_per_second},
                            {"memory_bytes", metrics.memory_bytes}});
  if (metrics.total_steps > 0) line["total_steps"] = metrics.total_steps;
  if (metrics.skipped > 0) line["skipped"] = metrics.skipped;
  if (metrics.exposed_ms) line["exposed_ms"] = *metrics.exposed_ms;
  if (metrics.weights_compared) line["weights_compared"] = *metrics.weights_compared;
  if (metrics.mfu) line["mfu"] = *metrics.mfu;
  if (metrics.of_ceiling) line["of_ceiling"] = *metrics.of_ceiling;
  if (metrics.train_accuracy) line["train_accuracy"] = *metrics.train_accuracy;
  if (metrics.valid_accuracy) line["valid_accuracy"] = *metrics.valid_accuracy;
  if (metrics.valid_loss) line["valid_loss"] = *metrics.valid_loss;
  if (metrics.valid_perplexity) line["valid_perplexity"] = *metrics.valid_perplexity;
  const std::string text = line.dump() + '\n';
  // One write for a whole line, flushed: what a killed run has logged can be read.
  const bool written = std::fwrite(text.data(), 1, text.size(), metrics_.get()) == text.size() &&
                       std::fflush(metrics_.get()) == 0;
  require(written, ExitCode::storage, "cannot write {}: {}", (folder_ / "metrics.jsonl").string(),
          std::strerror(errno));
}

void RunRecord::keep_failure(const Error& error) {
  const bool signal = error.code() == ExitCode::interrupted || error.code() == ExitCode::resumable;
  if (signal || !metrics_) return;
  try {
    write_file_atomically(folder_ / "failure.txt", std::string(error.what()) + '\n');
  } catch (const Error&) {
  }
}

void RunRecord::finish(const RunResult& result) {
  Json json = result_json(settings_, result);
  json["environment"] = environment_json();
  RunFiles run = read_run(folder_);
  run.result = json;
  write_file_atomically(folder_ / "result.json", json.dump(2) + '\n');
  try {
    write_run_report(run);
  } catch (const Error& error) {  // the result is safe, and the page can be made again
    std::fputs(fmt::format("no page of the run: {}; `farsight report --run {}` makes it\n",
                           error.what(), folder_.string())
                   .c_str(),
               stderr);
  }
}

}  // namespace farsight
