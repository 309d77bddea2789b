#include "data/frozen_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "core/atomic_folder.h"
#include "core/check.h"
#include "core/safetensors.h"
#include "core/version.h"
#include "data/task_grid.h"
#include "data/task_json.h"

namespace farsight {
namespace {

constexpr std::string_view kFormat = "farsight recall set";
constexpr std::array<std::string_view, 3> kSplits = {"train", "valid", "test"};
constexpr std::size_t kMostCells = 4096;
constexpr std::size_t kMostExamples = std::size_t{1} << 24;  // of a cell

std::string file_name(const Cell& cell) {
  return fmt::format("cell-{}.safetensors", cell_name(cell));
}

using Ids = std::vector<std::int32_t>;

Tensor matrix(const Ids& values, std::int64_t rows, std::int64_t columns) {
  return Tensor::from(std::span<const std::int32_t>(values), {rows, columns});
}

void write_cell(OutputFile& file, const Cell& cell, std::span<const Example> examples) {
  Ids tokens, positions, targets, pairs;
  const std::size_t labels = examples.front().labels.size();
  for (const Example& example : examples) {
    check(example.tokens.size() == static_cast<std::size_t>(cell.length) &&
              example.labels.size() == labels,
          "write_frozen_set: examples of a cell have {} tokens and {} labels, got {} and {}",
          cell.length, labels, example.tokens.size(), example.labels.size());
    tokens.insert(tokens.end(), example.tokens.begin(), example.tokens.end());
    for (const Label& label : example.labels) {
      positions.push_back(label.position);
      targets.push_back(label.target);
      pairs.push_back(label.pair);
    }
  }
  const auto N = static_cast<std::int64_t>(examples.size());
  const auto M = static_cast<std::int64_t>(labels);
  const std::vector<NamedTensor> tensors = {{"tokens", matrix(tokens, N, cell.length)},
                                            {"label_positions", matrix(positions, N, M)},
                                            {"label_targets", matrix(targets, N, M)},
                                            {"label_pairs", matrix(pairs, N, M)}};
  write_safetensors(file, tensors);
}

}  // namespace

std::string_view split_name(Split split) {
  return kSplits[static_cast<std::size_t>(split)];
}

Split split_named(std::string_view name) {
  const auto at = std::find(kSplits.begin(), kSplits.end(), name);
  require(at != kSplits.end(), ExitCode::usage, "a split is one of {}, got '{}'",
          fmt::join(kSplits, ", "), name.substr(0, 40));
  return static_cast<Split>(at - kSplits.begin());
}

std::string unstorable(const MqarTask& task, const Example& example) {
  const int vocabulary = task.model_vocabulary();
  const auto id = [&](std::int32_t value) { return value >= 0 && value < vocabulary; };
  for (const std::int32_t token : example.tokens) {
    if (!id(token))
      return fmt::format("tokens are ids from 0 to {}, got {}", vocabulary - 1, token);
  }
  if (example.labels.empty()) return "there must be a label";
  int before = 0;
  for (const Label& label : example.labels) {
    if (label.position <= before ||
        static_cast<std::size_t>(label.position) >= example.tokens.size()) {
      return fmt::format("positions of labels ascend within the example, from 1 on, got {}",
                         label.position);
    }
    if (!id(label.target)) {
      return fmt::format("targets of labels are ids from 0 to {}, got {}", vocabulary - 1,
                         label.target);
    }
    if (label.pair < kNoPair) {
      return fmt::format("a label's pair is -1 or the number of a pair, got {}", label.pair);
    }
    before = label.position;
  }
  return "";
}

void write_frozen_set(const std::filesystem::path& folder, const FrozenHeader& header,
                      const std::function<std::vector<Example>(std::size_t index)>& examples_of) {
  require(!std::filesystem::exists(folder), ExitCode::usage,
          "'{}' is there already: a set is never overwritten; choose another folder or remove it",
          folder.string());
  require(header.task.cells.size() <= kMostCells, ExitCode::data,
          "a set has at most {} cells, got {}", kMostCells, header.task.cells.size());
  if (!folder.parent_path().empty()) make_output_folder(folder.parent_path());
  AtomicFolder output(folder);
  Json cells = Json::array();
  for (std::size_t i = 0; i < header.task.cells.size(); i++) {
    const Cell& cell = header.task.cells[i];
    const std::vector<Example> examples = examples_of(i);
    check(!examples.empty(), "write_frozen_set: cell {} has no examples", i);
    require(examples.size() <= kMostExamples, ExitCode::data,
            "a cell of a set has at most {} examples, {} has {}", kMostExamples, cell_name(cell),
            examples.size());
    for (std::size_t j = 0; j < examples.size(); j++) {
      const std::string problem = unstorable(header.task, examples[j]);
      require(problem.empty(), ExitCode::data, "example {} of cell {}: {}", j, cell_name(cell),
              problem);
    }
    output.write(file_name(cell), [&](OutputFile& file) { write_cell(file, cell, examples); });
    const AtomicFolder::Entry& entry = output.entries().back();
    cells.push_back(Json::object({{"length", cell.length},
                                  {"pairs", cell.pairs},
                                  {"place", header.task.places[i]},
                                  {"examples", examples.size()},
                                  {"file", entry.name},
                                  {"bytes", entry.bytes},
                                  {"xxh3", hex(entry.xxh3)}}));
  }
  Json manifest = Json::object({{"format", kFormat},
                                {"format_version", kFrozenFormatVersion},
                                {"made_by", version_line()},
                                {"origin", header.origin},
                                {"split", split_name(header.split)},
                                {"seed", header.seed},
                                {"task", task_json(header.task)}});
  manifest["cells"] = std::move(cells);
  output.write("manifest.json", manifest.dump(2) + "\n");
  output.commit();
}

FrozenSet::FrozenSet(const std::filesystem::path& folder)
    : folder_(folder), header_{.task = paper_position_task(Placement::standard), .origin = {}} {
  const std::filesystem::path path = folder / "manifest.json";
  require(std::filesystem::exists(path), ExitCode::storage,
          "'{}' is no set of examples: it has no manifest.json", folder.string());
  const Json manifest = read_json(path);
  const Json& format = manifest.at("format");
  if (format.as_string() != kFormat) format.refuse(fmt::format("expected \"{}\"", kFormat));
  const Json& version = manifest.at("format_version");
  if (version.as_int() != kFrozenFormatVersion) {
    version.refuse(fmt::format("this version of farsight reads format_version {}, the set has {}",
                               kFrozenFormatVersion, version.as_int()));
  }
  manifest.allow_only(
      {"format", "format_version", "made_by", "origin", "split", "seed", "task", "cells"});
  const Json& split = manifest.at("split");
  const auto at = std::find(kSplits.begin(), kSplits.end(), split.as_string());
  if (at == kSplits.end()) split.refuse("expected train, valid or test");
  header_.split = static_cast<Split>(at - kSplits.begin());
  header_.seed = manifest.at("seed").as_unsigned();
  header_.origin = manifest.at("origin").as_string();
  const Json& cells = manifest.at("cells");
  if (cells.size() < 1 || cells.size() > kMostCells) {
    cells.refuse(fmt::format("expected 1 to {} cells", kMostCells));
  }
  std::vector<Cell> sizes;
  std::vector<std::size_t> places;
  for (const Json& cell : cells.elements()) {
    cell.allow_only({"length", "pairs", "place", "examples", "file", "bytes", "xxh3"});
    sizes.push_back({static_cast<int>(cell.at("length").as_int(1, kMostExampleTokens)),
                     static_cast<int>(cell.at("pairs").as_int(1, kMostExampleTokens))});
    places.push_back(static_cast<std::size_t>(cell.at("place").as_int(0, 1 << 16)));
    const Json& file = cell.at("file");
    if (file.as_string() != file_name(sizes.back())) {
      file.refuse(fmt::format("expected {}", file_name(sizes.back())));
    }
    cells_.push_back(
        {.examples = cell.at("examples").as_int(1, static_cast<std::int64_t>(kMostExamples)),
         .bytes = cell.at("bytes").as_unsigned(),
         .xxh3 = cell.at("xxh3").as_string()});
  }
  header_.task = task_from_json(manifest.at("task"), sizes, places);
}

std::vector<Example> FrozenSet::read(std::size_t cell) const {
  check(cell < cells_.size(), "FrozenSet: cell must be below {}, got {}", cells_.size(), cell);
  const StoredCell& stored = cells_[cell];
  const int length = task().cells[cell].length;
  const std::filesystem::path path = folder_ / file_name(task().cells[cell]);
  const std::string name = path.string();
  require(std::filesystem::is_regular_file(path), ExitCode::corrupt,
          "{}: the manifest names this file, and it is not there", name);
  const std::uint64_t bytes = InputFile(path).bytes();
  require(bytes == stored.bytes, ExitCode::corrupt, "{}: the manifest says {} bytes, it has {}",
          name, stored.bytes, bytes);
  require(hex(xxh3_of_file(path)) == stored.xxh3, ExitCode::corrupt,
          "{}: its contents are not those that the manifest was written for (XXH3)", name);
  const SafetensorsFile file(path);
  std::int64_t columns = length;
  const auto load = [&](std::string_view tensor_name) {
    const StoredTensor* tensor = file.find(tensor_name);
    require(tensor != nullptr && tensor->dtype == "I32" && tensor->shape.size() == 2 &&
                tensor->shape[0] == stored.examples && tensor->shape[1] == columns,
            ExitCode::corrupt, "{}: '{}' must be an I32 tensor of [{}, {}]", name, tensor_name,
            stored.examples, columns);
    return file.load(tensor_name);
  };
  const Tensor tokens = load("tokens");
  const StoredTensor* labels = file.find("label_positions");
  require(labels != nullptr && labels->shape.size() == 2 && labels->shape[1] >= 1,
          ExitCode::corrupt, "{}: '{}' must be an I32 tensor of [{}, labels]", name,
          "label_positions", stored.examples);
  columns = labels->shape[1];
  const Tensor positions = load("label_positions"), targets = load("label_targets"),
               pairs = load("label_pairs");
  std::vector<Example> examples(static_cast<std::size_t>(stored.examples));
  for (std::int64_t i = 0; i < stored.examples; i++) {
    Example& example = examples[static_cast<std::size_t>(i)];
    const std::int32_t* first = tokens.data<std::int32_t>() + i * length;
    example.tokens.assign(first, first + length);
    for (std::int64_t j = i * columns; j < (i + 1) * columns; j++) {
      example.labels.push_back({positions.data<std::int32_t>()[j], targets.data<std::int32_t>()[j],
                                pairs.data<std::int32_t>()[j]});
    }
    const std::string problem = unstorable(task(), example);
    require(problem.empty(), ExitCode::corrupt, "{}: example {}: {}", name, i, problem);
  }
  return examples;
}

std::vector<Batch> batches_of(std::size_t cell, std::span<const Example> examples,
                              std::int64_t max_tokens) {
  std::vector<Batch> batches;
  if (examples.empty()) return batches;
  const auto length = static_cast<std::int64_t>(examples.front().tokens.size());
  const auto most = static_cast<std::size_t>(std::max<std::int64_t>(1, max_tokens / length));
  for (std::size_t i = 0; i < examples.size(); i++) {
    if (i % most == 0) batches.emplace_back();
    Batch& batch = batches.back();
    batch.length = static_cast<int>(length);
    const std::int32_t begin = batch.rows++ * batch.length;
    const Example& example = examples[i];
    batch.tokens.insert(batch.tokens.end(), example.tokens.begin(), example.tokens.end());
    batch.examples.push_back({cell, i});
    for (const Label& label : example.labels) {
      batch.label_rows.push_back(begin + label.position - 1);
      batch.targets.push_back(label.target);
      batch.pairs.push_back(label.pair);
    }
  }
  return batches;
}

}  // namespace farsight
