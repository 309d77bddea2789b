#include "eval/report/figure.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <limits>
#include <string>

#include "core/safetensors.h"
#include "tests/report_example.h"
#include "tests/skip.h"
#include "tests/temporary_folder.h"

using namespace farsight;

namespace {

namespace fs = std::filesystem;

const Gnuplot kNoGnuplot{.program = "/nonexistent/gnuplot"};
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

bool have_gnuplot() {
  return std::system("command -v gnuplot > /dev/null 2>&1") == 0;  // NOLINT(cert-env33-c)
}

/// A program that does what its text says in the place of gnuplot.
Gnuplot pretender(const TemporaryFolder& folder, const std::string& text, double seconds = 30) {
  const fs::path path = folder / "pretender";
  write_plainly(path, "#!/bin/sh\n" + text);
  fs::permissions(path, fs::perms::owner_all);
  return {.program = path.string(), .timeout_seconds = seconds};
}

}  // namespace

TEST_CASE("figure: the CSV of lines has every number, gaps and absent points apart") {
  const TemporaryFolder folder;
  LineFigure figure{.caption = "c", .x_label = "length, tokens", .y_label = "y"};
  figure.series = {{.name = "a \"b\"", .points = {{64, 0.1}, {128, kNan}, {256, 1.0 / 3}}},
                   {.name = "c", .points = {{128, 5, 4, 6}, {512, 7}}}};
  const Figure written = write_figure(folder.path(), "lines", figure, kNoGnuplot);
  CHECK(read_plainly(folder / "lines.csv") ==
        "\"length, tokens\",\"a \"\"b\"\"\",c,\"c, low\",\"c, high\"\n"
        "64,0.1,,,\n128,nan,5,4,6\n256,0.3333333333333333,,,\n512,,7,,\n");
  CHECK(written.data.rows.size() == 4);
  CHECK(written.data.rows[2][1].text == "0.33333");
  CHECK(mentions(read_plainly(folder / "lines.gp"), "title 'a \"b\"'"));
}

TEST_CASE("figure: without gnuplot there are data, script and a sentence") {
  const TemporaryFolder folder;
  write_plainly(folder / "noise.svg", "an older picture");
  const Figure figure = write_figure(folder.path(), "noise", example_lines(), kNoGnuplot);
  CHECK(figure.svg.empty());
  CHECK(figure.note ==
        "No picture: /nonexistent/gnuplot is not installed. `gnuplot noise.gp` draws it from the "
        "data.");
  CHECK(!fs::exists(folder / "noise.svg"));
  CHECK(fs::exists(folder / "noise.csv"));
  CHECK(fs::exists(folder / "noise.gp"));
  CHECK(figure.files.size() == 2);
  // The page has the numbers in its place.
  const std::string html = to_html({.title = "T", .sections = {{"S", {figure}}}});
  CHECK(mentions(html, "<th scope=\"row\" class=\"number\">64</th>"));
  CHECK(mentions(html, "is not installed"));
}

TEST_CASE("figure: a gnuplot that fails or hangs costs the picture alone") {
  const TemporaryFolder folder;
  const Gnuplot failing = pretender(folder, "echo; echo 'line 3: <bad> command' >&2; exit 1\n");
  Figure figure = write_figure(folder.path(), "noise", example_lines(), failing);
  CHECK(mentions(figure.note, "failed: line 3: <bad> command"));
  CHECK(figure.svg.empty());
  const Gnuplot hanging = pretender(folder, "exec sleep 600\n", 0.1);
  figure = write_figure(folder.path(), "noise", example_lines(), hanging);
  CHECK(mentions(figure.note, "did not finish within 0.1 s"));
  const Gnuplot killed = pretender(folder, "kill -9 $$\n");
  figure = write_figure(folder.path(), "noise", example_lines(), killed);
  CHECK(mentions(figure.note, "was ended by signal 9"));
  const Gnuplot idle = pretender(folder, "exit 0\n");
  figure = write_figure(folder.path(), "noise", example_lines(), idle);
  CHECK(mentions(figure.note, "drew nothing"));
  const Gnuplot odd = pretender(folder, "echo 'not a picture' > noise.svg\n");
  figure = write_figure(folder.path(), "noise", example_lines(), odd);
  CHECK(figure.svg.empty());
  CHECK(!fs::exists(folder / "noise.svg"));
}

