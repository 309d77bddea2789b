// The tape itself, with operations small enough to differentiate in one's head.
#include "autograd/tape.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/temporary_folder.h"
#include "tests/tiny_operations.h"

namespace farsight {
namespace {

/// (2x, 3x): an operation of two outputs, of which a caller may use one.
std::vector<Tensor> two_outputs(const Tensor& x, std::vector<bool>* used) {
  Tensor y = Tensor::empty(x.shape(), DType::f64), z = Tensor::empty(x.shape(), DType::f64);
  record("test", {&y, &z}, {&x}, [slot = Slot(x), used](std::span<const Tensor> d) {
    *used = {static_cast<bool>(d[0]), static_cast<bool>(d[1])};
    for (std::size_t i = 0; i < 2; i++) {
      if (!d[i]) continue;
      Numbers dx = numbers(d[i]);
      for (double& v : dx) {
        v *= i == 0 ? 2 : 3;
      }
      give(slot.sink(), dx);
    }
  });
  return {y, z};
}

}  // namespace

TEST_CASE("tape: fan-out adds up, and so does one tensor used twice by one operation") {
  const Tensor x = leaf(vector_of({2, 3}));
  Tape tape;
  const Tensor y = sum({scaled(x, 5), times(x, x), scaled(scaled(x, 2), 10)});
  CHECK(tape.size() == 5);
  run_backward(tape, y);
  CHECK(gradient(x) == Numbers{5 + 4 + 20, 5 + 6 + 20});
  CHECK(tape.size() == 0);
}

TEST_CASE("tape: an unused output comes as an empty gradient, an unused operation does not run") {
  for (const bool first : {true, false}) {
    const Tensor x = leaf(vector_of({1}));
    const Tensor unused_input = leaf(vector_of({1}));
    std::vector<bool> used;
    Tape tape;
    const std::vector<Tensor> both = two_outputs(x, &used);
    scaled(unused_input, 3);
    run_backward(tape, scaled(both[first ? 0 : 1], 10));
    CHECK(used == std::vector<bool>{first, !first});
    CHECK(gradient(x) == Numbers{first ? 20.0 : 30.0});
    CHECK_FALSE(unused_input.grad->filled);
    CHECK(unused_input.grad->uses == 0);
  }
}

TEST_CASE("tape: a preset buffer is written in place, and added to when it is filled") {
  const Tensor flat = Tensor::zeros({4}, DType::f64);
  const Tensor w = leaf(vector_of({1, 1}));
  w.grad->value = flat.slice_flat(2, {2});
  for (const double expected : {7.0, 14.0}) {
    Tape tape;
    run_backward(tape, scaled(w, 7));
    CHECK(numbers(flat) == Numbers{0, 0, expected, expected});
  }
}

TEST_CASE("tape: a reshaped tensor and the original share one gradient, each in its own shape") {
  const Tensor x = leaf(vector_of({1, 2, 3, 4}));
  Shape seen;
  Tape tape;
  Tensor h = Tensor::empty({2, 2}, DType::f64);
  record("test", {&h}, {&x}, [slot = Slot(x), &seen](std::span<const Tensor> dy) {
    seen = dy[0].shape();
    give(slot.sink(), numbers(dy[0]));
  });
  const Tensor as_row = scaled(h.reshape({1, 4}), 10), as_square = scaled(h, 1);
  run_backward(tape, sum({as_row, as_square.reshape({1, 4}), h.reshape({1, 4})}));
  CHECK(seen == Shape{2, 2});
  CHECK(gradient(x) == Numbers{12, 12, 12, 12});
  CHECK(x.grad->value.shape() == Shape{4});
}

TEST_CASE("tape: ready fires once, after the last reader, also when a reader did not matter") {
  const Tensor x = leaf(vector_of({1}));
  std::vector<Numbers> at_ready;
  x.grad->ready = [&] { at_ready.push_back(gradient(x)); };
  Tape tape;
  const Tensor y = scaled(x, 2);
  scaled(x, 100);
  const Tensor z = times(y, scaled(x, 3));
  run_backward(tape, z);
  CHECK(at_ready == std::vector<Numbers>{{12}});
}

TEST_CASE("tape: a dropped tape leaves no trace in the leaves") {
  const Tensor x = leaf(vector_of({1}));
  int fired = 0;
  x.grad->ready = [&] { fired++; };
  {
    const Tape tape;
    split(scaled(x, 2), {1});
    split(x, {1});
    CHECK(x.grad->uses == 2);
  }
  CHECK(x.grad->uses == 0);
  CHECK(x.grad->parts.empty());
  CHECK(fired == 0);
  CHECK_FALSE(x.grad->filled);
  Tape tape;
  run_backward(tape, scaled(x, 4));
  CHECK(gradient(x) == Numbers{4});
  CHECK(fired == 1);
}

TEST_CASE("tape: nothing is recorded without a tape, without a wanted gradient, or under NoTape") {
  const Tensor x = leaf(vector_of({1}));
  CHECK_FALSE(scaled(x, 2).grad);
  Tape tape;
  CHECK_FALSE(scaled(vector_of({1}), 2).grad);
  {
    const NoTape paused;
    CHECK_FALSE(recording({&x}));
    CHECK_FALSE(scaled(x, 2).grad);
  }
  CHECK(recording({&x}));
  CHECK(tape.size() == 0);
  {
    const Tape inner;
    scaled(x, 2);
    CHECK(inner.size() == 1);
  }
  CHECK(tape.size() == 0);
  scaled(x, 2);
  CHECK(tape.size() == 1);
}

TEST_CASE("tape: an output that reuses its input's tensor gets a gradient of its own") {
  const Tensor x = leaf(vector_of({3}));
  Tape tape;
  Tensor y = x;  // as an operation does that works in place
  record("test", {&y}, {&x}, [slot = Slot(x)](std::span<const Tensor> dy) {
    give(slot.sink(), {5 * numbers(dy[0])[0]});
  });
  CHECK(y.grad != x.grad);
  run_backward(tape, scaled(y, 2));
  CHECK(gradient(x) == Numbers{10});
}

TEST_CASE("tape: what backward cannot start from is refused") {
  const Tensor x = leaf(vector_of({1, 2}));
  const auto starts = [&](Tape& tape, const Tensor& y) {
    return error_of([&] { run_backward(tape, y); });
  };
  Tape tape;
  const Tensor y = scaled(x, 2);
  CHECK(mentions(starts(tape, vector_of({1})), "no recorded operation leads to this tensor"));
  CHECK(mentions(starts(tape, x), "no recorded operation"));
  CHECK(mentions(starts(tape, split(y, {1, 1})[0]), "a part of a split"));
  CHECK(mentions(error_of([&] { tape.backward(y, vector_of({1})); }), "dy must be [2], got [1]"));
  run_backward(tape, y);
  CHECK(mentions(starts(tape, y), "no recorded operation"));
}

TEST_CASE("tape: a failing backward leaves the leaves countable") {
  const Tensor x = leaf(vector_of({1}));
  {
    Tape tape;
    Tensor y = scaled(x, 2), z = Tensor::empty({1}, DType::f64);
    record("test", {&z}, {&y},
           [](std::span<const Tensor>) { fail(ExitCode::memory, "no memory"); });
    CHECK(error_of([&] { run_backward(tape, z); }) == "no memory");
  }
  CHECK(x.grad->uses == 0);
}

}  // namespace farsight
