// The rules of the source tree that no compiler holds: which folder may include which, what a
// kernel file may include, how long a file may get, what it may be called. Reads the sources as
// text.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

constexpr int kMaxLines = 400;

/// What each folder may include, itself aside. Includes point up this list, never down.
const std::map<std::string, Names>& allowed_folders() {
  static const std::map<std::string, Names> table = {
      {"core", {}},
      {"autograd", {"core"}},
      {"ops", {"core", "autograd"}},
      {"cuda", {"core", "ops"}},
      {"models", {"core", "autograd", "ops"}},
      {"data", {"core"}},
      {"train", {"core", "autograd", "ops", "models", "data", "eval"}},
      {"eval", {"core", "autograd", "ops", "models", "data"}},
      // The programs are the top of the tree, wherever they lie.
      {"models/programs", {"core", "autograd", "ops", "models", "data", "train", "eval"}},
      {"tests", {"core", "autograd", "ops", "models", "data", "train", "eval", "bench"}},
      {"bench", {"core", "autograd", "ops", "models", "data", "train", "eval", "tests"}},
  };
  return table;
}

/// One source file: its path from the top of the tree, with forward slashes, and its text.
struct Source {
  std::string path;
  std::string text;
};

std::string folder_of(const std::string& path) {
  if (path.starts_with("models/programs/")) return "models/programs";
  return path.substr(0, path.find('/'));
}

bool ends_with_any(const std::string& text, std::initializer_list<std::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(),
                     [&](std::string_view ending) { return text.ends_with(ending); });
}

/// The text with comments and string literals blanked out, line breaks kept.
std::string code_only(const std::string& text) {
  std::string code = text;
  enum class In { plain, line_comment, block_comment, string } state = In::plain;
  for (std::size_t i = 0; i < text.size(); i++) {
    const bool pair = i + 1 < text.size();
    if (state == In::plain && pair && text[i] == '/' && text[i + 1] == '/')
      state = In::line_comment;
    if (state == In::plain && pair && text[i] == '/' && text[i + 1] == '*')
      state = In::block_comment;
    if (state == In::plain) {
      // A quote after a quote is a character literal: '"'.
      if (text[i] == '"' && (i == 0 || text[i - 1] != '\'')) state = In::string;
      continue;
    }
    if (text[i] == '\n') {
      if (state == In::line_comment) state = In::plain;
      continue;
    }
    code[i] = ' ';
    const bool comment_ends =
        state == In::block_comment && text[i] == '/' && i > 1 && text[i - 1] == '*';
    const bool string_ends = state == In::string && text[i] == '"';
    if (comment_ends || string_ends) {
      state = In::plain;
    } else if (state == In::string && text[i] == '\\' && pair) {
      code[++i] = ' ';
    }
  }
  return code;
}

/// What a file includes: "core/check.h" with quotes kept, <vector> with its brackets.
std::vector<std::string> includes_of(const Source& source) {
  std::vector<std::string> found;
  std::istringstream lines(source.text);
  for (std::string line; std::getline(lines, line);) {
    std::size_t at = line.find_first_not_of(" \t");
    if (at == std::string::npos || line[at] != '#') continue;
    at = line.find_first_not_of(" \t", at + 1);
    if (at == std::string::npos || line.compare(at, 7, "include") != 0) continue;
    at = line.find_first_of("<\"", at);
    if (at == std::string::npos) continue;
    const std::size_t end = line.find_first_of(">\"", at + 1);
    found.push_back(line.substr(at, end - at + 1));
  }
  return found;
}

/// A .cu sees its op's arguments, device helpers and CUDA itself: each header more costs nvcc
/// seconds.
bool allowed_in_kernel(const std::string& include) {
  const std::string name = include.substr(1, include.size() - 2);
  if (include[0] == '<') return name.starts_with("cu") && name.find('/') == std::string::npos;
  return (name.starts_with("ops/") && name.ends_with(".h")) || name == "core/dtype.h" ||
         name == "core/philox.h" || (name.starts_with("cuda/") && name.ends_with(".cuh"));
}

