#include "core/stored_choices.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <fstream>
#include <system_error>

#include "core/cache_folder.h"

namespace farsight {
namespace fs = std::filesystem;
namespace {

/// "NVIDIA H100 80GB HBM3" -> "nvidia-h100-80gb-hbm3".
std::string as_file_name(const std::string& text) {
  std::string name;
  for (char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.';
    name += plain ? static_cast<char>(std::tolower(static_cast<unsigned char>(c))) : '-';
  }
  return name;
}

bool parse(std::string_view text, StoredChoices::Words* words) {
  for (std::uint64_t& word : *words) {
    const std::size_t begin = text.find_first_not_of(' ');
    if (begin == std::string_view::npos) return false;
    text.remove_prefix(begin);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), word, 16);
    if (error != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  }
  return text.find_first_not_of(' ') == std::string_view::npos;
}

}  // namespace

fs::path choices_file(const std::string& device, const std::string& library) {
  const fs::path folder = cache_folder();
  if (folder.empty()) return {};
  return folder / fmt::format("{}-{}.txt", as_file_name(device), as_file_name(library));
}

StoredChoices::StoredChoices(fs::path file) : file_(std::move(file)) {
  read();
}

void StoredChoices::read() {
  std::ifstream in(file_);
  for (std::string line; std::getline(in, line);) {
    const std::size_t equals = line.rfind(" = ");  // a name may hold one too
    Words words = {};
    if (equals == std::string::npos || !parse(std::string_view(line).substr(equals + 3), &words)) {
      continue;
    }
    // Of two processes that chose at the same time, the first counts for all that come after.
    choices_.try_emplace(line.substr(0, equals), words);
  }
}

const StoredChoices::Words* StoredChoices::find(const std::string& name) const {
  const auto at = choices_.find(name);
  return at == choices_.end() ? nullptr : &at->second;
}

void StoredChoices::add(const std::string& name, const Words& words) {
  if (!choices_.try_emplace(name, words).second || file_.empty()) return;
  std::error_code ignored;
  fs::create_directories(file_.parent_path(), ignored);
  std::string line = name + " =";
  for (std::uint64_t word : words) {
    line += fmt::format(" {:x}", word);
  }
  line += '\n';
  std::ofstream out(file_, std::ios::app);
  out.write(line.data(), static_cast<std::streamsize>(line.size()));  // one call: lines stay whole
}

}  // namespace farsight
