#include "train/tokenize_verb.h"

#include <fmt/format.h>

#include <charconv>
#include <iostream>

#include "core/check.h"
#include "core/json.h"
#include "core/parallel.h"
#include "core/utf8.h"
#include "data/corpus/shard_manifest.h"
#include "train/settings.h"
#include "train/tokenizer_choice.h"
#include "train/words.h"

namespace farsight {
namespace {

constexpr VerbOption kThreads = {"threads", "N", "[the processors this process may use]"};
constexpr VerbOption kWhole = {"whole", "", "everything is one document, not every line"};
constexpr VerbOption kHelp = {"help", "", "print this text and stop"};

constexpr VerbOption kTokenizeOptions[] = {
    kTokenizerOption,
    kDataDirOption,
    kWhole,
    {"json", "", "every line is a JSON string, so that a document may have line feeds"},
    {"invalid-utf8", "stop|replace", "bytes that are no UTF-8: stop, or read U+FFFD there [stop]"},
    kThreads,
    kHelp};
constexpr VerbOption kDetokenizeOptions[] = {kTokenizerOption,
                                             kDataDirOption,
                                             kWhole,
                                             {"json", "", "write every document as a JSON string"},
                                             kHelp};

constexpr std::size_t kBlockBytes = std::size_t{1} << 22;
constexpr std::size_t kLongestLine = std::size_t{1} << 30;
constexpr std::size_t kLongestWhole = (std::size_t{1} << 31) - 1;

DocumentForm form_of(std::string_view title, const Words& given) {
  require(!given.has("whole") || !given.has("json"), ExitCode::usage,
          "{}: --whole and --json exclude one another", title);
  return given.has("whole")  ? DocumentForm::whole
         : given.has("json") ? DocumentForm::json_line
                             : DocumentForm::line;
}

/// Blocks of whole lines out of a stream.
class Lines {
 public:
  Lines(std::istream& in, bool whole) : in_(in), whole_(whole) {}

  /// The next lines, of some megabytes together; false at the end. Views into this object, good
  /// until the next call.
  bool next(std::vector<std::string_view>& lines) {
    lines.clear();
    text_.erase(0, used_);
    used_ = 0;
    while (lines.empty()) {
      const std::size_t searched = text_.size();  // for line feeds, before
      const bool more = read();
      if (whole_) {
        require(text_.size() <= kLongestWhole, ExitCode::data,
                "standard input: longer than {} bytes; without --whole, lines may be any number",
                kLongestWhole);
        if (more) continue;
        if (done_) return false;
        done_ = true;
        lines.push_back(text_);
        used_ = text_.size();
        return true;
      }
      split(lines, searched);
      if (!more) {
        if (used_ < text_.size()) lines.push_back(std::string_view(text_).substr(used_));
        used_ = text_.size();
        return !lines.empty();
      }
      require(text_.size() - used_ <= kLongestLine, ExitCode::data,
              "standard input, line {}: longer than {} bytes", first_ + 1, kLongestLine);
    }
    return true;
  }

  /// Counted from 1: of the first line that the last call gave, when it is told of every line.
  std::uint64_t number() const { return first_ + 1; }
  void count(std::size_t lines) { first_ += lines; }

 private:
  bool read() {
    const std::size_t before = text_.size();
    text_.resize(before + kBlockBytes);
    in_.read(text_.data() + before, static_cast<std::streamsize>(kBlockBytes));
    text_.resize(before + static_cast<std::size_t>(in_.gcount()));
    require(!in_.bad(), ExitCode::storage, "standard input could not be read");
    return in_.gcount() > 0;
  }

  void split(std::vector<std::string_view>& lines, std::size_t from) {
    const std::string_view text = text_;
    for (std::size_t end = text.find('\n', from); end != std::string_view::npos;
         end = text.find('\n', used_)) {
      lines.push_back(text.substr(used_, end - used_));
      used_ = end + 1;
    }
  }

