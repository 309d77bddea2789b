#include "eval/language/wikitext.h"

#include <array>
#include <utility>

#include "eval/language/python_text.h"

namespace farsight {
namespace {

bool begins_page(std::string_view line) {
  const std::string joined = replaced(replaced(line, "= = =", "==="), "= =", "==");
  const std::string_view heading = stripped(joined);
  return heading.starts_with("= ") && heading.ends_with(" =");
}

/// re.sub(r"\(\s*([^\)]*?)\s*\)", r"(\1)", text) for the pair: what stands between an opening mark and
/// the next closing one loses its outer whitespace.
std::string trimmed_between(std::string_view text, char open, char close) {
  std::string result;
  std::size_t at = 0;
  while (true) {
    const std::size_t begin = text.find(open, at);
    const std::size_t end = begin == std::string_view::npos ? begin : text.find(close, begin + 1);
    if (end == std::string_view::npos) break;
    result += text.substr(at, begin + 1 - at);
    result += stripped(text.substr(begin + 1, end - begin - 1));
    result += close;
    at = end + 1;
  }
  return result += text.substr(at);
}

/// re.sub(r"/' [0-9]/", r"/'[0-9]/", text): what is put in is no pattern, so the digit is lost.
std::string with_quoted_digits(std::string_view text) {
  std::string result;
  std::size_t at = 0;
  for (std::size_t found = 0; (found = text.find("/' ", found)) != std::string_view::npos;) {
    const std::string_view rest = text.substr(found + 3);
    if (rest.size() < 2 || rest[0] < '0' || rest[0] > '9' || rest[1] != '/') {
      found++;
      continue;
    }
    result += text.substr(at, found - at);
    result += "/'[0-9]/";
    at = found += 5;
  }
  return result += text.substr(at);
}

using Replacement = std::pair<std::string_view, std::string_view>;

constexpr auto kMarks = std::to_array<Replacement>({{" @-@ ", "-"},
                                                    {" @,@ ", ","},
                                                    {" @.@ ", "."},
                                                    {" : ", ": "},
                                                    {" ; ", "; "},
                                                    {" . ", ". "},
                                                    {" ! ", "! "},
                                                    {" ? ", "? "},
                                                    {" , ", ", "}});
constexpr auto kRest = std::to_array<Replacement>({{"= = = =", "===="},
                                                   {"= = =", "==="},
                                                   {"= =", "=="},
                                                   {" \u00b0 ", "\u00b0"},
                                                   {" \n", "\n"},
                                                   {"\n ", "\n"},
                                                   {" N ", " 1 "},
                                                   {" 's", "'s"}});

}  // namespace

std::vector<std::string> wikitext_pages(std::string_view raw) {
  std::vector<std::string> pages;
  std::size_t begin = 0;
  bool some = false;  // a line of this page was seen
  for (std::size_t at = 0; at <= raw.size();) {
    const std::size_t end = std::min(raw.find('\n', at), raw.size());
    if (some && begins_page(raw.substr(at, end - at))) {
      const std::string_view page = raw.substr(begin, at - 1 - begin);
      if (!stripped(page).empty()) pages.emplace_back(page);
      begin = at;
    }
    some = true;
    at = end + 1;
  }
  pages.emplace_back(raw.substr(begin));
  return pages;
}

std::string wikitext_detokenized(std::string_view page) {
  std::string text = with_quoted_digits(replaced(page, "s '", "s'"));
  for (const auto& [from, to] : kMarks) {
    text = replaced(text, from, to);
  }
  for (const auto& [open, close] :
       {std::pair{'(', ')'}, {'[', ']'}, {'{', '}'}, {'"', '"'}, {'\'', '\''}}) {
    text = trimmed_between(text, open, close);
  }
  for (const auto& [from, to] : kRest) {
    text = replaced(text, from, to);
  }
  return text;
}

}  // namespace farsight
