// farsight corpus build|info|import|export
#pragma once

#include <span>
#include <string>

namespace farsight {

inline constexpr const char* kCorpusHelp =
    "text as tokens on disk: corpus build|info|import|export";

/// What `farsight corpus WORDS` prints; progress goes to stderr.
std::string corpus_text(std::span<const std::string> words);

/// `words`: those after the verb. Returns the exit code.
int run_corpus_verb(std::span<const std::string> words);

}  // namespace farsight
