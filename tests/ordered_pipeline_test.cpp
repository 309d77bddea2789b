#include "data/corpus/ordered_pipeline.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "tests/temporary_folder.h"

namespace farsight {

TEST_CASE("ordered pipeline: it writes in order, and the error thrown is the first in order") {
  for (const int workers : {0, 1, 2, 7}) {
    for (const int bad : {-1, 0, 5, 499}) {
      CAPTURE(workers);
      CAPTURE(bad);
      int read = 0;
      std::vector<int> written;
      struct Item {
        int number = 0, square = 0;
      };
      OrderedPipeline<Item> pipeline({.read =
                                          [&](Item& item) {
                                            item.number = read++;
                                            return item.number < 500;
                                          },
                                      .work =
                                          [&](Item& item) {
                                            if (bad >= 0 && item.number >= bad)
                                              fail(ExitCode::data, "item {}", item.number);
                                            item.square = item.number * item.number;
                                          },
                                      .write = [&](Item& item) { written.push_back(item.square); }},
                                     workers);
      const std::string message = error_of([&] { pipeline.run(); });
      CHECK(message == (bad < 0 ? "" : fmt::format("item {}", bad)));
      REQUIRE(written.size() == static_cast<std::size_t>(bad < 0 ? 500 : bad));
      for (std::size_t i = 0; i < written.size(); i++) {
        CHECK(written[i] == static_cast<int>(i * i));
      }
    }
  }
  struct Nothing {};
  for (const int workers : {0, 1, 3}) {
    OrderedPipeline<Nothing> reading(
        {.read = [](Nothing&) -> bool { fail(ExitCode::storage, "r"); },
         .work = [](Nothing&) {},
         .write = [](Nothing&) {}},
        workers);
    CHECK(error_of([&] { reading.run(); }) == "r");
    OrderedPipeline<Nothing> writing({.read = [](Nothing&) { return true; },
                                      .work = [](Nothing&) {},
                                      .write = [](Nothing&) { fail(ExitCode::storage, "w"); }},
                                     workers);
    CHECK(error_of([&] { writing.run(); }) == "w");
  }
}

TEST_CASE("ordered pipeline: it reads no more than the weight that may be under way") {
  for (const int workers : {0, 1, 2, 7}) {
    CAPTURE(workers);
    int read = 0, written = 0;
    std::atomic<int> under_way = 0;
    int most = 0;  // the reading thread's
    OrderedPipeline<int> pipeline(
        {.read =
             [&](int& item) {
               item = read++;
               most = std::max(most, ++under_way);
               return item < 300;
             },
         .work = [](int&) {},
         .write =
             [&](int& item) {
               written += item == written ? 1 : 0;
               under_way--;
             },
         // The 150th is heavier than all that may be, and passes alone.
         .weight = [](const int& i) -> std::size_t { return i == 150 ? 1000 : 10; },
         .most_weight = 25},
        workers);
    pipeline.run();
    CHECK(written == 300);
    CHECK(most <= 3);
  }
}

}  // namespace farsight
