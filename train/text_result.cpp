#include "train/text_result.h"

#include <fmt/format.h>

#include "eval/text_loss.h"
#include "train/quantities.h"
#include "train/run_folder.h"

namespace farsight {

TextResult tested_on_text(const Model& model, const Settings& settings, const Corpora& corpora) {
  const TextLoss loss = evaluate_text(model, corpora.valid, settings.train.micro_tokens);
  return {.loss = loss.loss,
          .perplexity = loss.perplexity(),
          .labels = loss.labels,
          .blocks = corpora.valid.count,
          .block_tokens = corpora.valid.length,
          .source = corpora.validation,
          .held_out = corpora.held_out,
          .corpus = corpora.identity};
}

Json text_json(const TextResult& result) {
  return Json::object({{"loss", result.loss},
                       {"perplexity", result.perplexity},
                       {"labels", result.labels},
                       {"blocks", result.blocks},
                       {"block_tokens", result.block_tokens},
                       {"held_out", result.held_out},
                       {"tokenizer", result.corpus.tokenizer},
                       {"corpus", result.corpus.corpus},
                       {"validation", result.corpus.validation}});
}

std::string text_summary(const TextResult& result) {
  return fmt::format(
      "validation perplexity {:.2f} (loss {:.4f} nats a token)\n"
      "on {} labels: {} blocks of {} tokens of {}{}, every token but a block's first\n",
      result.perplexity, result.loss, grouped(result.labels), grouped(result.blocks),
      grouped(result.block_tokens), result.source,
      result.held_out ? " that are held out of training" : "");
}

ReportSection text_section(const RunFiles& run) {
  ReportSection section{"Perplexity"};
  const Json* text = run.result ? run.result->find("text") : nullptr;
  if (text == nullptr || !text->is_object()) {
    section.blocks.push_back(
        Paragraph{"Not tested yet: the perplexity of the best checkpoint is measured when training "
                  "is done.",
                  Verdict::missing});
    return section;
  }
  const auto number = [&](std::string_view key, int digits) {
    const std::optional<double> value = number_in(*text, key);
    return value ? fmt::format("{:.{}f}", *value, digits) : "–";
  };
  const auto whole = [&](std::string_view key) {
    return grouped(static_cast<std::int64_t>(number_in(*text, key).value_or(0)));
  };
  section.blocks.push_back(
      Table{.caption =
                "The validation text, a token after another within blocks; nats a token, and their "
                "exponential.",
            .columns = {{"loss", Align::number},
                        {"perplexity", Align::number},
                        {"labels", Align::number},
                        {"blocks", Align::number},
                        {"tokens a block", Align::number}},
            .rows = {{{number("loss", 4)},
                      {number("perplexity", 2)},
                      {whole("labels")},
                      {whole("blocks")},
                      {whole("block_tokens")}}}});
  section.blocks.push_back(Paragraph{
      "A perplexity a token belongs to its tokenizer and its text: compare it with runs that have "
      "both in common. The word perplexity of WikiText, which papers print, is another measure: "
      "`make eval RUN=... TASKS=wikitext`."});
  return section;
}

}  // namespace farsight