TEST_CASE("figure: nothing to draw is said, not drawn") {
  const TemporaryFolder folder;
  write_figure(folder.path(), "lines", example_lines(), kNoGnuplot);
  Figure figure = write_figure(folder.path(), "lines", LineFigure{.caption = "c"}, kNoGnuplot);
  CHECK(figure.note == "There are no numbers yet.");
  CHECK(!fs::exists(folder / "lines.gp"));
  CHECK(read_plainly(folder / "lines.csv") == "x\n");
  const BarFigure bars{.caption = "c", .groups = {"a"}, .series = {{"s", {std::nullopt}}}};
  figure = write_figure(folder.path(), "bars", bars, kNoGnuplot);
  CHECK(figure.note == "There are no numbers yet.");
}

TEST_CASE("figure: the CSV of bars numbers its groups") {
  const TemporaryFolder folder;
  write_figure(folder.path(), "bars", example_bars(), kNoGnuplot);
  CHECK(read_plainly(folder / "bars.csv") ==
        "index,group,trained on standard,trained on last,\"trained on last, low\",\"trained on "
        "last, high\"\n"
        "0,0–25 %,88,4,2,6\n1,25–50 %,7,6.5,5,8\n2,50–75 %,3,,,\n3,75–100 %,2,72.1,66,78\n");
  CHECK(mentions(read_plainly(folder / "bars.gp"), "'0–25 %%' 0"));
}

TEST_CASE("figure: a large matrix is drawn as means of blocks and kept whole beside") {
  const TemporaryFolder folder;
  HeatMap figure{.caption = "c"};
  HeatMap::Panel panel{.title = "t", .rows = 600, .columns = 2};
  for (int i = 0; i < 1200; i++) {
    panel.values.push_back(static_cast<float>(i));
  }
  panel.values[0] = std::numeric_limits<float>::quiet_NaN();
  figure.panels.push_back(panel);
  const Figure written = write_figure(folder.path(), "matrix", figure, kNoGnuplot);
  const std::string csv = read_plainly(folder / "matrix.csv");
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 200);
  // Rows 0 to 2 of the first column are nan, 2, 4; of the second 1, 3, 5.
  CHECK(csv.starts_with("3,3\n8,9\n"));
  CHECK(mentions(written.note, "Drawn as means of blocks of up to 3 x 1 cells"));
  CHECK(mentions(written.note, "99.5th percentile"));
  const SafetensorsFile whole(folder / "matrix.safetensors");
  const Tensor values = whole.load("panel-0001");
  CHECK(values.dim(0) == 600);
  CHECK(values.data<float>()[1199] == 1199);
  CHECK(whole.metadata().at("panel-0001") == "t");
  // A small one has all values in its CSV, and the old file of others is gone.
  figure.panels[0] = {.rows = 1, .columns = 2, .values = {0.25F, -1.0F}};
  figure.scale = Range{-1, 1};
  const Figure small = write_figure(folder.path(), "matrix", figure, kNoGnuplot);
  CHECK(read_plainly(folder / "matrix.csv") == "0.25,-1\n");
  CHECK(!fs::exists(folder / "matrix.safetensors"));
  CHECK(!mentions(small.note, "percentile"));
}

TEST_CASE("figure: what does not fit together is refused") {
  const TemporaryFolder folder;
  CHECK(mentions(error_of([&] { write_figure(folder.path(), "../x", example_lines()); }),
                 "must consist of letters"));
  CHECK(mentions(error_of([&] { write_figure(folder.path(), "", example_lines()); }),
                 "must consist of letters"));
  CHECK(mentions(error_of([&] { write_figure(folder.path(), "x", HeatMap{.caption = "c"}); }),
                 "must have a panel"));
  HeatMap figure{.caption = "c"};
  figure.panels.push_back({.title = "t", .rows = 2, .columns = 2, .values = {1, 2, 3}});
  CHECK(mentions(error_of([&] { write_figure(folder.path(), "x", figure); }),
                 "must have 2 x 2 values, got 3"));
  BarFigure bars{.caption = "c", .groups = {"a", "b"}, .series = {{"s", {1.0}}}};
  CHECK(mentions(error_of([&] { write_figure(folder.path(), "x", bars); }), "one value a group"));
  CHECK(folder.entries() == 0);
  write_plainly(folder / "file", "");
  ExitCode code = ExitCode::ok;
  error_of([&] { write_figure(folder / "file", "x", example_lines(), kNoGnuplot); }, &code);
  CHECK(code == ExitCode::storage);
}

