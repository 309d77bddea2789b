#include "data/released_jsonl.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "data/task_grid.h"

namespace farsight {
namespace {

constexpr std::size_t kMostLineBytes = std::size_t{1} << 26;
constexpr std::size_t kReadBytes = std::size_t{1} << 20;
constexpr std::int64_t kMostId = 1 << 30;

/// The lines of a file of any size, one at a time.
class Lines {
 public:
  explicit Lines(const std::filesystem::path& path) : file_(path) {}

  const std::string& path() const { return file_.path(); }
  std::int64_t number() const { return number_; }

  bool next(std::string& line) {
    while (true) {
      const std::size_t end = buffer_.find('\n', searched_);
      if (end != std::string::npos) {
        line.assign(buffer_, begin_, end - begin_);
        begin_ = searched_ = end + 1;
        number_++;
        return true;
      }
      if (at_ == file_.bytes()) {
        if (begin_ == buffer_.size()) return false;
        line.assign(buffer_, begin_, std::string::npos);
        begin_ = searched_ = buffer_.size();
        number_++;
        return true;
      }
      require(buffer_.size() - begin_ < kMostLineBytes, ExitCode::corrupt,
              "{}, line {}: longer than {} MiB", path(), number_ + 1, kMostLineBytes >> 20);
      read_more();
    }
  }

 private:
  void read_more() {
    buffer_.erase(0, begin_);
    begin_ = 0;
    const std::size_t had = buffer_.size();
    searched_ = had;
    const std::uint64_t count = std::min<std::uint64_t>(kReadBytes, file_.bytes() - at_);
    buffer_.resize(had + static_cast<std::size_t>(count));
    file_.read_at(at_, std::as_writable_bytes(std::span(buffer_)).subspan(had));
    at_ += count;
  }

  InputFile file_;
  std::string buffer_;
  std::size_t begin_ = 0, searched_ = 0;  // in the buffer
  std::uint64_t at_ = 0;                  // in the file
  std::int64_t number_ = 0;
};

/// One line, with its place in messages.
class Record {
 public:
  Record(std::string_view text, std::string place)
      : place_(std::move(place)), json_(Json::parse(text, place_)) {
    json_.allow_only({"ctx_length", "num_kv_pair", "key_len", "value_len", "V_id", "input_ids"});
  }

  template <class... Args>
  void require_that(bool ok, fmt::format_string<Args...> text, const Args&... args) const {
    if (ok) return;
    fail(ExitCode::corrupt, "{}: {}", place_, fmt::vformat(text, fmt::make_format_args(args...)));
  }

  const Json& field(std::string_view name) const {
    const Json* found = json_.find(name);
    require_that(found != nullptr, "the field {} is missing", name);
    return *found;
  }

  std::int64_t integer(const Json& json, std::string_view field, std::int64_t least,
                       std::int64_t most) const {
    require_that(json.is_integer() && json.as_double() >= static_cast<double>(least) &&
                     json.as_double() <= static_cast<double>(most),
                 "{} must be a whole number from {} to {}", field, least, most);
    return json.as_int();
  }
  std::int64_t integer(std::string_view name, std::int64_t least, std::int64_t most) const {
    return integer(field(name), name, least, most);
  }

