// The arena and the tensors in it.
#include "core/tensor.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/arena.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

SegmentSource host_segments(std::int64_t bytes) {
  return {[](std::int64_t size) { return std::aligned_alloc(64, static_cast<std::size_t>(size)); },
          [](void* address, std::int64_t) { std::free(address); }, bytes, true};
}

Tensor counting(const Shape& shape) {
  Tensor t = Tensor::empty(shape, DType::f32);
  for (std::int64_t i = 0; i < t.elements(); i++) {
    t.data<float>()[i] = static_cast<float>(i);
  }
  return t;
}

std::vector<float> values(const Tensor& t) {
  const Tensor dense = t.contiguous();
  return {dense.data<float>(), dense.data<float>() + dense.elements()};
}

}  // namespace

TEST_CASE("arena: rounds to 64 bytes, aligns, and never hands out an address twice") {
  Arena arena(host_segments(4096));
  std::vector<void*> blocks;
  for (const std::int64_t bytes : {0, 1, 63, 64, 65, 1000}) {
    blocks.push_back(arena.allocate(bytes, "block"));
    CHECK(reinterpret_cast<std::uintptr_t>(blocks.back()) % 64 == 0);
    std::memset(blocks.back(), 1, static_cast<std::size_t>(bytes));
  }
  CHECK(arena.in_use_bytes() == 64 * (1 + 1 + 1 + 1 + 2 + 16));
  for (void* block : blocks) {
    arena.release(block);
  }
  CHECK(arena.in_use_bytes() == 0);
  CHECK(arena.peak_bytes() == 64 * 22);
  CHECK(arena.segments() == 1);
}

TEST_CASE("arena: takes the smallest hole that fits, and joins free neighbours") {
  Arena arena(host_segments(64 * 100));
  std::vector<void*> b;
  for (const std::int64_t units : {4, 1, 2, 1, 3, 1, 4, 1}) {
    b.push_back(arena.allocate(64 * units, "block"));
  }
  arena.release(b[0]);
  arena.release(b[2]);
  arena.release(b[4]);
  CHECK(arena.allocate(64 * 2, "exact") == b[2]);
  CHECK(arena.allocate(64 * 3, "next best") == b[4]);
  arena.release(b[2]);
  arena.release(b[4]);
  arena.release(b[3]);  // 2 + 1 + 3 become one hole, as do their neighbours afterwards
  CHECK(arena.allocate(64 * 6, "joined") == b[2]);
  arena.release(b[2]);
  for (const std::size_t i : {7u, 1u, 5u, 6u}) {
    arena.release(b[i]);
  }
  CHECK(arena.allocate(64 * 100, "everything") == b[0]);
  CHECK(arena.segments() == 1);
}

TEST_CASE("arena: blocks of two segments are never joined") {
  Arena arena(host_segments(64 * 4));
  void* a = arena.allocate(64 * 4, "a");
  void* b = arena.allocate(64 * 4, "b");
  arena.release(a);
  arena.release(b);
  CHECK(arena.segments() == 2);
  arena.allocate(64 * 8, "larger than either");
  CHECK(arena.segments() == 3);
  CHECK(arena.reserved_bytes() == 64 * 16);
}

TEST_CASE(
    "arena: segments that hold no block are given back, and those of a graph's pool are not") {
  Arena arena(host_segments(64 * 4));
  void* kept = arena.allocate(64, "kept");
  void* gone = arena.allocate(64 * 8, "gone");
  arena.use_pool(1);
  arena.release(arena.allocate(64 * 4, "of a graph"));
  arena.use_pool(0);
  arena.release_unused_segments();  // all three hold a block, or belong to the graph
  CHECK(arena.reserved_bytes() == 64 * 16);
  arena.release(gone);
  arena.release_unused_segments();
  CHECK(arena.segments() == 2);
  CHECK(arena.reserved_bytes() == 64 * 8);
  void* again = arena.allocate(64 * 8, "again");
  std::memset(again, 1, 64 * 8);
  CHECK(arena.segments() == 3);
  arena.release(again);
  arena.release(kept);
  arena.release_unused_segments();
  CHECK(arena.reserved_bytes() == 64 * 4);
  CHECK(arena.in_use_bytes() == 0);
}

