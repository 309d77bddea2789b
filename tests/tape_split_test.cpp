// split(), whose parts write into one gradient, and checkpoint(), which runs a function twice.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "autograd/tape.h"
#include "tests/temporary_folder.h"
#include "tests/tiny_operations.h"

namespace farsight {

TEST_CASE("split: the parts are views, and their gradients land in the whole without a copy") {
  const Tensor x = leaf(Tensor::from<double>(Numbers{1, 2, 3, 4, 5, 6}, {2, 3}));
  Tape tape;
  const std::vector<Tensor> parts = split(x, {1, 2});
  CHECK(parts[1].ptr() == x.data<double>() + 1);
  CHECK(numbers(parts[1]) == Numbers{2, 3, 5, 6});
  const Tensor a = scaled(parts[0], 10), b = scaled(parts[1], 100);
  Tensor y = Tensor::empty({2, 1}, DType::f64);
  record("tiny", {&y}, {&a, &b}, [sa = Slot(a), sb = Slot(b)](std::span<const Tensor>) {
    give(sa.sink(), {1, 2});
    give(sb.sink(), {3, 4, 5, 6});
  });
  run_backward(tape, y);
  CHECK(gradient(x) == Numbers{10, 300, 400, 20, 500, 600});
}

TEST_CASE("split: parts used, unused, used twice, and the whole used as well, in every order") {
  // Uses of x = [x0 | x1 x2 | x3]: each part twice, the whole once before and once after the split.
  // Every subset of the uses in every order must give the same sums.
  struct Use {
    int part;  // 3: the whole
    double factor;
  };
  const std::vector<Use> all = {{0, 1}, {0, 10}, {1, 2}, {2, 3}, {3, 5}};
  std::vector<int> order = {0, 1, 2, 3, 4};
  do {
    for (unsigned chosen = 1; chosen < 32; chosen++) {
      for (const bool whole_before : {false, true}) {
        const Tensor source = leaf(vector_of({1, 1, 1, 1}));
        Numbers expected(4, 0.0);
        std::vector<Tensor> made;
        Tape tape;
        const Tensor x = scaled(source, 1);
        if (whole_before) {
          made.push_back(scaled(x, 7));
          expected = Numbers(4, 7.0);
        }
        std::vector<Tensor> parts = split(x, {1, 2, 1});
        parts.push_back(x);
        for (const int i : order) {
          if ((chosen >> i & 1) == 0) continue;
          const Use use = all[static_cast<std::size_t>(i)];
          made.push_back(scaled(parts[static_cast<std::size_t>(use.part)], use.factor));
          const std::size_t begins[] = {0, 1, 3, 0}, ends[] = {1, 3, 4, 4};
          for (std::size_t at = begins[use.part]; at < ends[use.part]; at++) {
            expected[at] += use.factor;
          }
        }
        Tensor y = Tensor::empty({1}, DType::f64);
        const Tensor none;
        const auto input = [&](std::size_t i) { return i < made.size() ? &made[i] : &none; };
        std::vector<Slot> slots(made.begin(), made.end());
        record("tiny", {&y}, {input(0), input(1), input(2), input(3), input(4), input(5)},
               [slots, made](std::span<const Tensor>) {
                 for (std::size_t i = 0; i < slots.size(); i++) {
                   give(slots[i].sink(),
                        Numbers(static_cast<std::size_t>(made[i].elements()), 1.0));
                 }
               });
        run_backward(tape, y);
        const bool right = gradient(source) == expected;
        CAPTURE(chosen);
        if (!right) CHECK(gradient(source) == expected);
      }
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("split: no part used leaves the whole without a gradient") {
  const Tensor x = leaf(vector_of({1, 2}));
  const Tensor other = leaf(vector_of({1}));
  Tape tape;
  split(scaled(x, 1), {1, 1});
  run_backward(tape, scaled(other, 3));
  CHECK_FALSE(x.grad->filled);
  CHECK(gradient(other) == Numbers{3});
}

TEST_CASE("split: a leaf with a preset buffer is split anew in every step") {
  const Tensor flat = Tensor::zeros({4}, DType::f64);
  const Tensor w = leaf(vector_of({1, 1, 1, 1}));
  w.grad->value = flat;
  for (int step = 0; step < 3; step++) {
    w.grad->filled = false;
    Tape tape;
    const std::vector<Tensor> parts = split(w, {2, 2});
    run_backward(tape, scaled(parts[1], 5));
    CHECK(numbers(flat) == Numbers{0, 0, 5, 5});
  }
}

TEST_CASE("split: what it cannot do is refused") {
  const Tensor x = leaf(vector_of({1, 2, 3}));
  Tape tape;
  CHECK(mentions(error_of([&] { split(x, {1, 1}); }), "the widths cover 2"));
  CHECK(mentions(error_of([&] { split(x, {2, 2}); }), "columns"));
  const std::vector<Tensor> parts = split(x, {1, 2});
  CHECK(mentions(error_of([&] { split(x, {1, 2}); }), "split once"));
  CHECK(mentions(error_of([&] { split(parts[1], {1, 1}); }), "split once"));
}

TEST_CASE("checkpoint: the same gradients with shared weights, and ready fires once") {
  for (const bool save_memory : {false, true}) {
    const Tensor w = leaf(vector_of({3})), x = leaf(vector_of({2}));
    int runs = 0;
    std::vector<Numbers> ready;
    w.grad->ready = [&] { ready.push_back(gradient(w)); };
    const auto block = [&](const Tensor& h) {
      const Tensor u = times(scaled(h, 1, &runs), w);
      return times(u, w);  // h w^2
    };
    const auto apply = [&](const Tensor& h) {
      return save_memory ? checkpoint(block, h) : block(h);
    };
    Tape tape;
    const Tensor y = times(apply(apply(x)), w);  // x w^5
    if (save_memory) CHECK(tape.size() == 3);
    run_backward(tape, y);
    CHECK(runs == (save_memory ? 4 : 2));
    CHECK(gradient(w) == Numbers{2 * 5 * 81});
    CHECK(gradient(x) == Numbers{243});
    CHECK(ready == std::vector<Numbers>{{2 * 5 * 81}});
    CHECK(w.grad->uses == 0);
  }
}

TEST_CASE("checkpoint: within another one, and around a split of its own input") {
  const Tensor w = leaf(vector_of({1, 2})), x = leaf(vector_of({3, 4, 5, 6}));
  const auto inner = [&](const Tensor& h) {
    const std::vector<Tensor> halves = split(h, {2, 2});
    return times(times(halves[0], halves[1]), w);
  };
  const auto outer = [&](const Tensor& h) { return times(checkpoint(inner, h), w); };
  Tape tape;
  run_backward(tape, checkpoint(outer, x));  // x0 x2 w0^2, x1 x3 w1^2
  CHECK(gradient(x) == Numbers{5, 24, 3, 16});
  CHECK(gradient(w) == Numbers{2 * 15, 2 * 24 * 2});
}

TEST_CASE("checkpoint: takes parts of a split and views of it as input") {
  const Tensor x = leaf(vector_of({2, 3}));
  Tape tape;
  const std::vector<Tensor> parts = split(scaled(x, 1), {1, 1});
  const auto square = [](const Tensor& h) { return times(h, h); };
  run_backward(tape, times(checkpoint(square, parts[0]), checkpoint(square, parts[1])));
  CHECK(gradient(x) == Numbers{2 * 2 * 9, 4 * 2 * 3});
}

TEST_CASE("checkpoint: a function that returns its input, or records nothing, changes nothing") {
  const Tensor x = leaf(vector_of({2}));
  Tape tape;
  const Tensor h = scaled(x, 3);
  const Tensor same = checkpoint([](const Tensor& t) { return t; }, h);
  CHECK(same.grad == h.grad);
  CHECK_FALSE(checkpoint([](const Tensor&) { return vector_of({1}); }, h).grad);
  CHECK(tape.size() == 1);
  run_backward(tape, scaled(same, 5));
  CHECK(gradient(x) == Numbers{15});
}

TEST_CASE("checkpoint: without a tape, and a tape dropped before backward") {
  const Tensor x = leaf(vector_of({2}));
  int runs = 0;
  const auto f = [&](const Tensor& h) { return scaled(h, 3, &runs); };
  CHECK(numbers(checkpoint(f, x)) == Numbers{6});
  {
    Tape tape;
    checkpoint(f, x);
    CHECK(x.grad->uses == 1);
  }
  CHECK(x.grad->uses == 0);
  CHECK(runs == 2);
}

}  // namespace farsight
