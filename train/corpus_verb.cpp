#include "train/corpus_verb.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "data/corpus/corpus_files.h"
#include "data/corpus/prepare_corpus.h"
#include "data/corpus/token_bin.h"
#include "data/corpus/token_shards.h"
#include "data/text/tokenizer.h"
#include "train/corpus_info.h"
#include "train/corpus_progress.h"
#include "train/help.h"
#include "train/nearest.h"
#include "train/quantities.h"
#include "train/tokenizer_choice.h"
#include "train/words.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr VerbOption kHelp = {"help", "", "print this text and stop"};
constexpr VerbOption kGroup = {"group-documents", "N",
                               "documents that are concatenated and then cut into blocks, what is "
                               "left of each group dropped; 0: all are one group"};
constexpr VerbOption kNoProgress = {"no-progress", "", "no line that is drawn over"};
constexpr VerbOption kCorpus = {"corpus", "DIR",
                                "a folder that corpus build or import made; also without --corpus, "
                                "as the first word"};

constexpr VerbOption kBuild[] = {
    {"data", "FILES",
     "text: .txt, .raw, .jsonl, .json, also .zst and .gz of these; paths and patterns with commas "
     "between them"},
    kTokenizerOption,
    kDataDirOption,
    {"to", "DIR", "the folder to make [one in the cache, named by its contents]"},
    {"cache", "DIR", "the cache [corpora in $FARSIGHT_CACHE or ~/.cache/farsight]"},
    {"field", "NAME", "member of a JSON line that has the text [text]"},
    {"documents", "file|endoftext|blank-line",
     "what the documents of a plain text file are: the file, what stands between <|endoftext|>, or "
     "between blank lines [file]"},
    {"invalid-utf8", "stop|replace", "bytes that are no UTF-8: stop, or put U+FFFD there [stop]"},
    {"longest-line", "BYTES", "longer lines and documents are refused [16777216]"},
    {"packing", "authors|end-of-text",
     "nothing between documents, in groups of 1,000; or end-of-text behind each, in one group "
     "[authors]"},
    kGroup,
    {"threads", "N", "that tokenise [the processors this process may use]"},
    {"rehash", "",
     "reads all of the files to find out whether they were tokenised before, also where "
     "size and times say so"},
    kNoProgress,
    kHelp};
constexpr VerbOption kInfo[] = {kCorpus,
                                {"block", "N", "counts blocks of this length [2048]"},
                                {"verify", "", "reads all of it and compares every hash"},
                                {"json", "", "prints the manifest"},
                                kHelp};
constexpr VerbOption kImport[] = {
    {"from", "FILES", "token files of nanoGPT or llm.c; paths and patterns, commas between them"},
    {"to", "DIR", "the folder to make"},
    kTokenizerOption,
    kDataDirOption,
    {"vocabulary", "N", "in place of a tokenizer: ids are below N"},
    {"end-of-text", "ID", "with --vocabulary: the id behind a document [none]"},
    {"format", "nanogpt|llmc", "[llmc where its header is, else nanogpt]"},
    kGroup,
    kNoProgress,
    kHelp};
constexpr VerbOption kExport[] = {
    kCorpus,
    {"to", "FILE", "the file to write; with --tokens-per-file the beginning of its name"},
    {"format", "nanogpt|llmc", "u16 alone, or llm.c's header and u16 or u32 [nanogpt]"},
    {"end-of-text", "", "puts end-of-text behind each document of a corpus built without"},
    {"tokens-per-file", "N", "writes FILE_000001.bin, FILE_000002.bin ... [all in one file]"},
    {"overwrite", "", "files that are there already are written anew"},
    kHelp};

struct CorpusVerb {
  std::string_view name;
  std::string_view summary;
  std::span<const VerbOption> options;
  std::string (*run)(const Words& words);
};