  std::istream& in_;
  bool whole_;
  bool done_ = false;
  std::string text_;
  std::size_t used_ = 0;
  std::uint64_t first_ = 0;
};

std::string place_of(const Lines& lines, std::size_t index) {
  return fmt::format("standard input, line {}", lines.number() + index);
}

void put(std::ostream& out, std::string_view text) {
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  require(out.good(), ExitCode::storage, "standard output could not be written");
}

/// The documents of lines: themselves, what they say in JSON, or either with U+FFFD for what is
/// invalid. Texts that are not in the input are kept in `made`.
void read_documents(const Lines& lines, DocumentForm form, bool replace,
                    std::vector<std::string_view>& documents, std::vector<std::string>& made) {
  made.clear();
  made.reserve(documents.size());  // views into them stay good
  for (std::size_t i = 0; i < documents.size(); i++) {
    if (const auto bad = first_invalid_utf8(documents[i])) {
      require(replace, ExitCode::data,
              "{}, byte {}: 0x{:02X} is not UTF-8 (--invalid-utf8 replace reads U+FFFD there)",
              form == DocumentForm::whole ? "standard input" : place_of(lines, i), *bad + 1,
              static_cast<unsigned char>(documents[i][*bad]));
      documents[i] = made.emplace_back(replace_invalid_utf8(documents[i]));
    }
    if (form == DocumentForm::json_line) {
      std::string text = Json::parse(documents[i], place_of(lines, i)).as_string();
      documents[i] = made.emplace_back(std::move(text));
    }
  }
}

void append_array(std::string& text, std::span<const std::int32_t> ids) {
  char digits[16];
  text += '[';
  for (const std::int32_t id : ids) {
    if (text.back() != '[') text += ',';
    text.append(digits, std::to_chars(digits, std::end(digits), id).ptr);
  }
  text += "]\n";
}

/// [12092,1533], with spaces anywhere between.
std::vector<std::int32_t> read_array(std::string_view line, const std::string& place) {
  std::vector<std::int32_t> ids;
  const char* at = line.data();
  const char* const end = at + line.size();
  const auto skip = [&] {
    while (at != end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
      at++;
  };
  const auto take = [&](char c) {
    skip();
    if (at == end || *at != c) return false;
    at++;
    return true;
  };
  const auto expect = [&](bool ok) {
    require(ok, ExitCode::data, "{}, byte {}: expected an array of token ids such as [12092, 1533]",
            place, at - line.data() + 1);
  };
  expect(take('['));
  if (!take(']')) {
    do {
      skip();
      std::int32_t id = 0;
      const auto [rest, error] = std::from_chars(at, end, id);
      expect(error == std::errc());
      at = rest;
      ids.push_back(id);
    } while (take(','));
    expect(take(']'));
  }
  skip();
  expect(at == end);
  return ids;
}

}  // namespace

void tokenize(const Tokenizer& tokenizer, std::istream& text, std::ostream& ids, DocumentForm form,
              bool replace) {
  Lines lines(text, form == DocumentForm::whole);
  std::vector<std::string_view> documents;
  std::vector<std::string> made;
  std::string written;
  while (lines.next(documents)) {
    read_documents(lines, form, replace, documents, made);
    written.clear();
    for (const std::vector<std::int32_t>& tokens : tokenizer.encode_documents(documents)) {
      append_array(written, tokens);
    }
    put(ids, written);
    lines.count(documents.size());
  }
  ids.flush();
  put(ids, "");
}

void detokenize(const Tokenizer& tokenizer, std::istream& ids, std::ostream& text,
                DocumentForm form) {
  Lines lines(ids, form == DocumentForm::whole);
  std::vector<std::string_view> documents;
  while (lines.next(documents)) {
    for (std::size_t i = 0; i < documents.size(); i++) {
      const std::string place = form == DocumentForm::whole ? "standard input" : place_of(lines, i);
      const std::vector<std::int32_t> tokens = read_array(documents[i], place);
      for (const std::int32_t id : tokens) {
        require(id >= 0 && id < tokenizer.size(), ExitCode::data,
                "{}: expected token ids from 0 to {}, got {}", place, tokenizer.size() - 1, id);
      }
      std::string document = tokenizer.decode(tokens);
      if (form == DocumentForm::json_line) document = Json(replace_invalid_utf8(document)).dump();
      if (form != DocumentForm::whole) document += '\n';
      put(text, document);
    }
    lines.count(documents.size());
  }
  text.flush();
  put(text, "");
}

int run_tokenize(std::span<const std::string> words) {
  constexpr std::string_view kTitle = "farsight tokenize";
  const Words given(std::string(kTitle), kTokenizeOptions, {words.begin(), words.end()},
                    Words::With::options_alone);
  given.refuse_unknown();
  if (given.has("help")) {
    fmt::print("{}", verb_help("farsight", "tokenize", kTokenizeHelp, kTokenizeOptions));
    return 0;
  }
  const bool replace =
      invalid_utf8_named(given.value("invalid-utf8").value_or("stop")) == InvalidUtf8::replace;
  if (const auto text = given.value("threads")) {
    const Setting range{.kind = Kind::integer, .least = 1, .most = 1024};
    set_threads(static_cast<int>(std::get<std::int64_t>(parse_value(range, *text, "--threads"))));
  }
  const DocumentForm form = form_of(kTitle, given);
  std::ios::sync_with_stdio(false);
  tokenize(tokenizer_of(kTitle, given), std::cin, std::cout, form, replace);
  return 0;
}

int run_detokenize(std::span<const std::string> words) {
  constexpr std::string_view kTitle = "farsight detokenize";
  const Words given(std::string(kTitle), kDetokenizeOptions, {words.begin(), words.end()},
                    Words::With::options_alone);
  given.refuse_unknown();
  if (given.has("help")) {
    fmt::print("{}", verb_help("farsight", "detokenize", kDetokenizeHelp, kDetokenizeOptions));
    return 0;
  }
  const DocumentForm form = form_of(kTitle, given);
  std::ios::sync_with_stdio(false);
  detokenize(tokenizer_of(kTitle, given), std::cin, std::cout, form);
  return 0;
}

}  // namespace farsight
