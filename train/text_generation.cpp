#include "train/text_generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/clock.h"
#include "data/text/tokenizer.h"
#include "train/continuation.h"
#include "train/corpora.h"
#include "train/quantities.h"
#include "train/tokenizer_choice.h"

namespace farsight {
namespace {

constexpr std::string_view kEndOfText = "<|endoftext|>";

std::vector<std::int32_t> prompt_ids(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<std::int32_t> ids = tokenizer.encode(text);
  if (!ids.empty()) return ids;
  const std::optional<std::int32_t> end = tokenizer.id_of(kEndOfText);
  require(end.has_value(), ExitCode::data,
          "the prompt has no text, and the tokenizer has no {} to begin behind", kEndOfText);
  return {*end};
}

/// A row of the batch: the text that its tokens make.
struct Row {
  TokenStream stream;
  std::string text{};  ///< not yet written
  std::int64_t tokens = 0;
  bool ended = false;
};

}  // namespace

void generate_text_from(const Model& model, const Settings& settings,
                        const GenerateOptions& options,
                        const std::function<void(std::string_view)>& write,
                        const std::function<void(std::string_view)>& note) {
  const std::filesystem::path& weights =
      options.weights.run.empty() ? options.weights.checkpoint : options.weights.run;
  const std::filesystem::path file = tokenizer_path(with_tokenizer_of_run(settings, weights));
  const Tokenizer tokenizer = Tokenizer::load(file);
  require_tokenizer_fits(tokenizer, file, model.vocab_size, weights);
  const std::string& prompt = *options.text;
  const std::vector<std::int32_t> ids = prompt_ids(tokenizer, prompt);
  const auto length = static_cast<std::int64_t>(ids.size());
  require(
      model.max_length == 0 || length + options.tokens <= model.max_length, ExitCode::data,
      "the prompt has {} tokens, and with --tokens {} the text would be longer than the {} that "
      "this {} model reads",
      length, options.tokens, model.max_length, model.family);
  const std::optional<std::int32_t> end =
      options.past_end ? std::nullopt : tokenizer.id_of(kEndOfText);
  std::vector<Row> rows(static_cast<std::size_t>(options.samples), Row{TokenStream(tokenizer)});
  const bool streams = rows.size() == 1;
  if (streams) write(prompt);
  std::int64_t made = 0;
  const double seconds =
      continue_prompts(model, {ids}, options, [&](std::span<const std::int32_t> newest) {
        for (std::size_t i = 0; i < rows.size(); i++) {
          Row& row = rows[i];
          if (row.ended) continue;
          row.ended = end && newest[i] == *end;
          if (row.ended) continue;
          row.tokens++;
          made++;
          row.text += newest[i] < tokenizer.size() ? row.stream.push(newest[i]) : "";
          if (!streams) continue;
          write(row.text);
          row.text.clear();
        }
        return !std::ranges::all_of(rows, &Row::ended);
      });
  for (std::size_t i = 0; i < rows.size(); i++) {
    if (!streams) write(fmt::format("--- sample {}\n{}", i + 1, prompt));
    write(rows[i].text + rows[i].stream.finish() + "\n");
  }
  note(fmt::format("{} tokens behind {} of prompt, {} tokens/s{}", grouped(made), grouped(length),
                   human_count(static_cast<double>(made) / seconds),
                   std::ranges::any_of(rows, &Row::ended) ? "; ended by <|endoftext|>" : ""));
}

}  // namespace farsight
