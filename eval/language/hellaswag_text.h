// HellaSwag's texts as lm-evaluation-harness makes them (tasks/hellaswag/utils.py).
#pragma once

#include <string>
#include <string_view>

namespace farsight {

/// preprocess(): stripped; " [title]" becomes ". "; what stands in brackets within a line goes; two
/// spaces become one, in one pass. A space can be left at the front.
std::string hellaswag_preprocessed(std::string_view text);

/// The query of an item: activity, a colon, the first part of the context and the capitalised second.
std::string hellaswag_query(std::string_view activity, std::string_view ctx_a,
                            std::string_view ctx_b);

}  // namespace farsight
