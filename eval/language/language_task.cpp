#include "eval/language/language_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/check.h"
#include "data/known_files.h"
#include "eval/language/hellaswag_text.h"
#include "eval/language/python_text.h"
#include "eval/language/task_files.h"
#include "eval/language/wikitext.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

/// What the harness puts between a context and a continuation.
constexpr std::string_view kDelimiter = " ";

/// Of a file's first items, and how many it has.
struct Items {
  std::vector<Json> some;
  std::int64_t all = 0;
};

Items items_of(const fs::path& path, std::int64_t limit) {
  Items items{read_json_lines(path, 0)};
  items.all = static_cast<std::int64_t>(items.some.size());
  if (limit > 0 && limit < items.all) items.some.resize(static_cast<std::size_t>(limit));
  return items;
}

/// A document of several choices after one context.
LanguageDoc choices_doc(const Json& doc, const std::string& context,
                        const std::vector<std::string>& choices, std::int64_t gold) {
  LanguageDoc made{.doc = doc, .gold = gold, .target = std::to_string(gold)};
  for (const std::string& choice : choices) {
    made.pairs.push_back({context, std::string(kDelimiter) + choice});
    made.lengths.push_back(characters(choice));
  }
  return made;
}

void load_piqa(const fs::path& data_dir, std::int64_t limit, LanguageTask& task) {
  constexpr std::string_view kItems[] = {"piqa/valid.jsonl"};
  constexpr std::string_view kLabels[] = {"piqa/valid-labels.lst"};
  task.files = {require_known(task.name, kItems, data_dir),
                require_known(task.name, kLabels, data_dir)};
  const Items items = items_of(task.files[0], limit);
  const std::vector<std::int64_t> labels = read_label_lines(task.files[1], 1);
  require(static_cast<std::int64_t>(labels.size()) == items.all, ExitCode::corrupt,
          "piqa: {} has {} items, and {} has {} labels", task.files[0].string(), items.all,
          task.files[1].string(), labels.size());
  task.original = items.all;
  for (std::size_t i = 0; i < items.some.size(); i++) {
    const Json& item = items.some[i];
    Json doc = item;
    doc["label"] = labels[i];
    task.docs.push_back(
        choices_doc(doc, fmt::format("Question: {}\nAnswer:", item.at("goal").as_string()),
                    {item.at("sol1").as_string(), item.at("sol2").as_string()}, labels[i]));
  }
}

/// The original, with activity_label, ctx_a, ctx_b, endings and label; or what was made of it, with
/// query, choices and gold.
LanguageDoc hellaswag_doc(const Json& item) {
  const bool derived = item.contains("query");
  const Json& listed = derived ? item.at("choices") : item.at("endings");
  std::vector<std::string> choices;
  for (const Json& choice : listed.elements()) {
    choices.push_back(derived ? choice.as_string() : hellaswag_preprocessed(choice.as_string()));
  }
  if (choices.empty()) listed.refuse("expected endings");
  const auto most = static_cast<std::int64_t>(choices.size()) - 1;
  const Json& label = derived ? item.at("gold") : item.at("label");
  std::int64_t gold = 0;
  if (label.is_string()) {
    const std::string& text = label.as_string();
    if (text.size() != 1 || text[0] < '0' || text[0] - '0' > most) {
      label.refuse(fmt::format("expected a label from 0 to {}", most));
    }
    gold = text[0] - '0';
  } else {
    gold = label.as_int(0, most);
  }
  return choices_doc(
      item,
      derived ? item.at("query").as_string()
              : hellaswag_query(item.at("activity_label").as_string(), item.at("ctx_a").as_string(),
                                item.at("ctx_b").as_string()),
      choices, gold);
}

void load_hellaswag(const fs::path& data_dir, std::int64_t limit, LanguageTask& task) {
  constexpr std::string_view kItems[] = {"hellaswag/hellaswag_val.jsonl",
                                         "hellaswag/hellaswag_val_lmeval.jsonl.zst"};
  task.files = {require_known(task.name, kItems, data_dir)};
  const Items items = items_of(task.files[0], limit);
  task.original = items.all;
  bool derived = false;
  for (const Json& item : items.some) {
    derived = derived || item.contains("query");
    task.docs.push_back(hellaswag_doc(item));
  }
  if (!derived) return;
  task.note =
      "hellaswag: read from a derived text form, in which endings that began with a marker "
      "(\"[substeps] Foo\") have lost the space that lm-evaluation-harness leaves before them (483 "
      "of "
      "1,000 items have such an ending); expect small differences to scores of the original "
      "hellaswag_val.jsonl";
}

void load_winogrande(const fs::path& data_dir, std::int64_t limit, LanguageTask& task) {
  constexpr std::string_view kItems[] = {"winogrande/winogrande_xl_dev.jsonl"};
  task.files = {require_known(task.name, kItems, data_dir)};
  const Items items = items_of(task.files[0], limit);
  task.original = items.all;
  for (const Json& item : items.some) {
    const Json& sentence = item.at("sentence");
    const std::string_view text = sentence.as_string();
    const std::size_t blank = text.find('_');
    if (blank == std::string_view::npos) sentence.refuse("expected a sentence with a '_'");
    const Json& answer = item.at("answer");
    if (answer.as_string() != "1" && answer.as_string() != "2") {
      answer.refuse("expected the answer \"1\" or \"2\"");
    }
    const std::string_view rest = stripped(text.substr(blank + 1));
    LanguageDoc doc{
        .doc = item, .gold = answer.as_string() == "1" ? 0 : 1, .target = std::string(rest)};
    for (const char* const option : {"option1", "option2"}) {
      doc.pairs.push_back({std::string(text.substr(0, blank)) + item.at(option).as_string(),
                           std::string(kDelimiter) + doc.target});
    }
    task.docs.push_back(std::move(doc));
  }
}

