// A text and a tokenizer.json that tests of language models make in a moment: the 256 bytes, some pairs
// of English, and <|endoftext|> as id 0.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/json.h"
#include "data/text/byte_alphabet.h"
#include "tests/temporary_folder.h"
#include "tests/tiny_run.h"

namespace farsight {

/// Ids 0 to 259, or one more for every pair in `more`.
inline std::string small_tokenizer_json(bool another = false) {
  Json vocabulary = Json::object();
  vocabulary["<|endoftext|>"] = 0;
  for (int byte = 0; byte < 256; byte++) {
    vocabulary[name_of_byte(byte)] = 1 + byte;
  }
  Json merges = Json::array();
  const auto merge = [&](const std::string& left, const std::string& right, int id) {
    merges.push_back(left + " " + right);
    vocabulary[left + right] = id;
  };
  merge("t", "h", 257);
  merge("th", another ? "a" : "e", 258);
  merge("Ġ", "a", 259);
  const Json level = Json::object({{"type", "ByteLevel"}, {"add_prefix_space", false}});
  const Json end = Json::object({{"id", 0},
                                 {"content", "<|endoftext|>"},
                                 {"single_word", false},
                                 {"lstrip", false},
                                 {"rstrip", false},
                                 {"normalized", false},
                                 {"special", true}});
  return Json::object(
             {{"version", "1.0"},
              {"added_tokens", Json::array_of(std::vector<Json>{end})},
              {"normalizer", Json()},
              {"pre_tokenizer", level},
              {"post_processor", Json()},
              {"decoder", level},
              {"model",
               Json::object({{"type", "BPE"}, {"vocab", vocabulary}, {"merges", merges}})}})
      .dump();
}

/// Sentences that a model can learn something from, `seed` of them apart.
inline std::string small_text(int lines, unsigned seed = 1) {
  constexpr const char* kSubjects[] = {"the cat", "a dog", "the bird", "an ant"};
  constexpr const char* kVerbs[] = {" sees ", " hears ", " eats "};
  std::string text;
  for (int line = 0; line < lines; line++) {
    seed = seed * 1664525u + 1013904223u;
    text += kSubjects[seed >> 30];
    text += kVerbs[(seed >> 20) % 3];
    text += kSubjects[(seed >> 10) % 4];
    text += ".\n";
  }
  return text;
}

/// A folder with a tokenizer, a corpus and a cache; runs of two layers on blocks of 24 tokens.
class SmallText {
 public:
  explicit SmallText(int lines = 120) {
    write_plainly(folder_ / "tokenizer.json", small_tokenizer_json());
    write_plainly(folder_ / "text.txt", small_text(lines));
  }

  std::filesystem::path operator/(std::string_view name) const { return folder_ / name; }

  Flags flags(const Flags& more = {}) const {
    Flags flags = {{"run.task", "lm"},
                   {"data.corpus", (folder_ / "text.txt").string()},
                   {"data.tokenizer", (folder_ / "tokenizer.json").string()},
                   {"data.cache", (folder_ / "cache").string()},
                   {"data.block", "24"},
                   {"model.vocab_size", "264"},
                   {"model.d_model", "16"},
                   {"model.n_layer", "2"},
                   {"model.d_state", "4"},
                   {"model.dt_rank", "2"},
                   {"train.steps", "24"},
                   {"train.batch_size", "6"},
                   {"train.micro_tokens", "96"},
                   {"eval.interval", "6"},
                   {"log.interval", "2"}};
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }
  Settings settings(const Flags& more = {}) const { return resolved(flags(more)).settings; }

 private:
  TemporaryFolder folder_;
};

}  // namespace farsight
