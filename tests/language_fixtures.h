// A data directory with an item or two of every language task, in the forms of their authors.
#pragma once

#include <filesystem>
#include <string>

#include "tests/temporary_folder.h"

namespace farsight {

class LanguageFixtures {
 public:
  LanguageFixtures() {
    add("piqa/valid.jsonl",
        R"({"goal": "How do I get warm?", "sol1": "Light a fire.", "sol2": "Open a window."})"
        "\n"
        R"({"goal": "dresser", "sol1": "replace drawer with bobby pin ", "sol2": "with a \u00e9\u00e8 bl"})"
        "\n");
    add("piqa/valid-labels.lst", "0\n1\n");
    add("winogrande/winogrande_xl_dev.jsonl",
        R"({"sentence": "Sarah was better than Maria so _ got the easier cases. ", "option1": "Sarah", "option2": "Maria", "answer": "2"})"
        "\n");
    add("hellaswag/hellaswag_val.jsonl",
        R"({"activity_label": "Roof", "ctx_a": "A man is sitting.", "ctx_b": "he IS", "endings": ["slides down.", "[substeps] Foo", "a  b", "c [title] d"], "label": 3})"
        "\n");
    add("lambada/lambada_test.jsonl", "{\"text\": \"he said \u201cgood morning\"}\n");
    add("arc/ARC-Easy-Test.jsonl",
        R"({"id": "a", "question": {"stem": "Which is hot?", "choices": [{"text": "ice", "label": "A"}, {"text": "rain", "label": "B"}, {"text": "the sun", "label": "C"}]}, "answerKey": "C"})"
        "\n");
    add("arc/ARC-Challenge-Test.jsonl",
        R"({"id": "b", "question": {"stem": "What falls?", "choices": [{"text": "a stone", "label": "1"}, {"text": "light", "label": "2"}]}, "answerKey": "1"})"
        "\n");
    add("wikitext2/wiki.test.raw",
        " \n = Robert = \n \n Robert ( born 1979 ) is an actor , in 2 @,@ 000 plays . \n \n = = "
        "Life "
        "= = \n \n He said \" yes \" . \n = Du Fu = \n A poet 's life . \n");
  }

  const std::filesystem::path& path() const { return folder_.path(); }
  void add(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path() / name).parent_path());
    write_plainly(path() / name, text);
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace farsight
