#include "train/progress.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <memory>

#include "tests/temporary_folder.h"
#include "train/quantities.h"

namespace farsight {
namespace {

/// A display whose time is set by the test, and what was written to it.
struct Screen {
  double now = 0;
  std::string written;

  Display display(bool bar, bool colour = false, int columns = 120) {
    return {.write = [this](std::string_view text) { written += text; },
            .clock = [this] { return now; },
            .bar = bar,
            .colour = colour,
            .columns = columns};
  }
  std::size_t count(char c) const {
    return static_cast<std::size_t>(std::count(written.begin(), written.end(), c));
  }
  /// What a terminal shows in the end, carriage returns obeyed.
  std::string visible() const {
    std::string all, line;
    std::size_t at = 0;
    for (const char c : written) {
      if (c == '\n') {
        line.erase(line.find_last_not_of(' ') + 1);
        all += line + '\n';
        line.clear();
        at = 0;
      } else if (c == '\r') {
        at = 0;
      } else {
        if (at == line.size()) line += ' ';
        line[at++] = c;
      }
    }
    return all + line;
  }
};

TEST_CASE("progress: plain lines come at once, at the end, and ever fewer between") {
  Screen screen;
  Progress progress(screen.display(false), 0, 100000);
  for (int step = 1; step <= 100000; step++) {
    screen.now += 0.01;
    progress.step({.step = step, .loss = 2.5, .tokens = 1000});
  }
  progress.finish();
  const std::size_t lines = screen.count('\n');
  CHECK(lines > 50);
  CHECK(lines < 200);
  CHECK(screen.written.substr(0, screen.written.find('\n')) == "step 1/100000  loss 2.5");
  CHECK(mentions(screen.written, "step 100000/100000"));
  CHECK(screen.count('\r') == 0);
  CHECK(screen.count('\033') == 0);
}

TEST_CASE("progress: rates leave out the first step and the time left follows from them") {
  Screen screen;
  Progress progress(screen.display(false), 0, 11);
  CHECK(!progress.seconds_left().has_value());
  screen.now = 50;  // the first step allocates
  progress.step({.step = 1, .loss = 1, .tokens = 4000});
  CHECK(!progress.seconds_left().has_value());
  CHECK(progress.tokens_per_second() == 0);
  for (int step = 2; step <= 6; step++) {
    screen.now += 2;
    progress.step({.step = step, .loss = 1, .tokens = 4000});
  }
  CHECK(progress.tokens_per_second() == doctest::Approx(2000));
  CHECK(*progress.seconds_left() == doctest::Approx(10));
}

TEST_CASE("progress: a resumed run counts from where it began") {
  Screen screen;
  Progress progress(screen.display(false), 500, 1000);
  screen.now = 30;
  progress.step({.step = 501, .loss = 1, .tokens = 10});
  screen.now = 31;
  progress.step({.step = 502, .loss = 1, .tokens = 10});
  CHECK(*progress.seconds_left() == doctest::Approx(498));
}

TEST_CASE("progress: a clock that stands still does no harm") {
  Screen screen;
  Progress progress(screen.display(true), 0, 3);
  for (int step = 1; step <= 3; step++)
    progress.step({.step = step, .loss = 1, .tokens = 10});
  progress.finish();
  CHECK(mentions(screen.visible(), "3/3"));
}

TEST_CASE("progress: the bar draws over itself and leaves one last line") {
  Screen screen;
  {
    Progress progress(screen.display(true), 0, 1000);
    for (int step = 1; step <= 1000; step++) {
      screen.now += 0.01;
      progress.step({.step = step, .loss = 1.0 / step, .tokens = 12345, .accuracy = 12.5});
    }
  }  // the destructor finishes
  CHECK(screen.count('\n') == 1);
  CHECK(screen.count('\r') < 150);  // ten times a second
  CHECK(screen.count('\033') == 0);
  const std::string line = screen.visible();
  CHECK(mentions(line, "[======================]  1000/1000  loss 0.001  labels 12.5 %"));
  CHECK(mentions(line, "1.23M tokens/s  0.0 s left"));
}

TEST_CASE("progress: no line is wider than the terminal, and none leaves remains of a longer one") {
  for (const int columns : {1, 10, 40, 79, 200}) {
    Screen screen;
    Progress progress(screen.display(true, false, columns), 0, 10);
    for (int step = 1; step <= 10; step++) {
      screen.now += 1;
      progress.step({.step = step, .loss = step == 2 ? 123456.0 : 1.0, .tokens = 10});
    }
    progress.finish();
    const std::string line = screen.visible();
    CHECK(line.size() <= static_cast<std::size_t>(std::max(columns - 1, 1)) + 1);
    CHECK(!mentions(line, "  left  left"));
  }
}

TEST_CASE("progress: colour changes what is written, not what is read") {
  Screen plain, coloured;
  for (Screen* screen : {&plain, &coloured}) {
    Progress progress(screen->display(true, screen == &coloured), 0, 4);
    progress.step({.step = 2, .loss = 1, .tokens = 10});
  }
  CHECK(coloured.count('\033') > 0);
  std::string stripped = coloured.written;
  for (const char* code : {"\033[32m", "\033[0m"}) {
    for (std::size_t at = stripped.find(code); at != std::string::npos; at = stripped.find(code)) {
      stripped.erase(at, std::string_view(code).size());
    }
  }
  CHECK(stripped == plain.written);
}

TEST_CASE("progress: a note stays above the bar, and accuracy stays until the next one") {
  Screen screen;
  Progress progress(screen.display(true), 0, 10);
  screen.now = 1;
  progress.step({.step = 1, .loss = 1, .tokens = 10, .accuracy = 50.0});
  progress.note("validation: 50 %");
  screen.now = 2;
  progress.step({.step = 2, .loss = 1, .tokens = 10});
  progress.finish();
  progress.finish();
  const std::string text = screen.visible();
  CHECK(text.substr(0, text.find('\n')) == "validation: 50 %");
  CHECK(mentions(text, "2/10  loss 1  labels 50.0 %"));
  CHECK(std::count(text.begin(), text.end(), '\n') == 2);
}

TEST_CASE("progress: a loss that is not a number is shown as it is") {
  Screen screen;
  Progress progress(screen.display(false), 0, 2);
  progress.step({.step = 1, .loss = std::numeric_limits<double>::quiet_NaN(), .tokens = 1});
  CHECK(mentions(screen.written, "loss nan"));
}

TEST_CASE("quantities: durations as people say them") {
  CHECK(human_duration(0) == "0.0 s");
  CHECK(human_duration(0.44) == "0.4 s");
  CHECK(human_duration(9.94) == "9.9 s");
  CHECK(human_duration(9.96) == "10 s");
  CHECK(human_duration(59.6) == "1 min 00 s");
  CHECK(human_duration(192) == "3 min 12 s");
  CHECK(human_duration(3599.7) == "1 h 00 min");
  CHECK(human_duration(3900) == "1 h 05 min");
  CHECK(human_duration(86400 * 2 + 3 * 3600) == "2 d 03 h");
  CHECK(human_duration(-1) == "?");
  CHECK(human_duration(1e300) == "?");
  CHECK(human_duration(std::numeric_limits<double>::quiet_NaN()) == "?");
}

TEST_CASE("quantities: counts in three digits, and with thousands separated") {
  CHECK(human_count(0) == "0");
  CHECK(human_count(999.4) == "999");
  CHECK(human_count(999.6) == "1.00k");
  CHECK(human_count(12345) == "12.3k");
  CHECK(human_count(1.2e6) == "1.20M");
  CHECK(human_count(4.19e9) == "4.19G");
  CHECK(human_count(99960) == "100k");
  CHECK(human_count(1e30) == "1000000000000000P");
  CHECK(human_count(-1500) == "-1.50k");
  CHECK(human_count(std::numeric_limits<double>::infinity()) == "?");
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1,000");
  CHECK(grouped(129135360) == "129,135,360");
  CHECK(grouped(-123456) == "-123,456");
  CHECK(grouped(std::numeric_limits<std::int64_t>::min()) == "-9,223,372,036,854,775,808");
}

}  // namespace
}  // namespace farsight
