// Language tasks from files: what they ask of a model, what they refuse, what their scores mean.
#include "eval/language/language_task.h"

#include <doctest/doctest.h>

#include <cmath>

#include "eval/language/language_evaluation.h"
#include "eval/language/task_files.h"
#include "tests/language_fixtures.h"
#include "tests/skip.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

TEST_CASE("language: tasks ask what the harness asks") {
  const LanguageFixtures data;
  const auto doc = [&](const char* name, std::size_t item = 0) {
    return load_language_task(name, data.path(), 0).docs.at(item);
  };
  const LanguageDoc piqa = doc("piqa", 1);
  REQUIRE(piqa.pairs.size() == 2);
  CHECK(piqa.pairs[0].context == "Question: dresser\nAnswer:");
  CHECK(piqa.pairs[0].continuation == " replace drawer with bobby pin ");
  CHECK(piqa.lengths == std::vector<std::int64_t>{30, 12});
  CHECK(piqa.gold == 1);
  CHECK(piqa.target == "1");

  const LanguageDoc winogrande = doc("winogrande");
  REQUIRE(winogrande.pairs.size() == 2);
  CHECK(winogrande.pairs[0].context == "Sarah was better than Maria so Sarah");
  CHECK(winogrande.pairs[1].context == "Sarah was better than Maria so Maria");
  CHECK(winogrande.pairs[1].continuation == " got the easier cases.");
  CHECK(winogrande.gold == 1);

  const LanguageDoc hellaswag = doc("hellaswag");
  REQUIRE(hellaswag.pairs.size() == 4);
  CHECK(hellaswag.pairs[3].context == "Roof: A man is sitting. He is");
  CHECK(hellaswag.pairs[0].continuation == " slides down.");
  CHECK(hellaswag.pairs[1].continuation == "  Foo");  // the marker's space stays
  CHECK(hellaswag.lengths[1] == 4);
  CHECK(hellaswag.gold == 3);

  const LanguageDoc lambada = doc("lambada");
  CHECK(lambada.pairs[0].context == "he said \u201cgood");
  CHECK(lambada.pairs[0].continuation == " morning");
  CHECK(lambada.target == " morning");

  const LanguageDoc arc = doc("arc_easy");
  CHECK(arc.pairs.size() == 3);
  CHECK(arc.pairs[2].context == "Question: Which is hot?\nAnswer:");
  CHECK(arc.pairs[2].continuation == " the sun");
  CHECK(arc.gold == 2);
  CHECK(doc("arc_challenge").gold == 0);  // labels are numbers there
  CHECK(load_language_task("lambada", data.path(), 0).name == "lambada_openai");
}

TEST_CASE("language: HellaSwag's derived form is read, compressed or not, and says what it lacks") {
  LanguageFixtures data;
  CHECK(load_language_task("hellaswag", data.path(), 0).note.empty());
  fs::remove(data.path() / "hellaswag/hellaswag_val.jsonl");
  data.add("hellaswag/hellaswag_val_lmeval.jsonl",
           R"({"query": "Q: a", "choices": ["b", "cd"], "gold": 1})");
  const LanguageTask task = load_language_task("hellaswag", data.path(), 0);
  CHECK(task.docs[0].pairs[1].continuation == " cd");
  CHECK(mentions(task.note, "483"));
}

TEST_CASE("language: a limit takes the first items and remembers how many there are") {
  const LanguageFixtures data;
  const LanguageTask task = load_language_task("piqa", data.path(), 1);
  CHECK(task.docs.size() == 1);
  CHECK(task.original == 2);
}

TEST_CASE("language: a missing file is one sentence with what to fetch") {
  const TemporaryFolder empty;
  for (const std::string_view name : language_task_names()) {
    ExitCode code = ExitCode::ok;
    const std::string error = error_of([&] { load_language_task(name, empty.path(), 0); }, &code);
    CHECK(code == ExitCode::storage);
    CHECK(mentions(error, std::string(name) + ": there is no "));
    CHECK(mentions(error, "farsight data fetch "));
  }
}

