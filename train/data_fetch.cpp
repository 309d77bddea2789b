#include "train/data_fetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>

#include "core/check.h"
#include "core/child_process.h"
#include "core/files.h"
#include "core/sha256.h"
#include "data/known_files.h"
#include "train/nearest.h"
#include "train/quantities.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

bool is_address(std::string_view text) {
  return text.starts_with("http://") || text.starts_with("https://") || text.starts_with("file://");
}

std::vector<const KnownFile*> files_named(const std::string& name) {
  std::vector<const KnownFile*> found;
  std::vector<std::string_view> names;
  for (const KnownFile& file : known_files()) {
    if (file.set == name || file.path == name) found.push_back(&file);
    if (names.empty() || names.back() != file.set) names.push_back(file.set);
  }
  require(
      !found.empty(), ExitCode::usage,
      "farsight data fetch: no known file is called '{}'{}; there are {}, and --list shows them",
      name, did_you_mean(name, names), fmt::join(names, ", "));
  return found;
}

/// A folder of its own for one download, removed with what is in it.
class Scratch {
 public:
  explicit Scratch(const fs::path& beside) {
    std::string name = (beside / ".fetch-XXXXXX").string();
    require(mkdtemp(name.data()) != nullptr, ExitCode::storage, "cannot write into '{}'",
            beside.string());
    path_ = name;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path file() const { return path_ / "file"; }

 private:
  fs::path path_;
};

void download(const std::string& address, const fs::path& to) {
  constexpr double kNoDeadline = 1e9;  // but who sends nothing for two minutes is given up
  ChildReport report;
  try {
    report =
        run_child({.words = {"curl", "--fail", "--location", "--silent", "--show-error", "--proto",
                             "=http,https,file", "--connect-timeout", "30", "--speed-limit", "1",
                             "--speed-time", "120", "--output", to.string(), "--", address}},
                  kNoDeadline);
  } catch (const CannotStart& error) {
    fail(ExitCode::storage,
         "{}: downloading takes the program curl, which is not there ({}): install it, or copy the "
         "file by hand and say --from DIR",
         address, error.what());
  }
  const std::string said = report.errors.substr(0, report.errors.find('\n'));
  require(report.end && report.end->well() && fs::exists(to), ExitCode::storage,
          "{}: not to be had: {}", address,
          said.empty() ? report.end ? report.end->text() : "it took too long" : said);
}

/// Copies while it hashes; what is not the file that the table knows never gets its name.
std::string place(const fs::path& source, const std::string& named, const KnownFile& file,
                  const fs::path& target) {
  const InputFile in(source);
  require(file.bytes == 0 || in.bytes() == static_cast<std::uint64_t>(file.bytes),
          ExitCode::corrupt, "{}: {} has {} bytes, the known file {}; it was not taken", named,
          file.path, in.bytes(), file.bytes);
  std::string hash;
  write_file_atomically(target, [&](OutputFile& out) {
    Sha256 sum;
    std::vector<std::byte> piece(std::size_t{1} << 20);
    for (std::uint64_t at = 0; at < in.bytes(); at += piece.size()) {
      const auto count =
          static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), in.bytes() - at));
      const std::span<std::byte> part = std::span(piece).first(count);
      in.read_at(at, part);
      sum.update(part);
      out.write(part);
    }
    hash = sum.finish();
    require(file.sha256.empty() || hash == file.sha256, ExitCode::corrupt,
            "{}: {} has SHA-256 {}, the known file {}; it was not taken", named, file.path, hash,
            file.sha256);
  });
  return hash;
}

std::string fetch(const KnownFile& file, const FetchOptions& options) {
  const fs::path target = options.to / file.path;
  if (fs::is_regular_file(target) && !file.sha256.empty() &&
      sha256_of_file(target) == file.sha256) {
    return fmt::format("{}: is there already, SHA-256 as known\n", target.string());
  }
  fs::create_directories(target.parent_path());
  make_output_folder(target.parent_path());
  std::string named, hash;
  if (!options.from.empty() && !is_address(options.from)) {
    fs::path source = find_known(file, options.from);
    const fs::path plain = fs::path(options.from) / fs::path(file.path).filename();
    if (source.empty() && fs::is_regular_file(plain)) source = plain;
    require(!source.empty(), ExitCode::storage, "{}: '{}' has no {}", file.set, options.from,
            file.path);
    named = source.string();
    hash = place(source, named, file, target);
  } else {
    require(!options.from.empty() || !file.url.empty(), ExitCode::storage,
            "{}: {} has no address of its own; take it from {}, or from a mirror by --from",
            file.set, file.path, file.source);
    named = options.from.empty() ? std::string(file.url)
                                 : fmt::format("{}/{}", options.from, file.path);
    const Scratch scratch(target.parent_path());
    download(named, scratch.file());
    hash = place(scratch.file(), named, file, target);
  }
  const auto bytes = static_cast<std::int64_t>(fs::file_size(target));
  return fmt::format(
      "{}: {} bytes from {}, SHA-256 {}\n", target.string(), grouped(bytes), named,
      file.sha256.empty() ? hash + ", with which nothing here can be compared" : "as known");
}

}  // namespace

std::string known_files_text() {
  std::string text;
  for (const KnownFile& file : known_files()) {
    text += fmt::format("{}\n  {}\n  {} bytes, SHA-256 {}\n  licence {}\n  {}\n{}", file.set,
                        file.path, file.bytes == 0 ? "unknown" : grouped(file.bytes),
                        file.sha256.empty() ? "unknown" : file.sha256, file.licence, file.source,
                        file.url.empty() ? "" : fmt::format("  {}\n", file.url));
  }
  return text + "\nThe project ships none of them. Their licences are their authors'.\n";
}

std::string fetch_files(const FetchOptions& options) {
  require(!options.names.empty(), ExitCode::usage,
          "farsight data fetch: which files? Name sets or paths; --list shows them");
  std::vector<const KnownFile*> files;
  for (const std::string& name : options.names) {
    const std::vector<const KnownFile*> found = files_named(name);
    files.insert(files.end(), found.begin(), found.end());
  }
  std::string text;
  for (const KnownFile* file : files) {
    text += fetch(*file, options);
  }
  return text;
}

std::vector<std::string> fetch_words(std::span<const std::string> words) {
  std::vector<std::string> options;
  std::string names;
  for (std::size_t i = 0; i < words.size(); i++) {
    const std::string& word = words[i];
    if (!word.starts_with('-')) {
      names += (names.empty() ? "" : ",") + word;
      continue;
    }
    options.push_back(word);
    const bool takes_value = word == "--from" || word == "--to" || word == "--name";
    if (takes_value && i + 1 < words.size()) options.push_back(words[++i]);
  }
  if (!names.empty()) options.insert(options.end(), {"--name", names});
  return options;
}

std::string fetched_text(const Words& words) {
  if (words.has("list")) return known_files_text();
  const char* variable = std::getenv("FARSIGHT_DATA");
  FetchOptions options{.from = words.value("from").value_or(""),
                       .to = words.value("to").value_or(variable == nullptr ? "" : variable)};
  require(!options.to.empty(), ExitCode::usage,
          "farsight data fetch: where to? Say --to DIR or set FARSIGHT_DATA");
  std::string names = words.value("name").value_or("");
  while (!names.empty()) {
    const std::size_t end = std::min(names.find(','), names.size());
    options.names.push_back(names.substr(0, end));
    names.erase(0, end + 1);
  }
  return fetch_files(options);
}

}  // namespace farsight
