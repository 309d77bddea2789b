// model.storage = "bf16": a run in which nothing that training carries on is wider than bf16.
#include <doctest/doctest.h>

#include <algorithm>

#include "core/safetensors.h"
#include "tests/temporary_folder.h"
#include "tests/tiny_run.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

bool all_bf16(const Tensor& values) {
  return std::ranges::all_of(values.span<float>(),
                             [](float x) { return static_cast<float>(bf16(x)) == x; });
}

TEST_CASE("storage: in bf16 a run trains, stops and goes on with bf16's values alone") {
  for (const char* dtype : {"f32", "bf16"}) {
    INFO("computed in ", std::string(dtype));
    const TemporaryFolder folder;
    const auto flags = [&](const char* name, const char* storage) {
      return tiny_flags({{"run.out", (folder / name).string()},
                         {"run.dtype", dtype},
                         {"train.lr", "1e-2"},
                         {"model.storage", storage}});
    };
    TinyRun whole(flags("whole", "bf16"));
    CHECK(all_bf16(whole.model.parameters->values()));
    const std::string hash = whole.train();
    CHECK(whole.state.step == 24);
    CHECK(all_bf16(whole.model.parameters->values()));
    const fs::path last = folder / "whole" / "step-00000024" / "optimizer.safetensors";
    const SafetensorsFile moments(last);
    for (const StoredTensor& stored : moments.tensors()) {
      INFO(stored.name);
      CHECK(all_bf16(moments.load(stored.name)));
    }

    struct Stopped {};
    TinyRun first(flags("parts", "bf16")), second(flags("parts", "bf16"));
    const auto stop_at_9 = [](int step) {
      if (step == 9) throw Stopped();
    };
    CHECK_THROWS_AS(first.train(stop_at_9), Stopped);
    CHECK(second.train() == hash);

    TinyRun wide(flags("wide", "f32"));
    CHECK(wide.train() != hash);
    CHECK_FALSE(all_bf16(wide.model.parameters->values()));
  }
}

}  // namespace
}  // namespace farsight