TEST_CASE("language: damaged and hostile files are refused by name") {
  LanguageFixtures data;
  const auto refusal = [&](const char* task, const char* file, const std::string& text) {
    const std::string before = read_plainly(data.path() / file);
    data.add(file, text);
    ExitCode code = ExitCode::ok;
    const std::string error = error_of([&] { load_language_task(task, data.path(), 0); }, &code);
    CHECK_MESSAGE(code == ExitCode::corrupt, error);
    CHECK_MESSAGE(mentions(error, fs::path(file).filename().string()), error);
    data.add(file, before);
    return error;
  };
  const char* const piqa = "piqa/valid.jsonl";
  CHECK(mentions(refusal("piqa", piqa, "{\"goal\": \"a\"}\n{\"goal\": \"b\"}\n"), "sol1"));
  CHECK(mentions(refusal("piqa", piqa, "{\"goal\": 3, \"sol1\": \"\", \"sol2\": \"\"}\n{}\n"),
                 "byte"));
  refusal("piqa", piqa, "{\"goal\": \"a\", \"goal\": \"b\"}\n{}");  // a key twice
  refusal("piqa", piqa, std::string(100'000, '['));
  refusal("piqa", piqa, "{\"goal\": \"\xff\"}");
  refusal("piqa", piqa, "");
  refusal("piqa", piqa, "\n\n");
  CHECK(mentions(refusal("piqa", "piqa/valid-labels.lst", "0\n"), "1 labels"));
  CHECK(mentions(refusal("piqa", "piqa/valid-labels.lst", "0\n2\n"), "line 2"));
  refusal("piqa", "piqa/valid-labels.lst", "0\n1x\n");
  refusal("piqa", "piqa/valid-labels.lst", "0\n\n1\n");
  refusal("piqa", "piqa/valid-labels.lst", "0\n99999999999999999999\n");
  const char* const winogrande = "winogrande/winogrande_xl_dev.jsonl";
  refusal("winogrande", winogrande,
          R"({"sentence": "no blank", "option1": "a", "option2": "b", "answer": "1"})");
  refusal("winogrande", winogrande,
          R"({"sentence": "a _", "option1": "a", "option2": "b", "answer": "3"})");
  const char* const hellaswag = "hellaswag/hellaswag_val.jsonl";
  const std::string item = R"({"activity_label": "a", "ctx_a": "b", "ctx_b": "c", "endings": )";
  refusal("hellaswag", hellaswag, item + R"([], "label": 0})");
  refusal("hellaswag", hellaswag, item + R"(["x"], "label": 1})");
  refusal("hellaswag", hellaswag, item + R"(["x"], "label": ""})");
  refusal("hellaswag", hellaswag, item + R"(["x"], "label": "-"})");
  refusal(
      "arc_easy", "arc/ARC-Easy-Test.jsonl",
      R"({"question": {"stem": "a", "choices": [{"text": "b", "label": "A"}]}, "answerKey": "B"})");
  refusal("lambada", "lambada/lambada_test.jsonl", R"(["text"])");
}

TEST_CASE("language: compressed files that are cut off or none are refused") {
  const TemporaryFolder folder;
  write_plainly(folder / "a.zst", "no zstd at all");
  write_plainly(folder / "a.gz", std::string("\x1f\x8b\x08\x00\x00", 5));
  for (const char* const name : {"a.zst", "a.gz"}) {
    ExitCode code = ExitCode::ok;
    error_of([&] { read_text_file(folder / name); }, &code);
    CHECK(code == ExitCode::corrupt);
  }
}

TEST_CASE("language: equal scores go to the first choice") {
  LanguageTask task{.output = OutputType::multiple_choice, .normalised = true};
  LanguageDoc doc{.gold = 0, .lengths = {4, 2}};
  const auto metric = [&](double first, double second, std::size_t which) {
    return doc_metrics(task, doc, {{first, false}, {second, false}}).at(which).value;
  };
  CHECK(metric(-2, -2, 0) == 1);
  CHECK(metric(-2, -1.9, 0) == 0);
  CHECK(metric(-2, -1, 1) == 1);  // -0.5 each: a tie, too
  CHECK(metric(-2, -0.9, 1) == 0);
  doc.gold = 1;
  CHECK(metric(-2, -2, 0) == 0);
}

TEST_CASE("language: means, errors and perplexities are those of their formulas") {
  const LanguageTask task{.output = OutputType::loglikelihood};
  std::vector<LanguageDocResult> docs;
  for (const auto& [sum, greedy] : {std::pair{-1.0, true}, {-2.0, false}, {-4.5, true}}) {
    docs.push_back({.scores = {{sum, greedy}}});
    docs.back().metrics = doc_metrics(task, {}, docs.back().scores);
  }
  const std::vector<LanguageMetric> metrics = task_metrics(task, docs);
  REQUIRE(metrics.size() == 2);
  CHECK(metrics[0].name == "acc");
  CHECK(metrics[0].value == doctest::Approx(2.0 / 3));
  CHECK(*metrics[0].error == doctest::Approx(std::sqrt(1.0 / 3 / 3)));  // variance 1/3, n = 3
  CHECK(metrics[1].name == "perplexity");
  CHECK(metrics[1].value == doctest::Approx(std::exp(2.5)));
  docs.resize(1);
  CHECK(!task_metrics(task, docs)[0].error);  // of one item nothing can be said

  LanguageTask pages{.output = OutputType::loglikelihood_rolling};
  pages.docs = {{.words = 10, .bytes = 60}, {.words = 30, .bytes = 140}};
  const std::vector<LanguageMetric> rolling =
      task_metrics(pages, {{.scores = {{-100, false}}}, {.scores = {{-60, false}}}});
  REQUIRE(rolling.size() == 3);
  CHECK(rolling[0].value == doctest::Approx(160.0 / 200 / std::log(2.0)));
  CHECK(rolling[1].value == doctest::Approx(std::exp(160.0 / 200)));
  CHECK(rolling[2].value == doctest::Approx(std::exp(160.0 / 40)));
}

}  // namespace
}  // namespace farsight