TEST_CASE("arena: the limit and an exhausted source are explained with names and advice") {
  Arena arena(host_segments(4096));
  arena.set_limit(1 << 20);
  arena.allocate(600 << 10, "logits");
  arena.allocate(100 << 10, "weights");
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { arena.allocate(500 << 10, "gradient"); }, &code);
  CHECK(code == ExitCode::memory);
  for (const char* part :
       {"'gradient' needs 500.00 KiB", "700.00 KiB are in use", "the limit is 1.00 MiB",
        "largest holders: logits 600.00 KiB, weights 100.00 KiB", "--train.micro_tokens"}) {
    CAPTURE(message);
    CHECK(mentions(message, part));
  }
  arena.allocate(300 << 10, "still fits");
  Arena none({[](std::int64_t) -> void* { return nullptr; }, [](void*, std::int64_t) {}, 64});
  CHECK(mentions(error_of([&] { none.allocate(1, "x"); }), "out of memory: 'x' needs 1 B"));
  CHECK_THROWS_AS(arena.allocate(-1, "x"), Error);
  CHECK_THROWS_AS(arena.allocate(std::numeric_limits<std::int64_t>::max(), "x"), Error);
}

TEST_CASE("arena: releases of foreign, interior and already free addresses are refused") {
  Arena arena(host_segments(4096));
  auto* block = static_cast<std::byte*>(arena.allocate(256, "block"));
  std::byte elsewhere[128];
  CHECK_THROWS_AS(arena.release(elsewhere), Error);
  CHECK_THROWS_AS(arena.release(block + 64), Error);
  arena.release(block);
  CHECK_THROWS_AS(arena.release(block), Error);
}

TEST_CASE("arena: usage is kept by name, peak and now") {
  Arena arena(host_segments(4096));
  void* a = arena.allocate(128, "small");
  arena.release(arena.allocate(1024, "large"));
  std::vector<Arena::Usage> usage = arena.usage();
  REQUIRE(usage.size() == 2);
  CHECK(usage[0].name == "large");
  CHECK(usage[0].peak_bytes == 1024);
  CHECK(usage[0].now_bytes == 0);
  CHECK(mentions(arena.report(), "large"));
  arena.reset_peak();
  CHECK(arena.peak_bytes() == 128);
  CHECK(arena.usage()[0].name == "small");
  arena.release(a);
}

TEST_CASE("arena: guards notice a write in front of and behind a block, poison a read of nothing") {
  for (const std::int64_t at : {-1, -64, 100, 127}) {
    Arena arena(host_segments(4096));
    arena.set_debug({.guard = true, .poison = true});
    auto* block = static_cast<unsigned char*>(arena.allocate(100, "victim"));
    CHECK(std::isnan(reinterpret_cast<float*>(block)[3]));
    std::memset(block, 0, 100);
    arena.check_guards();
    const unsigned char before = block[at];
    block[at] = 0;
    const std::string expected =
        std::string(at < 0 ? "in front of" : "behind") + " the block 'victim' of 100 bytes";
    CHECK(mentions(error_of([&] { arena.check_guards(); }), expected));
    CHECK(mentions(error_of([&] { arena.release(block); }), expected));
    block[at] = before;
    arena.release(block);
  }
}

TEST_CASE("arena: a meta run counts what the real one does") {
  std::vector<std::int64_t> peaks;
  for (const Device device : {Device::cpu, Device::meta}) {
    Arena& on = arena(device);
    const std::int64_t before = on.in_use_bytes();
    on.reset_peak();
    {
      const Tensor a = Tensor::empty({3, 1000}, DType::f32, device);
      Tensor b = Tensor::zeros({17}, DType::bf16, device);
      b = Tensor::empty({1}, DType::f64, device);
      const Tensor c = a.columns(1, 10).contiguous();
      const Tensor d = a.to(DType::f64);
    }
    CHECK(on.in_use_bytes() == before);
    peaks.push_back(on.peak_bytes() - before);
  }
  CHECK(peaks[0] == peaks[1]);
  CHECK(Tensor::empty({1 << 20, 1 << 20}, DType::f64, Device::meta).bytes() == std::int64_t{1}
                                                                                   << 43);
}

