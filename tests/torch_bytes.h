// Zip archives and pickles made by hand, right or wrong.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace farsight {

/// `n` bytes of a number, the lowest first.
inline std::string little_endian(std::uint64_t value, unsigned n) {
  std::string bytes;
  for (unsigned i = 0; i < n; i++) {
    bytes += static_cast<char>(value >> (8 * i) & 0xff);
  }
  return bytes;
}

/// What is wrong with an entry.
struct HandmadeEntry {
  std::string name, contents;
  unsigned method = 0, flags = 0;
  std::string local_name{};  ///< in front of the contents, if another than in the directory
  std::int64_t offset = -1;  ///< said to be here
  std::int64_t size = -1;    ///< said to be this long
};

inline std::string zip_of(const std::vector<HandmadeEntry>& entries,
                          const std::string& comment = "") {
  std::string file, directory;
  for (const HandmadeEntry& entry : entries) {
    const auto size =
        entry.size < 0 ? entry.contents.size() : static_cast<std::uint64_t>(entry.size);
    const auto at = entry.offset < 0 ? file.size() : static_cast<std::uint64_t>(entry.offset);
    const std::string& local = entry.local_name.empty() ? entry.name : entry.local_name;
    const std::string head = little_endian(20, 2) + little_endian(entry.flags, 2) +
                             little_endian(entry.method, 2) + little_endian(0, 8) +
                             little_endian(size, 4) + little_endian(size, 4);
    directory += little_endian(0x02014b50, 4) + little_endian(20, 2) + head +
                 little_endian(entry.name.size(), 2) + little_endian(0, 2) + little_endian(0, 2) +
                 little_endian(0, 8) + little_endian(at, 4) + entry.name;
    file += little_endian(0x04034b50, 4) + head + little_endian(local.size(), 2) +
            little_endian(0, 2) + local + entry.contents;
  }
  const std::string count = little_endian(entries.size(), 2);
  return file + directory + little_endian(0x06054b50, 4) + little_endian(0, 4) + count + count +
         little_endian(directory.size(), 4) + little_endian(file.size(), 4) +
         little_endian(comment.size(), 2) + comment;
}

// Pieces of a pickle.
inline std::string pickled_text(std::string_view text) {
  return "X" + little_endian(text.size(), 4) + std::string(text);
}
inline std::string pickled_number(std::uint64_t value) {
  return "\x8a\x08" + little_endian(value, 8);
}
inline std::string pickled_tuple(const std::vector<std::uint64_t>& numbers) {
  std::string text = "(";
  for (const std::uint64_t number : numbers) {
    text += pickled_number(number);
  }
  return text + "t";
}
inline std::string pickled_storage(std::string_view type, std::string_view key,
                                   std::uint64_t elements) {
  return "(" + pickled_text("storage") + "ctorch\n" + std::string(type) + "\n" + pickled_text(key) +
         pickled_text("cpu") + pickled_number(elements) + "tQ";
}
inline std::string pickled_tensor(const std::string& storage, std::uint64_t offset,
                                  const std::vector<std::uint64_t>& shape,
                                  const std::vector<std::uint64_t>& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + pickled_number(offset) +
         pickled_tuple(shape) + pickled_tuple(strides) + "\x89" + "ccollections\nOrderedDict\n)RtR";
}
/// "\x80\x02}(" name value name value ... "u."
inline std::string pickled_dict(const std::string& entries) {
  return "\x80\x02}(" + entries + "u.";
}

inline std::string torch_file_of(const std::string& pickle,
                                 const std::vector<std::string>& storages) {
  std::vector<HandmadeEntry> entries = {{"m/data.pkl", pickle}, {"m/byteorder", "little"}};
  for (std::size_t i = 0; i < storages.size(); i++) {
    entries.push_back({"m/data/" + std::to_string(i), storages[i]});
  }
  entries.push_back({"m/version", "3\n"});
  return zip_of(entries);
}

}  // namespace farsight
