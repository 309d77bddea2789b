// What was found to be fastest on this GPU, kept from run to run: a text file for each device and
// library, one line a choice, "name = eight words". Lines that cannot be read are passed over, and a
// file that cannot be written is no error: choices are made again.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace farsight::cuda {

class StoredChoices {
 public:
  using Words = std::array<std::uint64_t, 8>;

  /// Reads the choices made with `library` on the GPU in use.
  explicit StoredChoices(const std::string& library);
  /// For tests: the choices in a file.
  explicit StoredChoices(std::filesystem::path file);

  /// Null: none was made.
  const Words* find(const std::string& name) const;
  void add(const std::string& name, const Words& words);

 private:
  void read();

  std::filesystem::path file_;  ///< empty: nowhere to keep them
  std::map<std::string, Words> choices_;
};

/// FARSIGHT_CACHE, or the user's cache folder; empty when there is none.
std::filesystem::path cache_folder();

}  // namespace farsight::cuda