TEST_CASE("tensor: views address the right elements") {
  const Tensor t = counting({2, 3, 4});
  CHECK(values(t.columns(1, 2)) == std::vector<float>{1, 2, 5, 6, 9, 10, 13, 14, 17, 18, 21, 22});
  CHECK(values(t.range(1, 1).columns(3, 1)) == std::vector<float>{15, 19, 23});
  CHECK(values(t.columns(0, 2).range(1, 1).reshape({3, 2})) ==
        std::vector<float>{12, 13, 16, 17, 20, 21});
  CHECK(values(t.columns(2, 2).columns(1, 1)) == std::vector<float>{3, 7, 11, 15, 19, 23});
  CHECK(t.columns(4, 0).elements() == 0);
  CHECK(t.range(2, 0).elements() == 0);
  CHECK(t.reshape({24}).slice_flat(5, {2, 2}).ptr() == t.data<float>() + 5);
  CHECK(t.reshape({6, 4}).shape() == Shape{6, 4});
  t.columns(1, 2).fill_zero();
  CHECK(values(t) == std::vector<float>{0,  0, 0, 3,  4,  0, 0, 7,  8,  0, 0, 11,
                                        12, 0, 0, 15, 16, 0, 0, 19, 20, 0, 0, 23});
}

TEST_CASE("tensor: a dense tensor is its own contiguous copy, a view keeps the bytes alive") {
  const Tensor t = counting({2, 2});
  CHECK(t.contiguous().ptr() == t.ptr());
  const std::int64_t before = arena(Device::cpu).in_use_bytes();
  {
    Tensor view = counting({4, 100}).range(2, 1);
    CHECK(values(view)[0] == 200);
    CHECK(arena(Device::cpu).in_use_bytes() > before);
    CHECK_FALSE(view.without_bytes());
  }
  CHECK(arena(Device::cpu).in_use_bytes() == before);
}

TEST_CASE("tensor: conversion, also of strided views, and of what does not fit") {
  const Tensor t = counting({300, 3}).columns(1, 2);
  const Tensor wide = t.to(DType::f64);
  CHECK(wide.data<double>()[599] == 899.0);
  const Tensor narrow = t.to(DType::bf16);
  CHECK(static_cast<float>(narrow.data<bf16>()[599]) ==
        900.0f);  // 899 has ten bits: 896 + 3 rounds to 900
  CHECK(values(narrow.to(DType::f32))[0] == 1.0f);
  CHECK(mentions(error_of([&] { t.to(DType::i32); }), "expected a float type, got i32"));
}

TEST_CASE("tensor: misuse is refused with the shapes") {
  const Tensor t = counting({2, 3});
  const auto refused = [](const auto& f, const char* text) { CHECK(mentions(error_of(f), text)); };
  refused([&] { t.reshape({4}); }, "reshape: [4] has not the elements of [2, 3]");
  refused([&] { t.columns(0, 2).reshape({4}); }, "a strided view [2, 2] keeps its last dimension");
  refused([&] { t.columns(2, 2); }, "columns: [2, 4) of the last dimension of [2, 3]");
  refused([&] { t.columns(-1, 1); }, "columns");
  refused([&] { t.range(1, 2); }, "range: [1, 3) of the first dimension of [2, 3]");
  refused([&] { t.slice_flat(0, {1}); }, "slice_flat");
  refused([&] { t.data<double>(); }, "asked for f64 elements of a f32 tensor of shape [2, 3]");
  refused([&] { t.columns(0, 1).span<float>(); }, "dense CPU tensor");
  refused([&] { t.dim(2); }, "dimension 2 of [2, 3]");
  refused([&] { t.dim(-3); }, "dimension -3");
  refused([&] { Shape({1, -1}); }, "negative size in [1, -1]");
  refused([&] { Shape({1, 1, 1, 1, 1, 1}); }, "at most 5 dimensions");
  refused([&] { Tensor::from<float>(std::vector<float>(3), {2}); },
          "3 values do not fill shape [2]");
  refused([&] { Tensor::empty({1ll << 32, 1ll << 32}, DType::f32, Device::meta); }, "overflows");
  CHECK(t.dim(-1) == 3);
  CHECK(Shape{}.elements() == 1);
  CHECK(Shape({3, 0, 2}).rows() == 0);
}

}  // namespace farsight
