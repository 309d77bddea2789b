#include "train/verb_syntax.h"

#include <algorithm>
#include <iterator>
#include <span>

namespace farsight {
namespace {

constexpr VerbOption kCommon[] = {
    {"config", "FILE", "settings file (TOML), for example the config.toml of a run"},
    {"print-config", "", "print the settings, each with its origin, and stop"},
    {"list", "WHAT", "print the tasks, models, presets or recipes, and stop"},
    {"help", "", "print this text and stop"},
    {"help-all", "", "the same with every setting"},
    {"version", "", "print version, commit and what it was built for, and stop"},
};
constexpr VerbOption kTrain[] = {
    {"resume", "auto|never|step-K|PATH",
     "auto continues a run of the same settings that did not finish, and, where it is written, "
     "passes over a damaged checkpoint; step-K goes on from that one of the run; PATH is a run or "
     "a checkpoint, whose settings are taken too [auto]"},
    {"dry-run", "", "print the plan (parameters, tokens, steps, memory, FLOPs) and stop"},
    {"overwrite", "", "delete the run that is already in the folder"},
};
constexpr VerbOption kEval[] = {
    {"run", "DIR", "the run to test, by its best checkpoint; or as the first word"},
    {"checkpoint", "DIR", "or: the checkpoint to test"},
    {"task", "LIST",
     "tasks to test on, separated by commas, FILE.toml among them; all: those that belong to the "
     "run's own [all]. Or language tasks: wikitext, piqa, hellaswag, winogrande, lambada, "
     "arc_easy, "
     "arc_challenge, from files in --data-dir"},
    {"split", "test|valid", "which examples [test]"},
    {"limit", "N", "examples per cell, or first items of a language task, 0 = all [0]"},
    {"out", "DIR", "of language tasks: folder for results.json and samples_TASK.jsonl"},
    {"batch-tokens", "N",
     "of language tasks: tokens of one pass, 0 = 32,768 on a GPU, one text on a CPU [0]"},
    {"data", "DIR", "or: a frozen set to test on (farsight data make, import)"},
    {"per-query", "FILE", "write what was answered to every query, a line of JSON each"},
    {"json", "", "print JSON"},
};
constexpr VerbOption kGenerate[] = {
    {"run", "DIR", "the run to use, by its best checkpoint; or as the first word"},
    {"checkpoint", "DIR", "or: the checkpoint to use"},
    {"prompt", "TEXT", "text to continue, shown as it comes, with the run's tokenizer"},
    {"prompt-file", "FILE", "or: the text in a file"},
    {"past-end", "", "text goes on behind <|endoftext|>, which otherwise ends it"},
    {"prompt-ids", "LIST",
     "or: token ids to continue, separated by commas; further prompts after ;"},
    {"task", "NAME", "or: continue a test example of this task (or FILE.toml)"},
    {"tokens", "N", "how many tokens to append [16; 128 of text]"},
    {"samples", "N", "continuations of every prompt, in one batch [1]"},
    {"temperature", "X", "0 = always the most likely token [0]"},
    {"top-k", "N", "draw from the N most likely tokens only, 0 = all [0]"},
    {"top-p", "X", "draw from the most likely that together have this share [1]"},
    {"seed", "N", "of the sampling and of the example [42]"},
};
constexpr VerbOption kInfo[] = {
    {"json", "", "print JSON"},
};

constexpr VerbOption kConvert[] = {
    {"from", "PATH",
     "a run, a checkpoint, a folder of Hugging Face, state-spaces, safari or zoology, or a file of "
     "weights (.safetensors, .bin, .pth) with config.json beside it"},
    {"to", "DIR", "the folder to write; it must not be there yet"},
    {"format", "hf|state-spaces|safari|zoology", "names and config.json of the result [hf]"},
    {"dtype", "f32|bf16|f16", "what the tensors are stored as [f32]"},
};
constexpr VerbOption kLogits[] = {
    {"run", "DIR", "the run to use, by its best checkpoint; or as the first word"},
    {"checkpoint", "DIR", "or: the checkpoint to use"},
    {"ids", "FILE", "JSON: an array of rows of token ids, each of any length"},
    {"out", "FILE", "safetensors to write: logits.N is [T, V] for row N"},
};

}  // namespace

bool often_set(Verb verb, const Setting& setting) {
  switch (verb) {
    case Verb::train:
    case Verb::info:  // of a model that train would train
      return !setting.alias.empty();
    case Verb::eval:
    case Verb::generate:
    case Verb::logits: {  // the run has settled the rest
      constexpr auto kOpen = std::to_array<std::string_view>(
          {"run.device", "run.dtype", "run.threads", "data.dir", "data.tokenizer", "data.corpus"});
      return std::ranges::find(kOpen, setting.name) != kOpen.end();
    }
    case Verb::convert:
    case Verb::print:
      break;
  }
  return false;
}

VerbSyntax syntax_of(std::string_view name) {
  const auto with_common = [](std::span<const VerbOption> own) {
    std::vector<VerbOption> all(own.begin(), own.end());
    all.insert(all.end(), std::begin(kCommon), std::end(kCommon));
    return all;
  };
  if (name == "train") {
    return {Verb::train,
            "Trains a model on a recall task, or on text (--task lm --corpus FILES), and tests it.",
            with_common(kTrain)};
  }
  if (name == "eval") return {Verb::eval, "Tests a trained run on any task.", with_common(kEval)};
  if (name == "generate") {
    return {Verb::generate, "Continues a prompt with a trained run.", with_common(kGenerate)};
  }
  if (name == "convert") {
    return {Verb::convert, "Writes a checkpoint as others read it.", with_common(kConvert)};
  }
  if (name == "logits") {
    return {Verb::logits, "Writes the logits of given token ids, to compare with other programs.",
            with_common(kLogits)};
  }
  return {Verb::info, "Prints a model's parameters without training it.", with_common(kInfo)};
}

}  // namespace farsight
