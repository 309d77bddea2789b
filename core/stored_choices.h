// What was found to be fastest on a GPU, kept from run to run: a text file for each device and
// library, one line a choice, "name = eight words". Lines that cannot be read are passed over, and a
// file that cannot be written is no error: choices are made again.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace farsight {

class StoredChoices {
 public:
  using Words = std::array<std::uint64_t, 8>;

  /// Reads the file, if there is one.
  explicit StoredChoices(std::filesystem::path file);

  /// Null: none was made.
  const Words* find(const std::string& name) const;
  void add(const std::string& name, const Words& words);

 private:
  void read();

  std::filesystem::path file_;  ///< empty: nowhere to keep them
  std::map<std::string, Words> choices_;
};

/// The file for a device and a library, in FARSIGHT_CACHE or the user's cache folder; empty when
/// there is no such folder.
std::filesystem::path choices_file(const std::string& device, const std::string& library);

}  // namespace farsight
