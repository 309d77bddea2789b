// The modules that a Mamba layer may have in the place of global selection: their sizes, their first
// values and their formulas, one number at a time.
#include "models/mamba_gates.h"

#include <doctest/doctest.h>

#include "autograd/tape.h"
#include "models/mamba.h"
#include "tests/model_checks.h"
#include "tests/naive_gate.h"

namespace farsight {
namespace {

TEST_CASE("mamba gates: each adds its parameters to a layer of Mamba-130M") {
  const auto extra = [](GateKind kind, std::int64_t taps) {
    const MambaConfig plain{.n_layer = 1};
    MambaConfig gated = plain;
    gated.gate = kind;
    gated.gate_kernel = taps;
    const auto count = [](const MambaConfig& config) {
      return Mamba(config, Device::meta, DType::bf16).parameters().count();
    };
    return count(gated) - count(plain);
  };
  CHECK(extra(longconv, 128) == 198'144);
  CHECK(extra(additive, 128) == 198'144);
  CHECK(extra(concat, 128) == 198'144 + 1'771'392);
  CHECK(extra(dtlinear, 128) == 198'144 + 149'040);
  CHECK(extra(attn, 0) == 9'446'400);
  CHECK(extra(flashlongconv, 128) == 4'919'808);
  CHECK(extra(shortlongconv, 128) == 4'919'808);
}

TEST_CASE("mamba gates: plain Mamba's first parameters are the same beside any of them") {
  Mamba plain(small_config(0), Device::cpu, DType::f64);
  plain.parameters().initialise(3);
  for (const GateKind kind : kKinds) {
    INFO(name(kind));
    Mamba gated(small_gated(kind), Device::cpu, DType::f64);
    gated.parameters().initialise(3);
    for (const ParameterStore::Entry& entry : plain.parameters().entries()) {
      const ParameterStore::Entry* other = gated.parameters().find(entry.name);
      REQUIRE(other != nullptr);
      CHECK(distance(other->parameter->master, entry.parameter->master) == 0);
    }
  }
}

TEST_CASE(
    "mamba gates: they start as the authors' modules do, released ones without Linear biases") {
  for (const Init init : {Init::standard, Init::released}) {
    for (const GateKind kind : kKinds) {
      MambaGate gate({.kind = kind, .inner = 96, .dt_rank = 24, .taps = 32, .init = init});
      ParameterStore store([&](const ParameterVisitor& f) { gate.visit("", f); }, Device::cpu,
                           DType::f64);
      store.initialise(4);
      for (const ParameterStore::Entry& entry : store.entries()) {
        INFO(name(kind), " ", entry.name);
        double squares = 0;
        for (const double x : entry.parameter->master.span<double>()) {
          squares += x * x;
        }
        const double deviation = std::sqrt(squares / static_cast<double>(entry.count));
        const bool linear_bias = entry.name.ends_with(".bias") && entry.name != "module.bias" &&
                                 entry.name != "norm.bias";
        if (entry.name == "norm.bias" || (linear_bias && init == Init::released)) {
          CHECK(deviation == 0);
        } else if (entry.name == "norm.weight") {
          CHECK(deviation == 1);
        } else if (entry.name == "kernel") {
          CHECK(deviation == doctest::Approx(0.002).epsilon(0.05));
        } else if (entry.name == "D") {
          CHECK(deviation == doctest::Approx(1).epsilon(0.25));
        } else {
          CHECK(deviation > 0.02);
          CHECK(deviation < 0.2);
        }
      }
    }
  }
}

TEST_CASE("mamba gates: each computes its formula") {
  constexpr std::int64_t T = 9, I = 12, K = 4;
  for (const GateKind kind : kKinds) {
    INFO(name(kind));
    MambaGate gate({.kind = kind, .inner = I, .dt_rank = 3, .taps = has_taps(kind) ? K : 0});
    ParameterStore store([&](const ParameterVisitor& f) { gate.visit("", f); }, Device::cpu,
                         DType::f64);
    shake(store, 11);
    const Tensor x_in = random_normal({1, T, I}, DType::f64, 5, 1);
    const Tensor u = random_normal({1, T, I}, DType::f64, 5, 2);
    const Tensor q = random_normal({1, T, I}, DType::f64, 5, 3);
    const NoTape inference;
    const Tensor changed = gate.input(x_in, u, {});
    Tensor factor;
    const Tensor stepped = gate.step(x_in, q, {}, &factor);
    const auto rows = [](const Tensor& x) {
      NaiveGate::Rows all;
      for (std::int64_t t = 0; t < T; t++) {
        all.emplace_back(x.data<double>() + t * I, x.data<double>() + (t + 1) * I);
      }
      return all;
    };
    const NaiveGate naive(gate, kind, I, has_taps(kind) ? K : 0);
    const NaiveGate::Rows input = naive.input(rows(x_in), rows(u));
    const NaiveGate::Rows step = naive.step(rows(x_in), rows(q));
    bool differs = false;
    for (std::int64_t i = 0; i < T * I; i++) {
      const auto t = static_cast<std::size_t>(i / I), c = static_cast<std::size_t>(i % I);
      REQUIRE(changed.data<double>()[i] == doctest::Approx(input[t][c]).epsilon(1e-11));
      const double gated = stepped.data<double>()[i] * (factor ? factor.data<double>()[i] : 1.0);
      REQUIRE(gated == doctest::Approx(step[t][c]).epsilon(1e-11));
      differs |= std::abs(gated - q.data<double>()[i]) > 0.1 ||
                 std::abs(changed.data<double>()[i] - u.data<double>()[i]) > 0.1;
    }
    CHECK(differs);
  }
}

}  // namespace
}  // namespace farsight
