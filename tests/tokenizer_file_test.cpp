// What is refused of a tokenizer.json, and what is read of it.
#include "data/text/tokenizer_file.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <functional>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/json.h"
#include "data/text/byte_alphabet.h"
#include "data/text/tokenizer.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

Json added_token(const std::string& content, int id, bool special) {
  return Json::object({{"id", id},
                       {"content", content},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", !special},
                       {"special", special}});
}

/// A whole file of GPT-NeoX's form: ids 0 to 255 are the bytes, 256 is "he", 257 " he", 258 the end of
/// text, which the vocabulary has too, 259 two spaces.
Json whole_file() {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; byte++) {
    vocab[name_of_byte(byte)] = byte;
  }
  vocab["he"] = 256;
  vocab["\u0120he"] = 257;
  vocab["<|endoftext|>"] = 258;
  const Json level = Json::object({{"type", "ByteLevel"}, {"add_prefix_space", false}});
  return Json::object({{"version", "1.0"},
                       {"truncation", Json()},
                       {"padding", Json()},
                       {"added_tokens", Json::array({added_token("<|endoftext|>", 258, true),
                                                     added_token("  ", 259, false)})},
                       {"normalizer", Json::object({{"type", "NFC"}})},
                       {"pre_tokenizer", level},
                       {"post_processor", level},
                       {"decoder", level},
                       {"model", Json::object({{"type", "BPE"},
                                               {"dropout", Json()},
                                               {"unk_token", Json()},
                                               {"fuse_unk", false},
                                               {"vocab", vocab},
                                               {"merges", Json::array({"h e", "\u0120 he"})}})}});
}

struct Refusal {
  ExitCode code = ExitCode::ok;
  std::string message;
};

Refusal refusal(const std::string& text) {
  Refusal result;
  result.message = error_of([&] { TokenizerFile::parse(text, "tokenizer.json"); }, &result.code);
  return result;
}

using Change = std::function<void(Json& file)>;

void refused(ExitCode code, std::string_view words, const Change& change) {
  Json file = whole_file();
  change(file);
  const Refusal found = refusal(file.dump());
  CHECK_MESSAGE(found.message.starts_with("tokenizer.json: "), words);
  CHECK_MESSAGE(mentions(found.message, words), found.message);
  CHECK_MESSAGE(found.code == code, found.message);
}

Json& first_added(Json& file) {
  Json& list = file["added_tokens"];
  return const_cast<Json&>(list.at(std::size_t{0}));
}

}  // namespace

TEST_CASE("tokenizer file: a whole one is read") {
  const TokenizerFile file = TokenizerFile::parse(whole_file().dump(), "tokenizer.json");
  CHECK(file.nfc);
  CHECK(file.tokens.size() == 260);
  CHECK(file.tokens[257] == " he");
  CHECK(file.tokens[258] == "<|endoftext|>");
  CHECK(file.tokens[259] == "  ");
  CHECK(file.bytes[' '] == ' ');
  REQUIRE(file.merges.size() == 2);
  CHECK(file.merges[1] == TokenizerFile::Merge{' ', 256, 257});
  CHECK(file.added.size() == 2);
  const Tokenizer tokenizer(file);
  CHECK(tokenizer.encode(" he  he<|endoftext|>") == std::vector<std::int32_t>{257, 259, 256, 258});
}

TEST_CASE("tokenizer file: its other forms mean the same") {
  const std::string fingerprint =
      Tokenizer(TokenizerFile::parse(whole_file().dump(), "a")).fingerprint();
  const std::vector<Change> changes = {
      [](Json& file) {
        file["model"]["merges"] =
            Json::array({Json::array({"h", "e"}), Json::array({"\u0120", "he"})});
      },
      [](Json& file) { file["model"]["dropout"] = 0.0; },
      [](Json& file) { file["model"]["unk_token"] = "<|endoftext|>"; },
      [](Json& file) { file["model"]["continuing_subword_prefix"] = ""; },
      [](Json& file) { file["model"]["byte_fallback"] = false; },
      [](Json& file) { file["post_processor"] = Json(); },
      [](Json& file) {
        file["post_processor"] =
            Json::object({{"type", "TemplateProcessing"}, {"special_tokens", Json::object({})}});
      },
      [](Json& file) {
        file["normalizer"] = Json::object(
            {{"type", "Sequence"}, {"normalizers", Json::array({file["normalizer"]})}});
      },
      [](Json& file) { file["pre_tokenizer"]["use_regex"] = true; },
  };
  for (const Change& change : changes) {
    Json file = whole_file();
    change(file);
    CHECK(Tokenizer(TokenizerFile::parse(file.dump(), "a")).fingerprint() == fingerprint);
  }
  Json file = whole_file();
  file["normalizer"] = Json();
  CHECK_FALSE(TokenizerFile::parse(file.dump(), "a").nfc);
  file["added_tokens"] = Json();
  CHECK(TokenizerFile::parse(file.dump(), "a").added.empty());
}

