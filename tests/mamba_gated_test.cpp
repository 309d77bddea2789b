// A whole Mamba with each of the gates: packed rows, pieces, bf16, gradients, dropout, files, runs.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "autograd/tape.h"
#include "core/safetensors.h"
#include "models/mamba.h"
#include "models/model.h"
#include "ops/linear.h"
#include "ops/linear_cross_entropy.h"
#include "tests/naive_gate.h"
#include "tests/temporary_folder.h"
#include "tests/tiny_run.h"
#include "train/checkpoint.h"
#include "train/exchange.h"

namespace farsight {
namespace {

/// Logits [B * T, V] of every position.
Tensor all_logits(Mamba& mamba, const Tensor& tokens, const Tensor* position = nullptr,
                  MambaState* state = nullptr) {
  const NoTape inference;
  const Tensor rows = all_rows(tokens.elements());
  return linear(mamba.features(tokens, rows, position, state), mamba.head().operand).to(DType::f64);
}

TEST_CASE("mamba gates: packed rows give what separate rows give") {
  for (const GateKind kind : kKinds) {
    INFO(name(kind));
    Mamba mamba(small_gated(kind), Device::cpu, DType::f64);
    shake(mamba.parameters(), 7);
    const Tokens first = some_tokens(7, 13), second = some_tokens(20, 11);
    Tokens joined = first, position(7);
    joined.insert(joined.end(), second.begin(), second.end());
    std::iota(position.begin(), position.end(), 0);
    for (int t = 0; t < 20; t++) {
      position.push_back(t);
    }
    const Tensor where = indices(position, {1, 27});
    const Tensor packed = all_logits(mamba, indices(joined, {1, 27}), &where);
    CHECK(distance(packed.range(0, 7), all_logits(mamba, indices(first, {1, 7}))) <= 1e-12);
    CHECK(distance(packed.range(7, 20), all_logits(mamba, indices(second, {1, 20}))) <= 1e-12);
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
    for (const std::vector<std::int64_t>& lengths :
         {std::vector<std::int64_t>(T, 1), std::vector<std::int64_t>{1, 2, 11, 3, 5, 1}}) {
      MambaState state = mamba.empty_state(2);
      std::int64_t begin = 0;
      for (const std::int64_t length : lengths) {
        Tokens piece;
        for (std::int64_t b = 0; b < 2; b++) {
          const auto from = tokens.begin() + b * T + begin;
          piece.insert(piece.end(), from, from + length);
        }
        const Tensor part = all_logits(mamba, indices(piece, {2, length}), nullptr, &state);
        for (std::int64_t b = 0; b < 2; b++) {
          CHECK(distance(part.range(b * length, length), whole.range(b * T + begin, length)) <=
                1e-10);
        }
        begin += length;
      }
      CHECK(begin == T);
    }
  }
}

TEST_CASE("mamba gates: computing in bf16 stays close to f32") {
  for (const GateKind kind : kKinds) {
    INFO(name(kind));
    MambaConfig config = small_gated(kind);
    config.d_model = 32;
    Mamba exact(config, Device::cpu, DType::f32), rounded(config, Device::cpu, DType::bf16);
    exact.parameters().initialise(11);
    rounded.parameters().initialise(11);
    const Tensor tokens = indices(some_tokens(40, 13), {2, 20});
    const double error = distance(all_logits(rounded, tokens), all_logits(exact, tokens));
    CHECK(error <= 0.04);
    CHECK(error > 1e-6);
  }
}

/// Loss of the labelled rows and, when `learn`, its gradients.
double loss_of(Mamba& mamba, const Tensor& tokens, const Tensor* position, const Tensor* pass,
               bool learn) {
  const Tensor rows = indices({1, 2, 9, 10, 15, 21}, {6});
  const Tensor targets = indices({3, 0, 12, 7, 7, 1}, {6});
  mamba.parameters().forget_gradients();
  const Tensor one = Tensor::zeros({1}, DType::f64);
  one.data<double>()[0] = 1;
  Tape tape;
  const Tensor loss = linear_cross_entropy(mamba.features(tokens, rows, position, nullptr, pass),
                                           mamba.head().operand, targets, 1.0 / 6);
  const double value = loss.data<double>()[0];
  if (learn) tape.backward(loss, one);
  if (learn) mamba.parameters().complete_gradients();
  return value;
}

TEST_CASE("mamba gates: gradients of a whole model equal central differences, dropout and all") {
  const Tensor tokens = indices(some_tokens(22, 13), {2, 11});
  const Tensor packed =
      indices({0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {2, 11});
  const Tensor pass = indices({5, -9}, {2});
  for (const GateKind kind : kKinds) {
    for (const Tensor* position : {static_cast<const Tensor*>(nullptr), &packed}) {
      Mamba mamba(small_gated(kind), Device::cpu, DType::f64);
      ParameterStore& parameters = mamba.parameters();
      shake(parameters, 6);
      loss_of(mamba, tokens, position, &pass, true);
      const Tensor gradients = parameters.gradients().to(DType::f64);
      double all = 0;
      for (const double g : gradients.span<double>()) {
        all += g * g;
      }
      all = std::sqrt(all);
      std::uint64_t stream = 100;
      for (const ParameterStore::Entry& entry : parameters.entries()) {
        INFO(name(kind), " ", entry.name, ", packed ", position != nullptr);
        const double* g = gradients.data<double>() + entry.offset;
        double* p = entry.parameter->master.data<double>();
        const Tensor start = entry.parameter->master.to(DType::f64);
        const Tensor direction = random_normal({entry.count}, DType::f64, 8, stream++);
        const double* v = direction.data<double>();
        const auto loss_at = [&](double step) {
          for (std::int64_t i = 0; i < entry.count; i++) {
            p[i] = start.data<double>()[i] + step * v[i];
          }
          return loss_of(mamba, tokens, position, &pass, false);
        };
        // With four points the error is of order h^4; small, for relu and the squashed kernel have
        // kinks.
        constexpr double h = 2e-5;
        const double numeric =
            (8 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12 * h);
        loss_at(0);
        double analytic = 0, norm = 0;
        for (std::int64_t i = 0; i < entry.count; i++) {
          analytic += g[i] * v[i];
          norm += g[i] * g[i];
        }
        CHECK(norm > 0);
        const double floor = std::max(0.1 * std::sqrt(norm), 1e-3 * all);
        CHECK(std::abs(analytic - numeric) <= 2e-6 * std::max(std::abs(numeric), floor));
      }
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
    Mamba mamba(small_gated(kind), Device::cpu, DType::f64);
    shake(mamba.parameters(), 6);
    const double evaluated = loss_of(mamba, tokens, nullptr, nullptr, false);
    const double trained = loss_of(mamba, tokens, nullptr, &one, false);
    CHECK((trained != evaluated) == drops);
    CHECK((trained != loss_of(mamba, tokens, nullptr, &other, false)) == drops);
    CHECK(trained == loss_of(mamba, tokens, nullptr, &one, false));
    CHECK(evaluated == loss_of(mamba, tokens, nullptr, nullptr, false));
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
