// The modules that a Mamba layer may have in the place of global selection: their sizes, their
// formulas one number at a time, packed rows, pieces, gradients, dropout.
#include "models/mamba_gates.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>

#include "autograd/tape.h"
#include "core/safetensors.h"
#include "models/mamba.h"
#include "models/model.h"
#include "ops/linear.h"
#include "ops/linear_cross_entropy.h"
#include "tests/small_mamba.h"
#include "tests/temporary_folder.h"
#include "tests/tiny_run.h"
#include "train/checkpoint.h"
#include "train/exchange.h"

namespace farsight {
namespace {

using enum GateKind;
constexpr std::array kKinds = {longconv, additive,      concat,       dtlinear,
                               attn,     flashlongconv, shortlongconv};

std::string name(GateKind kind) {
  return std::string(name_of(kind));
}

MambaConfig small_gated(GateKind kind, bool some = false) {
  MambaConfig config = small_config(has_taps(kind) ? 5 : 0, some);
  config.gate = kind;
  return config;
}

/// Largest difference, relative to the largest value.
double distance(const Tensor& a, const Tensor& b) {
  REQUIRE(a.elements() == b.elements());
  double most = 0, scale = 0;
  for (std::int64_t i = 0; i < a.elements(); i++) {
    const double difference = std::abs(a.data<double>()[i] - b.data<double>()[i]);
    most = std::isfinite(difference) ? std::max(most, difference) : INFINITY;
    scale = std::max(scale, std::abs(b.data<double>()[i]));
  }
  return most / scale;
}

TEST_CASE("mamba gates: each adds the parameters of models.md to a layer of Mamba-130M") {
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

/// One module in f64 beside loops over one sequence of I channels.
class Naive {
 public:
  using Rows = std::vector<std::vector<double>>;  // [T][channels]

  Naive(MambaGate& gate, GateKind kind, std::int64_t inner, std::int64_t taps)
      : kind_(kind), I_(static_cast<std::size_t>(inner)), K_(static_cast<std::size_t>(taps)) {
    gate.visit("", [&](const std::string& called, Parameter& p) {
      values_[called] = {p.master.data<double>(), p.master.data<double>() + p.shape.elements()};
    });
  }

  Rows input(const Rows& x_in, const Rows& u) const {
    Rows out = u;
    const Rows s = kind_ == additive || kind_ == concat ? convolved(x_in) : Rows();
    for (std::size_t t = 0; t < u.size(); t++) {
      if (kind_ == additive) {
        for (std::size_t c = 0; c < I_; c++) {
          out[t][c] += s[t][c];
        }
      }
      if (kind_ == concat) {
        std::vector<double> both = u[t];
        both.insert(both.end(), s[t].begin(), s[t].end());
        std::vector<double> hidden = linear_of("fc1", both);
        for (double& x : hidden) {
          x = std::max(x, 0.0);
        }
        out[t] = linear_of("fc2", hidden);
      }
    }
    return kind_ == shortlongconv ? flash(u) : out;
  }

  /// q with the gate multiplied in.
  Rows step(const Rows& x_in, const Rows& q) const {
    Rows out = q;
    Rows s;
    if (kind_ == longconv || kind_ == dtlinear) s = convolved(x_in);
    if (kind_ == flashlongconv) s = flash(x_in);
    if (kind_ == attn) s = attended(x_in);
    for (std::size_t t = 0; t < q.size() && !s.empty(); t++) {
      const std::vector<double> more =
          kind_ == dtlinear ? linear_of("fc2", linear_of("fc1", s[t])) : std::vector<double>();
      for (std::size_t c = 0; c < I_; c++) {
        if (kind_ == dtlinear) out[t][c] += more[c];
        if (kind_ == longconv) out[t][c] *= s[t][c];
        if (kind_ == flashlongconv || kind_ == attn) out[t][c] *= silu_of(s[t][c]);
      }
    }
    return out;
  }

 private:
  static double silu_of(double x) { return x / (1 + std::exp(-x)); }
  const std::vector<double>& at(const std::string& called) const { return values_.at(called); }

  std::vector<double> linear_of(const std::string& called, const std::vector<double>& x) const {
    const std::vector<double>&w = at(called + ".weight"), &b = at(called + ".bias");
    std::vector<double> y = b;
    for (std::size_t n = 0; n < y.size(); n++) {
      for (std::size_t k = 0; k < x.size(); k++) {
        y[n] += w[n * x.size() + k] * x[k];
      }
    }
    return y;
  }

  Rows convolved(const Rows& x) const {
    Rows y(x.size(), at("module.bias"));
    for (std::size_t t = 0; t < x.size(); t++) {
      for (std::size_t c = 0; c < I_; c++) {
        for (std::size_t lag = 0; lag < K_ && lag <= t; lag++) {
          y[t][c] += at("module.weight")[c * K_ + K_ - 1 - lag] * x[t - lag][c];
        }
        y[t][c] = silu_of(y[t][c]);
      }
    }
    return y;
  }

  Rows flash(const Rows& x) const {
    Rows y(x.size());
    for (std::size_t t = 0; t < x.size(); t++) {
      std::vector<double> mixed(I_);
      for (std::size_t c = 0; c < I_; c++) {
        mixed[c] = at("D")[c] * x[t][c];
        for (std::size_t lag = 0; lag < K_ && lag <= t; lag++) {
          const double k = at("kernel")[c * K_ + lag];
          const double squashed = std::max(std::abs(k) - 0.003, 0.0) * (k < 0 ? -1 : 1);
          mixed[c] += squashed * x[t - lag][c];
        }
        mixed[c] *= 0.5 * std::erfc(-mixed[c] / std::numbers::sqrt2);
      }
      const std::vector<double> both = linear_of("output", mixed);
      for (std::size_t c = 0; c < I_; c++) {
        y[t].push_back(both[c] / (1 + std::exp(-both[I_ + c])));
      }
    }
    return y;
  }

  std::vector<double> turned(std::vector<double> x, std::size_t t) const {
    for (std::size_t i = 0; i < I_; i += 2) {
      const double angle =
          static_cast<double>(t) * std::pow(1e4, -static_cast<double>(i) / static_cast<double>(I_));
      const double low = x[i], high = x[i + 1];
      x[i] = low * std::cos(angle) - high * std::sin(angle);
      x[i + 1] = high * std::cos(angle) + low * std::sin(angle);
    }
    return x;
  }

  Rows attended(const Rows& x) const {
    Rows y;
    for (std::size_t t = 0; t < x.size(); t++) {
      const std::vector<double> q = turned(linear_of("query", x[t]), t);
      std::vector<double> mean(I_);
      double total = 0;
      for (std::size_t j = 0; j <= t; j++) {
        const std::vector<double> k = turned(linear_of("key", x[j]), j);
        const std::vector<double> v = linear_of("value", x[j]);
        const double weight = std::exp(std::inner_product(q.begin(), q.end(), k.begin(), 0.0) /
                                       std::sqrt(static_cast<double>(I_)));
        total += weight;
        for (std::size_t c = 0; c < I_; c++) {
          mean[c] += weight * v[c];
        }
      }
      for (double& value : mean) {
        value /= total;
      }
      std::vector<double> sum = linear_of("dense", mean);
      double average = 0, variance = 0;
      for (std::size_t c = 0; c < I_; c++) {
        sum[c] += x[t][c];
        average += sum[c] / static_cast<double>(I_);
      }
      for (const double value : sum) {
        variance += (value - average) * (value - average) / static_cast<double>(I_);
      }
      for (std::size_t c = 0; c < I_; c++) {
        sum[c] = (sum[c] - average) / std::sqrt(variance + 1e-5) * at("norm.weight")[c] +
                 at("norm.bias")[c];
      }
      y.push_back(sum);
    }
    return y;
  }

  GateKind kind_;
  std::size_t I_, K_;
  std::map<std::string, std::vector<double>> values_;
};

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
      Naive::Rows all;
      for (std::int64_t t = 0; t < T; t++) {
        all.emplace_back(x.data<double>() + t * I, x.data<double>() + (t + 1) * I);
      }
      return all;
    };
    const Naive naive(gate, kind, I, has_taps(kind) ? K : 0);
    const Naive::Rows input = naive.input(rows(x_in), rows(u));
    const Naive::Rows step = naive.step(rows(x_in), rows(q));
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
        // Softmax does not see what is added to every key; up to pairs that turn.
        if (!entry.name.ends_with("key.bias")) CHECK(norm > 0);
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