void find_bad_includes(const Source& source, std::vector<std::string>& findings) {
  const std::string folder = folder_of(source.path);
  const auto& table = allowed_folders();
  for (const std::string& include : includes_of(source)) {
    const std::string name = include.substr(1, include.size() - 2);
    if (source.path.ends_with(".cu") && !allowed_in_kernel(include)) {
      findings.push_back(fmt::format("{}: a kernel file may not include {}", source.path, include));
      continue;
    }
    if (include[0] == '<') {
      if (folder != "cuda" && (name.starts_with("cuda") || name.starts_with("nccl"))) {
        findings.push_back(fmt::format("{}: {} outside cuda/", source.path, include));
      }
      continue;
    }
    if (name.starts_with("generated/") || name.ends_with(".inc")) continue;  // written by the build
    const std::string target = folder_of(name);
    const Names& may = table.at(folder);
    if (target != folder && !may.contains(target)) {
      findings.push_back(fmt::format("{}: {}/ may not include {}", source.path, folder, include));
    }
  }
}

void find_bad_name(const Source& source, std::vector<std::string>& findings) {
  static const Names banned = {"utils",   "util", "misc", "helper",
                               "helpers", "fast", "v2",   "common"};
  std::string stem = fs::path(source.path).stem().string();
  std::replace(stem.begin(), stem.end(), '-', '_');
  std::istringstream words(stem);
  for (std::string word; std::getline(words, word, '_');) {
    if (banned.contains(word)) {
      findings.push_back(fmt::format("{}: '{}' says nothing about the content", source.path, word));
    }
  }
}

/// Every finding of one file, as sentences; empty when the file keeps the rules.
std::vector<std::string> findings_in(const Source& source) {
  std::vector<std::string> findings;
  find_bad_includes(source, findings);
  find_bad_name(source, findings);
  const auto lines = std::count(source.text.begin(), source.text.end(), '\n');
  if (lines > kMaxLines) {
    findings.push_back(fmt::format("{}: {} lines, at most {}", source.path, lines, kMaxLines));
  }
  if (folder_of(source.path) == "cuda" &&
      code_only(source.text).find("atomicAdd") != std::string::npos) {
    // The order of float atomics differs from run to run: same inputs would not give the same bits.
    findings.push_back(fmt::format("{}: atomicAdd; reduce in a fixed order", source.path));
  }
  return findings;
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<Source> all_sources() {
  std::vector<Source> sources;
  const fs::path top = FARSIGHT_SOURCE_DIR;
  for (const auto& [folder, may] : allowed_folders()) {
    if (folder == "models/programs" || !fs::exists(top / folder)) continue;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(top / folder)) {
      const std::string path = fs::relative(entry.path(), top).generic_string();
      if (entry.is_regular_file() && ends_with_any(path, {".h", ".cpp", ".cu", ".cuh"})) {
        sources.push_back({path, read(entry.path())});
      }
    }
  }
  return sources;
}

/// "farsight::Tensor": the types that a header defines, namespaces and types at the beginning of lines.
Names types_of(const Source& source) {
  Names types;
  std::vector<std::string> spaces;
  std::istringstream lines(source.text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string kind, name;
    words >> kind >> name;
    if (line.starts_with("}  // namespace") && !spaces.empty()) spaces.pop_back();
    const bool defines = line.find('{') != std::string::npos && name != "{";
    if (kind == "namespace" && defines) spaces.push_back(name);
    if ((line.starts_with("struct ") || line.starts_with("class ")) && defines) {
      types.insert(fmt::format("{}::{}", fmt::join(spaces, "::"), name));
    }
  }
  return types;
}

/// The FARSIGHT_ variables that a text asks the environment for.
Names variables_read(const std::string& text) {
  Names names;
  const std::string call = "getenv(\"FARSIGHT_";
  for (std::size_t at = text.find(call); at != std::string::npos; at = text.find(call, at + 1)) {
    const std::size_t begin = text.find('"', at) + 1;
    names.insert(text.substr(begin, text.find('"', begin) - begin));
  }
  return names;
}

}  // namespace

