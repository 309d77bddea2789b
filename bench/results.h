// The results of a run as a table for people and as JSON lines for programs.
#pragma once

#include <fstream>
#include <string>
#include <string_view>

#include "bench/generation.h"
#include "bench/machine.h"
#include "bench/operations.h"
#include "bench/tokenization.h"
#include "bench/training.h"
#include "core/json.h"

namespace farsight::bench {

/// What every line of a run shares.
struct Provenance {
  Machine machine;
  std::string command;  ///< its words, joined
  std::string note;     ///< of the person who measured; may be empty
};
struct Context {
  Provenance provenance;
  Ceilings ceilings;
};

/// To standard output, at once.
void print(const std::string& text);

/// JSON lines at the end of a file. Does nothing when the path is empty; else throws Error(storage)
/// when the file cannot be opened or written.
class JsonLines {
 public:
  explicit JsonLines(const std::string& path);
  void append(const Json& line);

 private:
  std::string path_;
  std::ofstream file_;
};

/// A line that says where it comes from, and its name.
Json line_of(const Provenance& provenance, std::string_view name);

/// Decimals so that three digits or more are shown of any duration.
std::string milliseconds(double value);
/// "-" where there is nothing: 0.
std::string cell(double value, int decimals);

/// Three lines: the program, the machine, its ceilings.
std::string heading(const Context& context);
Json ceilings_json(const Context& context);

/// Names are in columns as wide as the widest of them.
struct NameWidths {
  std::size_t name = 9, sizes = 5;
};
std::string sizes_text(const OpCase& operation, const Sizes& sizes);  ///< "B=64 T=64 V=512 D=64"
std::string operation_columns(const NameWidths& widths);
std::string operation_row(const Context& context, const NameWidths& widths, const OpCase& operation,
                          const Sizes& sizes, const OperationTimes& times);
Json operation_json(const Context& context, const OpCase& operation, const Sizes& sizes,
                    const OperationTimes& times);

std::string training_columns(std::size_t name_width);
std::string training_row(const Context& context, std::size_t name_width, const std::string& name,
                         const TrainingTimes& times);
Json training_json(const Context& context, const std::string& name, const TrainingTimes& times);

std::string generation_columns(std::size_t name_width);
std::string generation_row(std::size_t name_width, const std::string& name,
                           const GenerationTimes& times);
Json generation_json(const Context& context, const std::string& name, const GenerationTimes& times);

std::string tokenization_columns(std::size_t name_width);
std::string tokenization_row(std::size_t name_width, const std::string& name,
                             const TokenizationTimes& times);
Json tokenization_json(const Context& context, const std::string& name,
                       const TokenizationTimes& times);

}  // namespace farsight::bench