std::optional<std::int64_t> number(const Words& words, const std::string& flag, std::int64_t least,
                                   double most = 1e12) {
  const auto text = words.value(flag);
  if (!text) return std::nullopt;
  const Setting range{.kind = Kind::integer, .least = static_cast<double>(least), .most = most};
  return std::get<std::int64_t>(parse_value(range, *text, "--" + flag));
}

std::string needed(const Words& words, std::string_view verb, const std::string& flag) {
  const auto value = words.value(flag);
  require(value.has_value() && !value->empty(), ExitCode::usage,
          "farsight corpus {} needs --{} (see --help)", verb, flag);
  return *value;
}

/// Calls `make` with a build that shows its progress.
template <class Make>
void with_progress(const Words& words, CorpusBuild build, const Make& make) {
  CorpusProgressLine line(stderr_display(!words.has("no-progress")));
  build.progress = [&](const CorpusProgress& progress) { line.show(progress); };
  make(build);
}

std::string run_build(const Words& words) {
  const std::vector<std::string> patterns = patterns_in(needed(words, "build", "data"));
  CorpusSettings settings;
  CorpusReading& reading = settings.reading;
  reading.field = words.value("field").value_or(reading.field);
  if (const auto name = words.value("documents")) reading.documents = text_documents_named(*name);
  if (const auto name = words.value("invalid-utf8")) {
    reading.invalid_utf8 = invalid_utf8_named(*name);
  }
  if (const auto bytes = number(words, "longest-line", 1, 1e9)) {
    reading.longest_line = static_cast<std::uint64_t>(*bytes);
  }
  const std::string packing = words.value("packing").value_or("authors");
  require(packing == "authors" || packing == "end-of-text", ExitCode::usage,
          "--packing must be one of authors, end-of-text, got '{}'", packing);
  if (packing == "end-of-text") settings.packing = {.group_documents = 0, .end_of_text = true};
  settings.packing.group_documents =
      number(words, "group-documents", 0).value_or(settings.packing.group_documents);
  const auto to = words.value("to");
  const auto cache = words.value("cache");
  require(!to || !cache, ExitCode::usage,
          "farsight corpus build: --to and --cache exclude one another");
  const Tokenizer tokenizer = tokenizer_of("farsight corpus", words);
  CorpusBuild build;
  build.cache = cache.value_or("");
  build.threads = static_cast<int>(number(words, "threads", 1, 1024).value_or(0));
  build.rehash = words.has("rehash");
  fs::path folder = to.value_or("");
  with_progress(words, build, [&](const CorpusBuild& shown) {
    if (to) {
      build_corpus(folder, patterns, tokenizer, settings, shown);
    } else {
      folder = prepare_corpus(patterns, tokenizer, settings, shown);
    }
  });
  return corpus_info(folder, TokenShards::open(folder), 2048);
}

std::string run_info(const Words& words) {
  const fs::path folder = needed(words, "info", "corpus");
  const TokenShards corpus = TokenShards::open(
      folder, words.has("verify") ? TokenShards::Check::hashes : TokenShards::Check::sizes);
  if (words.has("json")) return manifest_json(corpus.manifest()).dump(2) + "\n";
  return corpus_info(folder, corpus, number(words, "block", 1).value_or(2048)) +
         (words.has("verify") ? "  every byte is as it was written\n" : "");
}

