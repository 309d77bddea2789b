// Every language task from its file to its numbers, by tiny models.
#include "eval/language/language_evaluation.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/sha256.h"
#include "eval/language/results.h"
#include "models/mamba.h"
#include "models/pythia.h"
#include "tests/language_data.h"
#include "tests/language_fixtures.h"
#include "tests/skip.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

/// Bytes as tokens, the prefix 256.
TokenIds bytes_of_text(std::string_view text) {
  TokenIds ids;
  for (const char byte : text) {
    ids.push_back(static_cast<unsigned char>(byte));
  }
  return ids;
}

Model small_model(std::int64_t vocabulary) {
  const Model model = make_mamba(
      {.vocab_size = vocabulary, .d_model = 16, .n_layer = 1, .d_state = 4, .dt_rank = 2},
      Device::cpu, DType::f32);
  model.parameters->initialise(3);
  return model;
}

std::vector<LanguageTask> all_tasks(const fs::path& data, std::int64_t limit) {
  std::vector<LanguageTask> tasks;
  for (const std::string_view name : language_task_names()) {
    tasks.push_back(load_language_task(name, data, limit));
  }
  return tasks;
}

TEST_CASE("language: every task gives its metrics, and tasks together what each gives alone") {
  const LanguageFixtures data;
  const Model model = small_model(257);
  const LanguageOptions options{.prefix = 256, .scorer = {.max_length = 64}};
  const std::vector<LanguageResult> together =
      evaluate_language(model, bytes_of_text, all_tasks(data.path(), 0), options);
  REQUIRE(together.size() == 7);
  for (const LanguageResult& result : together) {
    const std::vector<LanguageResult> alone = evaluate_language(
        model, bytes_of_text, {load_language_task(result.task.name, data.path(), 0)}, options);
    CAPTURE(result.task.name);
    for (std::size_t i = 0; i < result.docs.size(); i++) {
      for (std::size_t k = 0; k < result.docs[i].scores.size(); k++) {
        CHECK(result.docs[i].scores[k].log_likelihood == alone[0].docs[i].scores[k].log_likelihood);
        CHECK(result.docs[i].scores[k].log_likelihood < 0);
      }
    }
    CHECK(result.metrics.size() >= (result.task.name == "winogrande" ? 1 : 2));
  }
  const LanguageResult& wikitext = together.front();
  CHECK(wikitext.docs.size() == 2);
  CHECK(wikitext.tokens ==
        static_cast<std::int64_t>(wikitext.task.docs[0].pairs[0].continuation.size() +
                                  wikitext.task.docs[1].pairs[0].continuation.size()));
  // A model that knows nothing: about 257 choices a token.
  const double sum =
      wikitext.docs[0].scores[0].log_likelihood + wikitext.docs[1].scores[0].log_likelihood;
  CHECK(-sum / static_cast<double>(wikitext.tokens) ==
        doctest::Approx(std::log(257)).epsilon(0.03));
}

TEST_CASE("language: an empty continuation is refused with task and item") {
  const LanguageFixtures data;
  data.add(
      "piqa/valid.jsonl",
      "{\"goal\": \"a\", \"sol1\": \"b\", \"sol2\": \"c\"}\n{\"goal\": \"a\", \"sol1\": \"b\", "
      "\"sol2\": \"c\"}\n");
  ExitCode code = ExitCode::ok;
  const std::string error = error_of(
      [&] {
        evaluate_language(small_model(257),
                          [](std::string_view) {
                            return TokenIds{1, 2};
                          },
                          {load_language_task("piqa", data.path(), 0)}, {});
      },
      &code);
  CHECK(code == ExitCode::data);
  CHECK(mentions(error, "piqa: item 0 has an empty continuation"));
}