TEST_CASE("tokenizer file: another kind is refused by what it has") {
  const auto kind = [](std::string_view words, const Change& change) {
    refused(ExitCode::data, words, change);
  };
  const auto typed = [](const char* type) { return Json::object({{"type", type}}); };
  kind("the model \"WordPiece\"", [](Json& f) { f["model"]["type"] = "WordPiece"; });
  kind("the normalizer \"Lowercase\"", [&](Json& f) { f["normalizer"] = typed("Lowercase"); });
  kind("the normalizer \"NFKC\"", [&](Json& f) {
    f["normalizer"] = Json::object(
        {{"type", "Sequence"}, {"normalizers", Json::array({typed("NFC"), typed("NFKC")})}});
  });
  kind("the pre_tokenizer \"Metaspace\"",
       [&](Json& f) { f["pre_tokenizer"] = typed("Metaspace"); });
  kind("the pre_tokenizer \"\"", [](Json& f) { f["pre_tokenizer"] = Json(); });
  kind("add_prefix_space true", [](Json& f) { f["pre_tokenizer"]["add_prefix_space"] = true; });
  kind("use_regex false", [](Json& f) { f["pre_tokenizer"]["use_regex"] = false; });
  kind("the decoder \"WordPiece\"", [&](Json& f) { f["decoder"] = typed("WordPiece"); });
  kind("adds tokens", [](Json& f) {
    f["post_processor"] =
        Json::object({{"type", "TemplateProcessing"},
                      {"special_tokens", Json::object({{"<s>", Json::object({})}})}});
  });
  kind("adds tokens", [&](Json& f) { f["post_processor"] = typed("BertProcessing"); });
  kind("truncation", [](Json& f) { f["truncation"] = Json::object({{"max_length", 512}}); });
  kind("padding", [](Json& f) { f["padding"] = Json::object({{"pad_id", 1}}); });
  kind("version \"2.0\"", [](Json& f) { f["version"] = "2.0"; });
  kind("dropout", [](Json& f) { f["model"]["dropout"] = 0.1; });
  kind("byte_fallback", [](Json& f) { f["model"]["byte_fallback"] = true; });
  kind("ignore_merges", [](Json& f) { f["model"]["ignore_merges"] = true; });
  kind("end_of_word_suffix", [](Json& f) { f["model"]["end_of_word_suffix"] = "</w>"; });
}

TEST_CASE("tokenizer file: what contradicts itself is refused") {
  const auto corrupt = [](std::string_view words, const Change& change) {
    refused(ExitCode::corrupt, words, change);
  };
  corrupt("unknown key \"colour\"", [](Json& f) { f["colour"] = 1; });
  corrupt("unknown key \"colour\"", [](Json& f) { f["model"]["colour"] = 1; });
  corrupt("unknown key \"colour\"", [](Json& f) { f["pre_tokenizer"]["colour"] = 1; });
  corrupt("no 'vocab'", [](Json& f) { f["model"] = Json::object({{"merges", Json::array()}}); });
  corrupt("expected a string", [](Json& f) { f["normalizer"]["type"] = 7; });
  corrupt("expected an object", [](Json& f) { f["model"]["vocab"] = Json::array(); });
  corrupt("1 to 1048576 tokens, got 0", [](Json& f) {
    f["model"]["vocab"] = Json::object({});
    f["added_tokens"] = Json();
  });
  corrupt("a whole number from 0 to 259", [](Json& f) { f["model"]["vocab"]["he"] = -1; });
  corrupt("a whole number from 0 to 259", [](Json& f) { f["model"]["vocab"]["he"] = 260; });
  corrupt("a whole number from 0 to 260", [](Json& f) { f["model"]["vocab"]["hh"] = 261; });
  corrupt("a whole number", [](Json& f) { f["model"]["vocab"]["he"] = 256.5; });
  corrupt("a whole number", [](Json& f) { f["model"]["vocab"]["he"] = "256"; });
  corrupt("the id 257 belongs to two", [](Json& f) { f["model"]["vocab"]["he"] = 257; });
  corrupt("GPT-2's byte alphabet", [](Json& f) { f["model"]["vocab"]["\u4e00"] = 260; });
  corrupt("GPT-2's byte alphabet", [](Json& f) { f["model"]["vocab"]["a b"] = 260; });
  corrupt("GPT-2's byte alphabet", [](Json& f) { f["model"]["vocab"][""] = 260; });
  corrupt("a token of 1025 bytes",
          [](Json& f) { f["model"]["vocab"][std::string(1025, 'a')] = 260; });
  corrupt("expected an array", [](Json& f) { f["model"]["merges"] = "h e"; });
  corrupt("with one space between", [](Json& f) { f["model"]["merges"] = Json::array({"he"}); });
  corrupt("with one space between", [](Json& f) { f["model"]["merges"] = Json::array({"h e e"}); });
  corrupt("got \"h  e\"", [](Json& f) { f["model"]["merges"] = Json::array({"h  e"}); });
  corrupt("two parts, got 3", [](Json& f) {
    f["model"]["merges"] = Json::array({Json::array({"h", "e", "e"})});
  });
  corrupt("needs the token \"eh\"", [](Json& f) { f["model"]["merges"] = Json::array({"e h"}); });
  corrupt("needs the token \"\u4e00\"",
          [](Json& f) { f["model"]["merges"] = Json::array({"\u4e00 h"}); });
  corrupt("is there twice", [](Json& f) { f["model"]["merges"] = Json::array({"h e", "h e"}); });
}