 private:
  std::string place_;
  Json json_;
};

std::optional<int> position_from(std::string_view text) {
  int value = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

std::vector<Label> labels_of(const Record& record, const Cell& cell, const TaskDescription& task,
                             Split split) {
  const Json& stored = record.field("V_id");
  record.require_that(stored.is_object(), "V_id must be an object of positions and tokens");
  std::vector<Label> labels;
  for (const Json::Member& member : stored.members()) {
    const std::optional<int> position = position_from(member.key);
    record.require_that(position && *position >= 1 && *position < cell.length,
                        "V_id: positions are whole numbers from 1 to {}, got \"{}\"",
                        cell.length - 1, member.key.substr(0, 40));
    const std::int64_t id = record.integer(member.value, "V_id", 0, kMostId);
    labels.push_back({*position, static_cast<std::int32_t>(id), 0});
  }
  std::sort(labels.begin(), labels.end(),
            [](const Label& a, const Label& b) { return a.position < b.position; });
  const auto pairs = static_cast<std::size_t>(cell.pairs);
  const auto v = static_cast<std::size_t>(
      task.kind == TaskKind::recall || task.kind == TaskKind::key_retrieval ? task.value_length
                                                                            : 1);
  const bool closing = split == Split::train && labels.size() == pairs * (v + 1);
  record.require_that(labels.size() == pairs * v || closing,
                      "V_id has {} labels, and {} pairs of {} value tokens have {}", labels.size(),
                      pairs, v, pairs * v);
  const std::size_t each = closing ? v + 1 : v;
  for (std::size_t i = 0; i < labels.size(); i++) {
    labels[i].pair = i % each < v ? static_cast<int>(i / each) : kNoPair;
  }
  return labels;
}

ReleasedExample example_from(const Record& record, const TaskDescription& task, Split split,
                             std::int64_t line) {
  ReleasedExample result;
  result.line = line;
  result.cell.length = static_cast<int>(record.integer("ctx_length", 2, kMostExampleTokens));
  result.cell.pairs = static_cast<int>(record.integer("num_kv_pair", 1, kMostExampleTokens));
  const std::int64_t k = record.integer("key_len", 1, kMostExampleTokens);
  const std::int64_t v = record.integer("value_len", 1, kMostExampleTokens);
  record.require_that(k == task.key_length && v == task.value_length,
                      "key_len and value_len are {} and {}, and the task has {} and {}", k, v,
                      task.key_length, task.value_length);
  const Json& ids = record.field("input_ids");
  record.require_that(ids.is_array(), "input_ids must be an array of token ids");
  record.require_that(ids.size() == static_cast<std::size_t>(result.cell.length),
                      "input_ids has {} tokens, ctx_length says {}", ids.size(),
                      result.cell.length);
  for (const Json& id : ids.elements()) {
    result.example.tokens.push_back(
        static_cast<std::int32_t>(record.integer(id, "input_ids", 0, kMostId)));
  }
  result.example.labels = labels_of(record, result.cell, task, split);
  return result;
}

std::string line_of(const MqarTask& task, const Cell& cell, const Example& example) {
  Json labels = Json::object();
  for (const Label& label : example.labels) {
    labels[fmt::format("{}", label.position)] = label.target;
  }
  Json line = Json::object({{"ctx_length", cell.length},
                            {"num_kv_pair", cell.pairs},
                            {"key_len", task.description.key_length},
                            {"value_len", task.description.value_length}});
  line["V_id"] = std::move(labels);
  line["input_ids"] = Json::array_of(example.tokens);
  return line.dump() + "\n";
}

}  // namespace

void write_released_jsonl(
    const std::filesystem::path& path, const MqarTask& task,
    const std::function<std::vector<Example>(std::size_t cell)>& examples_of) {
  write_file_atomically(path, [&](OutputFile& file) {
    for (std::size_t cell = 0; cell < task.cells.size(); cell++) {
      for (const Example& example : examples_of(cell)) {
        file.write(line_of(task, task.cells[cell], example));
      }
    }
  });
}

std::vector<ReleasedExample> read_released_jsonl(const std::filesystem::path& path,
                                                 const TaskDescription& task, Split split) {
  Lines lines(path);
  std::vector<ReleasedExample> examples;
  std::string line;
  while (lines.next(line)) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const Record record(line, fmt::format("{}, line {}", lines.path(), lines.number()));
    examples.push_back(example_from(record, task, split, lines.number()));
  }
  require(!examples.empty(), ExitCode::corrupt, "{}: there is no example in it", lines.path());
  return examples;
}

}  // namespace farsight