void load_lambada(const fs::path& data_dir, std::int64_t limit, LanguageTask& task) {
  constexpr std::string_view kItems[] = {"lambada/lambada_test.jsonl"};
  task.files = {require_known(task.name, kItems, data_dir)};
  const Items items = items_of(task.files[0], limit);
  task.original = items.all;
  for (const Json& item : items.some) {
    const std::string& text = item.at("text").as_string();
    const std::size_t space = text.rfind(' ');
    const bool some = space != std::string::npos;
    const std::string last = " " + (some ? text.substr(space + 1) : text);
    task.docs.push_back(
        {.doc = item, .pairs = {{some ? text.substr(0, space) : "", last}}, .target = last});
  }
}

void load_arc(const fs::path& data_dir, std::int64_t limit, LanguageTask& task) {
  const bool easy = task.name == "arc_easy";
  const std::string_view items_file[] = {easy ? "arc/ARC-Easy-Test.jsonl"
                                              : "arc/ARC-Challenge-Test.jsonl"};
  task.files = {require_known(task.name, items_file, data_dir)};
  const Items items = items_of(task.files[0], limit);
  task.original = items.all;
  for (const Json& item : items.some) {
    const Json& question = item.at("question");
    const std::string& key = item.at("answerKey").as_string();
    std::vector<std::string> choices;
    std::int64_t gold = -1;
    for (const Json& choice : question.at("choices").elements()) {
      if (choice.at("label").as_string() == key) gold = static_cast<std::int64_t>(choices.size());
      choices.push_back(choice.at("text").as_string());
    }
    if (gold < 0) item.at("answerKey").refuse("expected the label of one of the choices");
    task.docs.push_back(
        choices_doc(item, fmt::format("Question: {}\nAnswer:", question.at("stem").as_string()),
                    choices, gold));
  }
}

void load_wikitext(const fs::path& data_dir, std::int64_t limit, LanguageTask& task) {
  constexpr std::string_view kText[] = {"wikitext2/wiki.test.raw"};
  task.files = {require_known(task.name, kText, data_dir)};
  std::vector<std::string> pages = wikitext_pages(read_text_file(task.files[0]));
  task.original = static_cast<std::int64_t>(pages.size());
  if (limit > 0 && limit < task.original) pages.resize(static_cast<std::size_t>(limit));
  for (const std::string& page : pages) {
    const std::string text = wikitext_detokenized(page);
    task.docs.push_back({.doc = Json::object({{"page", page}}),
                         .pairs = {{"", text}},
                         .target = text,
                         .words = words(page),
                         .bytes = static_cast<std::int64_t>(page.size())});
  }
}

struct Known {
  std::string_view name;
  double version;
  OutputType output;
  bool normalised;
  std::string_view dataset, split;
  void (*load)(const fs::path& data_dir, std::int64_t limit, LanguageTask& task);
};

using enum OutputType;
constexpr auto kTasks = std::to_array<Known>({
    {"wikitext", 2, loglikelihood_rolling, false, "EleutherAI/wikitext_document_level", "test",
     load_wikitext},
    {"piqa", 1, multiple_choice, true, "baber/piqa", "validation", load_piqa},
    {"hellaswag", 1, multiple_choice, true, "Rowan/hellaswag", "validation", load_hellaswag},
    {"winogrande", 1, multiple_choice, false, "winogrande", "validation", load_winogrande},
    {"lambada_openai", 1, loglikelihood, false, "EleutherAI/lambada_openai", "test", load_lambada},
    {"arc_easy", 1, multiple_choice, true, "allenai/ai2_arc", "test", load_arc},
    {"arc_challenge", 1, multiple_choice, true, "allenai/ai2_arc", "test", load_arc},
});

const Known* find_task(std::string_view name) {
  if (name == "lambada") name = "lambada_openai";
  const auto at = std::ranges::find(kTasks, name, &Known::name);
  return at == kTasks.end() ? nullptr : &*at;
}

}  // namespace

std::string_view name_of(OutputType type) {
  constexpr std::string_view kNames[] = {"multiple_choice", "loglikelihood",
                                         "loglikelihood_rolling"};
  return kNames[static_cast<std::size_t>(type)];
}

bool is_language_task(std::string_view name) {
  return find_task(name) != nullptr;
}

std::span<const std::string_view> language_task_names() {
  static constexpr auto kNames = [] {
    std::array<std::string_view, kTasks.size()> names;
    for (std::size_t i = 0; i < names.size(); i++) {
      names[i] = kTasks[i].name;
    }
    return names;
  }();
  return kNames;
}

LanguageTask load_language_task(std::string_view name, const fs::path& data_dir,
                                std::int64_t limit) {
  const Known* known = find_task(name);
  check(known != nullptr, "load_language_task: no task is called '{}'", name);
  LanguageTask task{.name = std::string(known->name),
                    .version = known->version,
                    .output = known->output,
                    .normalised = known->normalised,
                    .dataset = std::string(known->dataset),
                    .split = std::string(known->split)};
  known->load(data_dir, limit, task);
  require(!task.docs.empty(), ExitCode::corrupt, "{}: {} has no items", task.name,
          task.files.front().string());
  return task;
}

}  // namespace farsight
