#include "eval/language/hellaswag_text.h"

#include <fmt/core.h>

#include "eval/language/python_text.h"

namespace farsight {
namespace {

/// re.sub(r"\[.*?\]", "", text): the point matches no line break.
std::string without_brackets(std::string_view text) {
  std::string result;
  std::size_t at = 0;
  for (std::size_t begin = 0; (begin = text.find('[', begin)) != std::string_view::npos;) {
    const std::size_t end = text.find_first_of("]\n", begin);
    if (end == std::string_view::npos) break;
    if (text[end] == '\n') {
      begin = end;  // none of the brackets before it is closed
      continue;
    }
    result += text.substr(at, begin - at);
    at = begin = end + 1;
  }
  return result += text.substr(at);
}

}  // namespace

std::string hellaswag_preprocessed(std::string_view text) {
  const std::string titled = replaced(stripped(text), " [title]", ". ");
  return replaced(without_brackets(titled), "  ", " ");
}

std::string hellaswag_query(std::string_view activity, std::string_view ctx_a,
                            std::string_view ctx_b) {
  return hellaswag_preprocessed(fmt::format("{}: {} {}", activity, ctx_a, capitalized(ctx_b)));
}

}  // namespace farsight