TEST_CASE("figure: gnuplot draws every kind, with hostile names as text") {
  if (!have_gnuplot()) return skip("gnuplot is not installed");
  const TemporaryFolder folder;
  LineFigure lines = example_lines();
  lines.x_label = lines.y_label = lines.series[0].name = kHostileName;
  const Figure line = write_figure(folder.path(), "lines", lines);
  CHECK_MESSAGE(line.note.empty(), line.note);
  CHECK(line.files.front() == folder / "lines.svg");
  CHECK(read_plainly(folder / "lines.svg") == line.svg);
  CHECK(mentions(line.svg, "&lt;script"));
  CHECK(!mentions(line.svg, "<script"));
  CHECK(!mentions(line.svg, "<title>"));
  BarFigure bars = example_bars();
  bars.groups[0] = bars.series[0].name = kHostileName;
  const Figure bar = write_figure(folder.path(), "bars", bars);
  CHECK_MESSAGE(bar.note.empty(), bar.note);
  CHECK(!bar.svg.empty());
  HeatMap grid = example_matrices(5, 3, 40);
  grid.panels[1].title = kHostileName;
  grid.panels[2].values[5] = std::numeric_limits<float>::quiet_NaN();
  const Figure heat = write_figure(folder.path(), "heat", grid);
  std::size_t images = 0;
  for (std::size_t at = heat.svg.find("<image"); at != std::string::npos;
       at = heat.svg.find("<image", at + 1)) {
    images++;
  }
  CHECK(images == 5);
  CHECK(mentions(heat.svg, "data:image/png;base64,"));
}

TEST_CASE("figure: gnuplot draws the smallest and odd cases") {
  if (!have_gnuplot()) return skip("gnuplot is not installed");
  const TemporaryFolder folder;
  const auto drawn = [&](const auto& figure) {
    const Figure written = write_figure(folder.path(), "f", figure);
    CHECK_MESSAGE(!written.svg.empty(), written.note);
  };
  for (const auto& [rows, columns] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {1, 7}, {7, 1}, {2, 2}, {300, 1}, {3, 700}}) {
    HeatMap figure{.caption = "c"};
    HeatMap::Panel panel{.rows = rows, .columns = columns};
    panel.values.assign(static_cast<std::size_t>(rows * columns), 0.0F);
    figure.panels.push_back(panel);
    CAPTURE(rows);
    CAPTURE(columns);
    drawn(figure);
  }
  LineFigure one{.caption = "c", .log_x = true, .log_y = true, .marks = false};
  one.series = {{.name = "a", .points = {{5, 2}}}};
  drawn(one);
  one.series[0].points = {{0, -1}, {1, 1e-9}, {2, 1e9}};
  drawn(one);
  one.series[0].points = {{1, 1e-9}, {2, 1e9}};
  drawn(one);
  drawn(BarFigure{.caption = "c", .groups = {"a"}, .series = {{"s", {0.0}}}});
}

TEST_CASE("figure: a page with a matrix of 2048 x 2048 stays light") {
  if (!have_gnuplot()) return skip("gnuplot is not installed");
  const TemporaryFolder folder;
  HeatMap figure{.caption = "c"};
  HeatMap::Panel panel{.rows = 2048, .columns = 2048};
  panel.values.resize(2048 * 2048);
  unsigned state = 1;  // noise, which no picture format makes small
  for (float& value : panel.values) {
    state = state * 1664525U + 1013904223U;
    value = static_cast<float>(state >> 8);
  }
  figure.panels.push_back(std::move(panel));
  const Figure written = write_figure(folder.path(), "matrix", figure);
  const std::string html = to_html({.title = "T", .sections = {{"S", {written}}}});
  CHECK(html.size() > 10'000);
  CHECK(html.size() < 1'000'000);
}