TEST_CASE("language: results and samples have the harness's layout") {
  const LanguageFixtures data;
  const TemporaryFolder out;
  const std::vector<LanguageResult> results =
      evaluate_language(small_model(257), bytes_of_text, all_tasks(data.path(), 1),
                        {.prefix = 256, .scorer = {.max_length = 64}});
  write_results(out / "scores", results, {.model = "mamba", .limit = 1});
  const Json json = read_json(out / "scores/results.json");
  for (const char* const key : {"results", "group_subtasks", "configs", "versions", "n-shot",
                                "higher_is_better", "n-samples", "config"}) {
    CHECK_MESSAGE(json.contains(key), key);
  }
  const Json& piqa = json.at("results").at("piqa");
  CHECK(piqa.at("alias").as_string() == "piqa");
  CHECK(piqa.contains("acc,none"));
  CHECK(piqa.at("acc_stderr,none").as_string() == "N/A");  // of one item
  CHECK(piqa.contains("acc_norm,none"));
  CHECK(json.at("results").at("wikitext").contains("word_perplexity,none"));
  CHECK(json.at("results").at("lambada_openai").contains("perplexity,none"));
  CHECK(!json.at("results").at("winogrande").contains("acc_norm,none"));
  CHECK(json.at("versions").at("wikitext").as_double() == 2);
  CHECK(json.at("n-samples").at("piqa").at("original").as_int() == 2);
  CHECK(json.at("n-samples").at("piqa").at("effective").as_int() == 1);
  CHECK(!json.at("higher_is_better").at("wikitext").at("bits_per_byte").as_bool());

  const Json sample =
      Json::parse(read_plainly(out / "scores/samples_piqa.jsonl"), "samples_piqa.jsonl");
  CHECK(sample.at("doc_id").as_int() == 0);
  CHECK(sample.at("doc").at("goal").as_string() == "How do I get warm?");
  CHECK(sample.at("target").as_string() == "0");
  CHECK(sample.at("arguments").at("gen_args_1").at("arg_1").as_string() == " Open a window.");
  const Json& response = sample.at("resps").at(1).at(0);
  CHECK(std::stod(response.at(0).as_string()) == results[1].docs[0].scores[1].log_likelihood);
  CHECK(response.at(1).as_string() == "False");
  CHECK(sample.at("filtered_resps").at(1) == response);
  CHECK(sample.at("prompt_hash").as_string() == sha256("Question: How do I get warm?\nAnswer:"));
  CHECK(sample.contains("acc_norm"));

  const std::string table = results_table(results);
  CHECK(table.starts_with("|    Tasks     |Version|Filter|n-shot|"));
  CHECK(mentions(table, "|piqa          |      1|none  |     0|acc            |\u2191  |"));
  CHECK(mentions(table, "|\u00b1  |   N/A|"));
  CHECK(mentions(table, "piqa: the first 1 of 2 items only"));
}

TEST_CASE("language: twenty items of each task from end to end") {
  const fs::path data = data_with("hellaswag/hellaswag_val_lmeval.jsonl.zst");
  if (data.empty()) return skip(kNoLanguageData);
  const TemporaryFolder folder;
  const Model model =
      make_pythia({.vocab_size = 50280, .d_model = 16, .n_layer = 1, .n_head = 2, .d_ff = 32},
                  Device::cpu, DType::f32);
  model.parameters->initialise(1);
  std::vector<LanguageTask> tasks;

  for (const char* const name : {"piqa", "hellaswag", "winogrande"}) {
    tasks.push_back(load_language_task(name, data, 20));
  }
  tasks.push_back(load_language_task("wikitext", data, 1));
  const Tokenizer& tokenizer = neox_tokenizer(data);
  const auto encode = [&](std::string_view text) { return tokenizer.encode(text); };
  const std::vector<LanguageResult> results =
      evaluate_language(model, encode, std::move(tasks), {});
  CHECK(results[0].docs.size() == 20);
  CHECK(mentions(results_table(results), "483 of 1,000"));
  // The page is scored token by token with an even guess: nothing was learnt.
  CHECK(results[3].tokens == 1'252);
  CHECK(-results[3].docs[0].scores[0].log_likelihood / 1'252 ==
        doctest::Approx(std::log(50280)).epsilon(0.02));
}

}  // namespace
}  // namespace farsight
