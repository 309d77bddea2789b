// farsight data fetch: the known files (data/known_files.h) into a data directory.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "train/words.h"

namespace farsight {

inline constexpr VerbOption kFetchOptions[] = {
    {"list", "", "print the known files with source, size, SHA-256 and licence, and stop"},
    {"from", "DIR|URL", "a mirror that has them [the address of each file itself]"},
    {"to", "DIR", "the data directory [$FARSIGHT_DATA]"},
    {"name", "LIST", "sets or files, separated by commas; they may also stand alone"},
    {"help", "", "print this text and stop"}};

/// `piqa arc --to data` with its plain words behind --name, as Words reads them.
std::vector<std::string> fetch_words(std::span<const std::string> words);
/// What `farsight data fetch` prints.
std::string fetched_text(const Words& words);

struct FetchOptions {
  /// Sets ("piqa") or paths ("piqa/valid.jsonl") of known files.
  std::vector<std::string> names{};
  /// A folder that has them, or an address such folders stand behind (http, https, file); empty: the
  /// address of each file itself.
  std::string from{};
  std::filesystem::path to{};
};

/// Name, path, size, SHA-256, licence, source and address of every known file.
std::string known_files_text();

/// Copies or downloads (by curl, a program of its own) each named file that is not there with the right
/// hash. What has another hash than the table's is refused, and nothing changes: a file appears whole
/// and checked, or not at all. Returns a line a file. Throws Error(usage) for an unknown name,
/// Error(storage) for what is not to be had, Error(corrupt) for wrong contents.
std::string fetch_files(const FetchOptions& options);

}  // namespace farsight