TEST_CASE("tokenizer file: added tokens that cannot be are refused") {
  const auto corrupt = [](std::string_view words, const Change& change) {
    refused(ExitCode::corrupt, words, change);
  };
  corrupt("a whole number from 0 to 259", [](Json& f) { first_added(f)["id"] = 1'000'000'000; });
  corrupt("has the id 3, the vocabulary says 258", [](Json& f) { first_added(f)["id"] = 3; });
  corrupt("belongs to two",
          [](Json& f) { f["added_tokens"] = Json::array({added_token("x  y", 4, false)}); });
  corrupt("belongs to two added tokens", [](Json& f) {
    f["added_tokens"] =
        Json::array({added_token("  ", 259, false), added_token("   ", 259, false)});
  });
  corrupt("is empty", [](Json& f) { f["added_tokens"].push_back(added_token("", 260, false)); });
  corrupt("a token of 1025 bytes", [](Json& f) {
    f["added_tokens"].push_back(added_token(std::string(1025, ' '), 260, false));
  });
  corrupt("another one in NFC", [](Json& f) {
    f["added_tokens"].push_back(added_token("\u1e69", 260, false));
    f["added_tokens"].push_back(added_token("s\u0307\u0323", 261, false));
  });
  corrupt("no 'normalized'", [](Json& f) {
    f["added_tokens"] =
        Json::array({Json::object({{"id", 259}, {"content", "  "}, {"special", false}})});
  });
  for (const char* flag : {"single_word", "lstrip", "rstrip"}) {
    corrupt(flag, [&](Json& f) { first_added(f)[flag] = true; });
  }
}

TEST_CASE("tokenizer file: damaged text is refused by its byte") {
  const std::string text = whole_file().dump();
  CHECK(mentions(refusal("").message, "not valid JSON"));
  CHECK(mentions(refusal("<html>").message, "(byte 0)"));
  CHECK(mentions(refusal(std::string(200'000, '[')).message, "nested deeper"));
  const std::size_t at = text.find("\"he\":");
  std::string twice = text;
  twice.insert(at, "\"he\":256,");
  CHECK(mentions(refusal(twice).message, "\"he\" appears twice"));
  std::string broken = text;
  broken[at + 1] = '\xff';
  CHECK(mentions(refusal(broken).message, fmt::format("(byte {})", at + 1)));
  for (std::size_t end = 0; end < text.size(); end += 97) {
    CHECK(refusal(text.substr(0, end)).code == ExitCode::corrupt);
  }
  // One changed character: refused, or a tokenizer; never anything else.
  int refused_ones = 0;
  for (std::size_t i = 0; i < text.size(); i += 7) {
    for (const char c : {'0', '"', '}', '\\', '9'}) {
      std::string changed = text;
      changed[i] = c;
      const Refusal found = refusal(changed);
      if (found.code != ExitCode::ok) refused_ones++;
      CHECK((found.code == ExitCode::ok || found.code == ExitCode::corrupt ||
             found.code == ExitCode::data));
    }
  }
  CHECK(refused_ones > 1000);
  ExitCode code = ExitCode::ok;
  const TemporaryFolder folder;
  error_of([&] { Tokenizer::load(folder / "none.json"); }, &code);
  CHECK(code == ExitCode::storage);
}

TEST_CASE("tokenizer file: the alphabet writes every byte as one visible character") {
  std::string all, names;
  for (int byte = 0; byte < 256; byte++) {
    all += static_cast<char>(byte);
    names += name_of_byte(byte);
  }
  CHECK(bytes_of_token(names) == all);
  CHECK(name_of_byte('A') == "A");
  CHECK(name_of_byte(' ') == "\u0120");
  CHECK(name_of_byte('\n') == "\u010a");
  CHECK(bytes_of_token("a\u0144") == std::nullopt);
}

}  // namespace farsight
