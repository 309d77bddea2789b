// WikiText as lm-evaluation-harness reads it (tasks/wikitext/preprocess_wikitext.py): pages, their
// text without the marks of the tokenisation, and the counts of the original that losses are divided
// by.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace farsight {

/// The articles of a raw file: a heading of the first level, "= Title =", begins the next one. Blank
/// ones are left out, but not the last.
std::vector<std::string> wikitext_pages(std::string_view raw);

/// wikitext_detokenizer(): " @-@ " becomes "-", "( a )" becomes "(a)", ... in its order.
std::string wikitext_detokenized(std::string_view page);

}  // namespace farsight