std::string run_import(const Words& words) {
  const std::vector<std::string> patterns = patterns_in(needed(words, "import", "from"));
  const fs::path folder = needed(words, "import", "to");
  TokenBinImport import;
  if (const auto format = words.value("format")) import.format = token_bin_format_named(*format);
  import.group_documents = number(words, "group-documents", 0).value_or(0);
  if (const auto vocabulary = number(words, "vocabulary", 1, 1 << 30)) {
    require(!words.has("tokenizer"), ExitCode::usage,
            "farsight corpus import: --tokenizer and --vocabulary exclude one another");
    import.tokenizer.vocabulary = *vocabulary;
    import.tokenizer.end_of_text = number(words, "end-of-text", 0, 1 << 30).value_or(-1);
    require(import.tokenizer.end_of_text < *vocabulary, ExitCode::usage,
            "--end-of-text must be below --vocabulary, got {} and {}", import.tokenizer.end_of_text,
            *vocabulary);
  } else {
    require(!words.has("end-of-text"), ExitCode::usage,
            "farsight corpus import: --end-of-text goes with --vocabulary; a tokenizer says it");
    const Tokenizer tokenizer = tokenizer_of("farsight corpus", words);
    import.tokenizer = {.fingerprint = tokenizer.fingerprint(),
                        .vocabulary = tokenizer.size(),
                        .end_of_text = tokenizer.id_of("<|endoftext|>").value_or(-1)};
  }
  with_progress(words, {}, [&](const CorpusBuild& shown) {
    import_token_bins(folder, patterns, import, shown);
  });
  return corpus_info(folder, TokenShards::open(folder), 2048);
}

std::string run_export(const Words& words) {
  const TokenShards corpus = TokenShards::open(needed(words, "export", "corpus"));
  const fs::path to = needed(words, "export", "to");
  TokenBinExport how;
  if (const auto format = words.value("format")) how.format = token_bin_format_named(*format);
  how.end_of_text = words.has("end-of-text");
  how.overwrite = words.has("overwrite");
  how.tokens_per_file = number(words, "tokens-per-file", 1).value_or(0);
  std::string text;
  for (const fs::path& file : export_token_bin(corpus, to, how)) {
    text += fmt::format("{}: {} bytes\n", file.string(),
                        grouped(static_cast<std::int64_t>(fs::file_size(file))));
  }
  return text;
}

constexpr CorpusVerb kVerbs[] = {
    {"build", "Tokenises text, once; goes on where an interrupted build stopped.", kBuild,
     run_build},
    {"info", "Prints what a tokenised corpus is and how many blocks it has.", kInfo, run_info},
    {"import", "Makes a corpus of token files of nanoGPT or llm.c.", kImport, run_import},
    {"export", "Writes a corpus as a token file of nanoGPT or llm.c.", kExport, run_export},
};

std::string usage() {
  std::string text = "usage: farsight corpus VERB [--option value ...]\n\n";
  for (const CorpusVerb& verb : kVerbs) {
    text += fmt::format("  {:<12}{}\n", verb.name, verb.summary);
  }
  return text +
         "\n  VERB --help every option of a verb\n\n"
         "example: farsight corpus build --data 'corpus/*.jsonl.zst' --tokenizer tokenizer.json\n";
}

}  // namespace

std::string corpus_text(std::span<const std::string> words) {
  const std::string first = words.empty() ? "--help" : words.front();
  if (first == "--help" || first == "-h") return usage();
  const auto verb = std::find_if(std::begin(kVerbs), std::end(kVerbs),
                                 [&](const CorpusVerb& entry) { return entry.name == first; });
  std::vector<std::string_view> names;
  for (const CorpusVerb& entry : kVerbs)
    names.push_back(entry.name);
  require(verb != std::end(kVerbs), ExitCode::usage, "farsight corpus: there is no verb '{}'{}\n{}",
          first, did_you_mean(first, names), usage());
  std::vector<std::string> rest(words.begin() + 1, words.end());
  const bool reads_corpus =
      std::ranges::find(verb->options, kCorpus.flag, &VerbOption::flag) != verb->options.end();
  if (reads_corpus) rest = with_first_as(kCorpus.flag, rest);
  const Words given(fmt::format("farsight corpus {}", verb->name), verb->options, rest,
                    Words::With::options_alone);
  if (given.has("help")) {
    return verb_help("farsight corpus", verb->name, verb->summary, verb->options);
  }
  given.refuse_unknown();
  return verb->run(given);
}

int run_corpus_verb(std::span<const std::string> words) {
  fmt::print("{}", corpus_text(words));
  return 0;
}

}  // namespace farsight
