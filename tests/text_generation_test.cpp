// Text continued by a model: the same tokens as from ids, whole characters, the end of a text.
#include "train/text_generation.h"

#include <doctest/doctest.h>

#include "data/text/tokenizer.h"
#include "tests/small_text.h"
#include "train/corpora.h"

namespace farsight {
namespace {

struct Written {
  std::string text, note;
};

GenerateOptions prompted(const std::string& text, std::int64_t tokens, bool past_end = false) {
  GenerateOptions options;
  options.text = text;
  options.tokens = tokens;
  options.past_end = past_end;
  return options;
}

Written generated(const Model& model, const Settings& settings, const GenerateOptions& options) {
  Written result;
  generate_text_from(
      model, settings, options, [&](std::string_view text) { result.text += text; },
      [&](std::string_view line) { result.note += line; });
  return result;
}

bool is_utf8_without_gap(const std::string& text) {
  return text.find('\n') == text.size() - 1;
}

TEST_CASE("text generation: every family continues a prompt, alone as beside others") {
  const SmallText text;
  for (const char* name : {"mamba", "mamba-gs", "pythia", "rwkv", "hyena"}) {
    INFO(name);
    const Settings settings = text.settings({{"run.model", name}, {"model.n_head", "2"}});
    const Model model = model_of(settings, Device::cpu);
    GenerateOptions options = prompted("the cat", 9, true);
    const Written one = generated(model, settings, options);
    CHECK(one.text.starts_with("the cat"));
    CHECK(one.text.ends_with("\n"));
    CHECK(one.note.find("9 tokens behind ") == 0);
    CHECK(one.note.find("tokens/s") != std::string::npos);
    options.samples = 3;
    options.sampling.temperature = 1;
    const Written many = generated(model, settings, options);
    CHECK(many.text.find("--- sample 3\nthe cat") != std::string::npos);
    CHECK(many.note.find("27 tokens") == 0);
    options.samples = 1;
    const Written first = generated(model, settings, options);
    CHECK(many.text.find("--- sample 1\n" + first.text) == 0);
  }
}

TEST_CASE("text generation: <|endoftext|> ends a text, unless it is to go on") {
  const SmallText text;
  const Settings settings = text.settings();
  const Model model = model_of(settings, Device::cpu);
  // A head that knows nothing but id 0.
  const Tensor& head = model.head->operand;
  head.fill_zero();
  GenerateOptions options = prompted("a dog", 5);
  const Written ended = generated(model, settings, options);
  CHECK(ended.text == "a dog\n");
  CHECK(ended.note.find("0 tokens") == 0);
  CHECK(ended.note.find("ended by <|endoftext|>") != std::string::npos);
  options.past_end = true;
  CHECK(generated(model, settings, options).text ==
        "a dog<|endoftext|><|endoftext|><|endoftext|><|endoftext|><|endoftext|>\n");
  options.text = "";
  CHECK(is_utf8_without_gap(generated(model, settings, options).text));
}

TEST_CASE("text generation: what cannot be continued is refused") {
  const SmallText text;
  const Settings settings = text.settings({{"run.model", "hyena"}, {"model.l_max", "24"}});
  const Model model = model_of(settings, Device::cpu);
  ExitCode code = ExitCode::ok;
  const auto refusal = [&](const Settings& given, const GenerateOptions& options) {
    return error_of([&] { generated(model, given, options); }, &code);
  };
  CHECK(refusal(settings, prompted("ab", 100)).find("longer than the 24") != std::string::npos);
  CHECK(code == ExitCode::data);
  CHECK(!refusal(settings, prompted("\xff\xfe", 2)).empty());
  CHECK(code == ExitCode::data);
  // Another tokenizer than the run's.
  std::filesystem::create_directories(text / "run");
  keep_identity(text / "run", corpora_of(settings, {}));
  write_plainly(text / "other.json", small_tokenizer_json(true));
  const Settings other = text.settings({{"data.tokenizer", (text / "other.json").string()}});
  GenerateOptions of_run = prompted("ab", 2);
  of_run.weights.run = text / "run";
  CHECK(refusal(other, of_run).find("name that one with --tokenizer") != std::string::npos);
}

}  // namespace
}  // namespace farsight
