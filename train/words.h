// The words behind a verb on the command line, sorted into its options and the settings. The only
// user of CLI11, which costs seconds to compile, is words.cpp.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/help.h"
#include "train/presets.h"

namespace farsight {

/// Every setting has two options, its alias and its name (--lr, --train.lr; the name may be written
/// with '-' for '_'), `--key value` and `--key=value`; a boolean has --key and --no-key. Given
/// twice, the later wins, so that a Makefile's ARGS can follow its own options.
class Words {
 public:
  /// Has the verb settings, or only the options given?
  enum class With { settings, options_alone };

  /// `title` opens messages: "mamba train". Throws Error(usage) if an option has no value.
  Words(std::string title, std::span<const VerbOption> options, std::vector<std::string> words,
        With with = With::settings);
  ~Words();

  /// Was the verb's option `flag` ("dry-run") given?
  bool has(const std::string& flag) const;
  /// Its value.
  std::optional<std::string> value(const std::string& flag) const;
  /// The settings that were given, checked.
  Assignments assignments() const;
  /// Throws Error(usage), with the nearest name, if a word belongs to no option.
  void refuse_unknown() const;

 private:
  struct Parser;
  std::string title_;
  std::unique_ptr<Parser> parser_;
};

/// `words` with a first one that is no option as the value of `flag`: "report runs/a" is "report --run
/// runs/a".
std::vector<std::string> with_first_as(std::string_view flag, std::span<const std::string> words);

}  // namespace farsight
