// A whole Mamba with each of the gates: packed rows, pieces, bf16, gradients, dropout, files, runs.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "core/safetensors.h"
#include "models/mamba.h"
#include "models/model.h"
#include "tests/model_checks.h"
#include "tests/naive_gate.h"
#include "tests/temporary_folder.h"
#include "tests/tiny_run.h"
#include "train/checkpoint.h"
#include "train/exchange.h"

namespace farsight {
namespace {

TEST_CASE("mamba gates: packed rows give what separate rows give") {
  for (const GateKind kind : kKinds) {
    INFO(name(kind));
    Mamba mamba(small_gated(kind), Device::cpu, DType::f64);
    shake(mamba.parameters(), 7);
    check_packed_rows(mamba, 7, 20);
  }
}

TEST_CASE("mamba gates: token by token and in pieces they compute what one pass computes") {
  constexpr std::int64_t T = 23;
  for (const GateKind kind : kKinds) {
    INFO(name(kind));
    Mamba mamba(small_gated(kind, kind == attn), Device::cpu, DType::f64);
    shake(mamba.parameters(), 9);
    const Tokens tokens = some_tokens(2 * T, 13);
    const Tensor whole = all_logits(mamba, indices(tokens, {2, T}));
    for (const Lengths& lengths : {one_by_one(T), Lengths{1, 2, 11, 3, 5, 1}}) {
      const Tensor logits = in_pieces(mamba, tokens, lengths);
      for (std::int64_t row = 0; row < 2 * T; row++) {
        INFO(lengths.size(), " pieces, row ", row);
        CHECK(distance(logits.range(row, 1), whole.range(row, 1)) <= 1e-10);
      }
    }
  }
}

TEST_CASE("mamba gates: computing in bf16 stays close to f32") {
  for (const GateKind kind : kKinds) {
    INFO(name(kind));
    MambaConfig config = small_gated(kind);
    config.d_model = 32;
    check_bf16_near_f32<Mamba>(config, 20, 1e-6);
  }
}

TEST_CASE("mamba gates: gradients of a whole model equal central differences, dropout and all") {
  const Tensor pass = indices({5, -9}, {2});
  for (const GateKind kind : kKinds) {
    INFO(name(kind));
    const Model model = make_mamba(small_gated(kind), Device::cpu, DType::f64);
    for (const bool packed : {false, true}) {
      // Small steps, for relu and the squashed kernel have kinks.
      check_gradients(
          model, {.packed = packed, .pass = &pass, .h = 2e-5, .tolerance = 2e-6, .floor = 1e-3});
    }
  }
}

TEST_CASE("mamba gates: dropout is for training, and for the kinds that have it") {
  const Tensor tokens = indices(some_tokens(22, 13), {2, 11});
  const Tensor one = indices({5, -9}, {2}), other = indices({6, -9}, {2});
  for (const GateKind kind : kKinds) {
    INFO(name(kind));
    const bool drops =
        kind == dtlinear || kind == attn || kind == flashlongconv || kind == shortlongconv;
    const Model model = make_mamba(small_gated(kind), Device::cpu, DType::f64);
    shake(*model.parameters, 6);
    const double evaluated = loss_of(model, tokens, nullptr, nullptr, false);
    const double trained = loss_of(model, tokens, nullptr, &one, false);
    CHECK((trained != evaluated) == drops);
    CHECK((trained != loss_of(model, tokens, nullptr, &other, false)) == drops);
    CHECK(trained == loss_of(model, tokens, nullptr, &one, false));
    CHECK(evaluated == loss_of(model, tokens, nullptr, nullptr, false));
  }
}

TEST_CASE("mamba gates: config.json and weights come back, what is no gate is refused") {
  const TemporaryFolder folder;
  for (const GateKind kind : kKinds) {
    INFO(name(kind));
    const MambaConfig config = small_gated(kind, true);
    const Json json = Json::parse(config.to_json().dump(2), "config.json");
    CHECK(MambaConfig::from_json(json).to_json() == config.to_json());
    const Model model = make_mamba(config, Device::cpu, DType::f32);
    shake(*model.parameters, 8);
    std::filesystem::create_directories(folder / name(kind));
    std::vector<NamedTensor> tensors;
    for (const ParameterStore::Entry& entry : model.parameters->entries()) {
      tensors.push_back({entry.name, entry.parameter->master});
    }
    write_plainly(folder / name(kind) / "config.json", json.dump());
    save_safetensors(folder / name(kind) / "model.safetensors", tensors);
    const Model again = model_from(folder / name(kind), Device::cpu, DType::f32);
    CHECK(parameter_hash(again) == parameter_hash(model));
  }
  Json bad = small_gated(concat).to_json();
  bad["gate"] = Json("longcov");
  const std::string message = error_of([&] { MambaConfig::from_json(bad); });
  CHECK(mentions(message, "flashlongconv"));
  MambaConfig without = small_gated(concat);
  without.gate_kernel = 0;
  CHECK(mentions(error_of([&] { Mamba(without, Device::meta, DType::f32); }),
                 "gate concat needs a gate_kernel"));
  MambaConfig odd = small_gated(attn);
  odd.d_model = 3;
  odd.expand = 1;
  CHECK(mentions(error_of([&] { Mamba(odd, Device::meta, DType::f32); }), "even"));
}

TEST_CASE("mamba gates: a run trains with each, stops, and goes on to the same bits") {
  for (const GateKind kind : {attn, flashlongconv}) {
    INFO(name(kind));
    const TemporaryFolder folder;
    const auto flags = [&](const char* out) {
      return tiny_flags({{"run.out", (folder / out).string()},
                         {"run.model", "mamba-gs"},
                         {"train.steps", "12"},
                         {"model.gate", name(kind)}});
    };
    struct Stopped {};
    TinyRun whole(flags("whole")), first(flags("parts")), second(flags("parts"));
    const std::string hash = whole.train();
    const auto stop_at_9 = [](int step) {
      if (step == 9) throw Stopped();
    };
    CHECK_THROWS_AS(first.train(stop_at_9), Stopped);
    CHECK(second.train() == hash);
  }
}

TEST_CASE("mamba gates: a gate without taps, or in another family, is refused in settings") {
  const auto refusal = [](const Flags& flags) {
    return error_of([&] { resolved(tiny_flags(flags)); });
  };
  CHECK(refusal({{"run.model", "mamba-gs"}, {"model.gate", "concat"}}).empty());
  CHECK(refusal({{"model.gate", "attn"}}).empty());
  CHECK(mentions(refusal({{"model.gate", "concat"}}), "--model mamba-gs"));
  CHECK(mentions(refusal({{"model.gate", "longcnv"}}), "longconv"));
  CHECK(mentions(refusal({{"run.model", "pythia"}, {"model.gate", "attn"}}), "pythia"));
}

}  // namespace
}  // namespace farsight