TEST_CASE("layering: every source keeps the rules of the tree") {
  const std::vector<Source> sources = all_sources();
  REQUIRE(sources.size() > 20);
  for (const Source& source : sources) {
    for (const std::string& finding : findings_in(source)) {
      FAIL_CHECK(finding);
    }
  }
}

TEST_CASE("layering: the checker sees each kind of violation") {
  const auto count = [](const char* path, const std::string& text) {
    return findings_in({path, text}).size();
  };
  CHECK(count("core/tensor.h", "#include <vector>\n#include \"core/check.h\"\n") == 0);
  CHECK(count("core/tensor.h", "#include \"ops/linear.h\"\n") == 1);
  CHECK(count("core/tensor.h", "#  include \"autograd/tape.h\"\n") == 1);
  CHECK(count("core/tensor.h", "#include <cuda_runtime.h>\n") == 1);
  CHECK(count("data/mqar.cpp", "#include \"models/mamba.h\"\n") == 1);
  CHECK(count("models/mamba.cpp", "#include \"train/loop.h\"\n") == 1);
  CHECK(count("models/programs/mamba.cpp", "#include \"train/loop.h\"\n") == 0);
  CHECK(count("eval/recall.cpp", "#include \"train/loop.h\"\n") == 1);
  CHECK(count("ops/linear.h", "#include \"cuda/device.cuh\"\n") == 1);
  CHECK(count("cuda/scan.cu", "#include \"ops/scan.h\"\n#include \"cuda/device.cuh\"\n") == 0);
  CHECK(count("cuda/scan.cu", "#include \"core/tensor.h\"\n") == 1);
  CHECK(count("cuda/scan.cu", "#include <vector>\n") == 1);
  CHECK(count("cuda/scan.cu", "#include <cub/cub.cuh>\n") == 1);
  CHECK(count("cuda/scan.cu", "#include <cuda_bf16.h>\n") == 0);
  CHECK(count("cuda/scan.cu", "  atomicAdd(dw + d, sum);\n") == 1);
  CHECK(count("cuda/scan.cu", "// no atomicAdd: sums are ordered\n") == 0);
  CHECK(count("cuda/scan.cu", "/* atomicAdd */ const char* t = \"atomicAdd\";\n") == 0);
  CHECK(count("ops/scan_v2.cpp", "") == 1);
  CHECK(count("ops/string-utils.h", "") == 1);
  CHECK(count("ops/breakfast.h", "") == 0);
  CHECK(count("ops/linear.cpp", std::string(kMaxLines, '\n')) == 0);
  CHECK(count("ops/linear.cpp", std::string(kMaxLines + 1, '\n')) == 1);
}

TEST_CASE("layering: a type has one definition") {
  CHECK(
      types_of(
          {"a.h",
           "namespace a::b {\nstruct X {\n  struct Y {};\n};\nclass Z;\n}  // namespace a::b\n"}) ==
      Names{"a::b::X"});
  // Of two, the linker takes either's destructor for both, and no compiler says so.
  std::map<std::string, std::string> defined;
  for (const Source& source : all_sources()) {
    if (!source.path.ends_with(".h")) continue;
    for (const std::string& type : types_of(source)) {
      const auto [place, fresh] = defined.emplace(type, source.path);
      CHECK_MESSAGE(fresh, type, " is defined in ", place->second, " and in ", source.path);
    }
  }
  CHECK(defined.size() > 100);
}

TEST_CASE("layering: every environment variable is described and known to doctor") {
  const fs::path top = FARSIGHT_SOURCE_DIR;
  const std::string readme = read(top / "README.md");
  const std::string doctor = read(top / "train/doctor.cpp");
  int found = 0;
  for (const Source& source : all_sources()) {
    if (source.path.starts_with("tests/")) continue;
    for (const std::string& name : variables_read(source.text)) {
      found++;
      CHECK_MESSAGE(readme.find("`" + name + "`") != std::string::npos, name,
                    " is not in README.md");
      CHECK_MESSAGE(doctor.find("\"" + name + "\"") != std::string::npos, name,
                    " is not in train/doctor.cpp");
    }
  }
  CHECK(found > 0);
}
