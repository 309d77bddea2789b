// AdamW against its formulas, one number at a time, and the learning rates of a run.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "autograd/gradcheck.h"
#include "core/parallel.h"
#include "train/optimizer.h"

namespace farsight {
namespace {

/// Parameters of odd sizes, with one that decays by its shape and one that is exempt from it.
struct Parameters {
  Parameter bias{{3}, {}}, matrix{{5, 7}, {}, Role::matrix}, taps{{17, 1, 4}, {}},
      A_log{{33, 2}, {}}, one{{1}, {}};
  ParameterStore store;

  explicit Parameters(DType compute)
      : store(
            [this](const ParameterVisitor& f) {
              A_log.decays_as_matrix = false;
              f("bias", bias);
              f("matrix", matrix);
              f("taps", taps);
              f("A_log", A_log);
              f("one", one);
            },
            Device::cpu, compute) {}
};

/// One number as transformers.AdamW moves it, in f64.
struct Scalar {
  double p = 0, m = 0, v = 0;
  void step(const TrainSettings& s, double lr, double g, bool decays, int t) {
    m = s.beta1 * m + (1 - s.beta1) * g;
    v = s.beta2 * v + (1 - s.beta2) * g * g;
    p -= lr * std::sqrt(1 - std::pow(s.beta2, t)) / (1 - std::pow(s.beta1, t)) * m /
         (std::sqrt(v) + s.eps);
    if (decays) p -= lr * s.weight_decay * p;
  }
};

void set(const Tensor& flat, std::int64_t i, double value) {
  if (flat.dtype() == DType::f64) {
    flat.data<double>()[i] = value;
  } else {
    flat.data<float>()[i] = static_cast<float>(value);
  }
}

double get(const Tensor& flat, std::int64_t i) {
  return flat.dtype() == DType::f64 ? flat.data<double>()[i]
                                    : static_cast<double>(flat.data<float>()[i]);
}

/// Six steps of the store and of the reference; the largest difference of p, m and v.
double difference(const TrainSettings& settings, DType compute) {
  Parameters parameters(compute);
  ParameterStore& store = parameters.store;
  AdamW optimizer(store, settings);
  std::vector<std::vector<Scalar>> expected;
  std::uint64_t stream = 0;
  for (const ParameterStore::Entry& entry : store.entries()) {
    const Tensor start = random_normal({entry.count}, DType::f64, 1, stream++);
    expected.emplace_back(static_cast<std::size_t>(entry.count));
    for (std::int64_t i = 0; i < entry.count; i++) {
      set(store.values(), entry.offset + i, start.data<double>()[i]);
      expected.back()[static_cast<std::size_t>(i)].p = get(store.values(), entry.offset + i);
    }
  }
  double worst = 0;
  for (int t = 1; t <= 6; t++) {
    double sum = 0;
    std::vector<double> gradients(static_cast<std::size_t>(store.flat_count()));
    for (const ParameterStore::Entry& entry : store.entries()) {
      const Tensor g = random_normal({entry.count}, DType::f64, 2, stream++);
      for (std::int64_t i = 0; i < entry.count; i++) {
        const std::int64_t at = entry.offset + i;
        set(store.gradients(), at, 3 * g.data<double>()[i] / t);
        gradients[static_cast<std::size_t>(at)] = get(store.gradients(), at);
        sum += std::pow(get(store.gradients(), at), 2);
      }
    }
    const double lr = 0.01 * t;
    optimizer.step(lr);
    const double norm = optimizer.last_norm();
    CHECK(norm == doctest::Approx(std::sqrt(sum)).epsilon(1e-12));
    CHECK(optimizer.steps() == t);
    for (std::size_t e = 0; e < expected.size(); e++) {
      const ParameterStore::Entry& entry = store.entries()[e];
      const bool matrix = entry.name == "matrix" || entry.name == "taps";
      for (std::int64_t i = 0; i < entry.count; i++) {
        const std::int64_t at = entry.offset + i;
        double g = gradients[static_cast<std::size_t>(at)];
        const double limit = settings.grad_clip;
        if (limit > 0 && settings.clip_kind == ClipKind::value) g = std::clamp(g, -limit, limit);
        if (limit > 0 && settings.clip_kind == ClipKind::norm && norm > limit) g *= limit / norm;
        Scalar& scalar = expected[e][static_cast<std::size_t>(i)];
        scalar.step(settings, lr, g, matrix || settings.decay_scope == DecayScope::all, t);
        worst = std::max({worst, std::abs(get(store.values(), at) - scalar.p),
                          std::abs(get(optimizer.m(), at) - scalar.m),
                          std::abs(get(optimizer.v(), at) - scalar.v)});
      }
    }
  }
  // The gaps between parameters stay as they are.
  CHECK(get(store.values(), store.entries()[0].offset + 3) == 0);
  return worst;
}

TEST_CASE("optimizer: AdamW is the scalar formula, with every clip and every decay") {
  for (const DecayScope scope : {DecayScope::all, DecayScope::matrices}) {
    for (const ClipKind kind : {ClipKind::value, ClipKind::norm}) {
      for (const double clip : {0.0, 0.5, 1e6}) {
        TrainSettings settings;
        settings.decay_scope = scope;
        settings.clip_kind = kind;
        settings.grad_clip = clip;
        settings.weight_decay = 0.3;
        INFO("scope ", static_cast<int>(scope), ", clip ", static_cast<int>(kind), " ", clip);
        CHECK(difference(settings, DType::f64) <= 1e-13);
        CHECK(difference(settings, DType::f32) <= 4e-6);
      }
    }
  }
}

TEST_CASE("optimizer: a step makes the bf16 copies of the matrices current") {
  Parameters parameters(DType::bf16);
  ParameterStore& store = parameters.store;
  store.initialise(1);
  for (std::int64_t i = 0; i < store.flat_count(); i++) {
    set(store.gradients(), i, 1);
  }
  AdamW optimizer(store, {});
  optimizer.step(0.5);
  REQUIRE(parameters.matrix.operand.dtype() == DType::bf16);
  for (std::int64_t i = 0; i < 35; i++) {
    const float master = parameters.matrix.master.data<float>()[i];
    CHECK(master < -0.3f);
    CHECK(static_cast<float>(parameters.matrix.operand.data<bf16>()[i]) ==
          static_cast<float>(bf16(master)));
  }
  CHECK(parameters.taps.operand.dtype() == DType::f32);
}

float in_bf16(float x) {
  return static_cast<float>(bf16(x));
}

TEST_CASE("optimizer: with storage in bf16 every operation rounds, and nothing else is kept") {
  Parameter large{{401}, Distribution::normal(1)};
  ParameterStore store([&](const ParameterVisitor& f) { f("large", large); }, Device::cpu,
                       DType::f32);
  store.store_as(Storage::bf16);
  store.initialise(5);
  const TrainSettings settings{.weight_decay = 0.3, .grad_clip = 1.5};
  AdamW optimizer(store, settings);
  struct Values {
    float p = 0, m = 0, v = 0;
  };
  std::vector<Values> expected(401);
  float *p = store.values().data<float>(), *g = store.gradients().data<float>();
  for (std::size_t i = 0; i < expected.size(); i++) {
    expected[i].p = p[i];
    CHECK(p[i] == in_bf16(p[i]));
  }
  const auto beta1 = static_cast<float>(settings.beta1), beta2 = static_cast<float>(settings.beta2);
  for (int t = 1; t <= 6; t++) {
    const Tensor noise = random_normal({401}, DType::f32, 2, static_cast<std::uint64_t>(t));
    std::copy_n(noise.data<float>(), 401, g);
    const double lr = 0.003 * t;
    const auto rate = static_cast<float>(lr * std::sqrt(1 - std::pow(settings.beta2, t)) /
                                         (1 - std::pow(settings.beta1, t)));
    const auto shrink = static_cast<float>(lr * settings.weight_decay);
    optimizer.step(lr);
    for (std::size_t i = 0; i < expected.size(); i++) {
      auto& [value, m, v] = expected[i];
      const float gradient = std::clamp(in_bf16(noise.data<float>()[i]), -1.5f, 1.5f);
      m = in_bf16(in_bf16(beta1 * m) + (1 - beta1) * gradient);
      v = in_bf16(in_bf16(beta2 * v) + (1 - beta2) * gradient * gradient);
      const float root = in_bf16(in_bf16(std::sqrt(v)) + static_cast<float>(settings.eps));
      value = in_bf16(value - rate * m / root);
      value = in_bf16(value - shrink * value);
      REQUIRE(p[i] == value);
      REQUIRE(optimizer.m().data<float>()[i] == m);
      REQUIRE(optimizer.v().data<float>()[i] == v);
    }
  }
}

TEST_CASE("optimizer: storage in bf16 loses what is small beside a parameter, and its decay") {
  for (const Storage storage : {Storage::f32, Storage::bf16}) {
    Parameter two{{2}, Distribution::constant(1)};
    ParameterStore store([&](const ParameterVisitor& f) { f("two", two); }, Device::cpu,
                         DType::f32);
    store.store_as(storage);
    store.initialise(1);
    float *p = store.values().data<float>(), *g = store.gradients().data<float>();
    p[1] = in_bf16(0.01f);
    AdamW optimizer(store, TrainSettings{.weight_decay = 0.1});
    for (int t = 0; t < 50; t++) {
      g[0] = g[1] = -1;
      optimizer.step(1e-3);  // 1 + 1e-3 has no place of its own in bf16
    }
    CHECK((p[0] == 1) == (storage == Storage::bf16));
    CHECK(p[1] > 0.05f);
  }
}

TEST_CASE("optimizer: the norm says when a gradient is not finite, and does not overflow") {
  Parameters parameters(DType::f32);
  const Tensor& g = parameters.store.gradients();
  g.fill_zero();
  const auto norm = [&]() {
    AdamW optimizer(parameters.store, {});
    optimizer.step(0);
    return optimizer.last_norm();
  };
  CHECK(norm() == 0);
  const std::int64_t at = parameters.store.entries()[3].offset + 65;  // the last one of A_log
  set(g, at, 3e38);
  CHECK(norm() == doctest::Approx(3e38));
  for (const double bad :
       {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
        std::numeric_limits<double>::quiet_NaN()}) {
    set(g, at, bad);
    CHECK(!std::isfinite(norm()));
  }
}

TEST_CASE("optimizer: norm and step do not depend on the number of threads") {
  const int before = threads();
  std::vector<double> norms;
  std::vector<float> last;
  for (const int count : {1, 2, 3}) {
    set_threads(count);
    Parameter large{{300'001}, Distribution::uniform(1)};
    ParameterStore store([&](const ParameterVisitor& f) { f("large", large); }, Device::cpu,
                         DType::f32);
    store.initialise(5);
    std::copy_n(store.values().data<float>(), store.flat_count(), store.gradients().data<float>());
    AdamW optimizer(store, {});
    optimizer.step(1e-3);
    norms.push_back(optimizer.last_norm());
    const std::vector<float> values(store.values().data<float>(),
                                    store.values().data<float>() + store.flat_count());
    if (!last.empty()) CHECK(values == last);
    last = values;
  }
  set_threads(before);
  CHECK(norms[0] == norms[1]);
  CHECK(norms[0] == norms[2]);
}

TEST_CASE("optimizer: the learning rate rises linearly, then falls by half a cosine") {
  TrainSettings settings;
  settings.lr = 2;
  settings.warmup = 0.1;
  CHECK(learning_rate(settings, 0, 100) == 0);
  CHECK(learning_rate(settings, 5, 100) == doctest::Approx(1));
  CHECK(learning_rate(settings, 9, 100) == doctest::Approx(1.8));
  CHECK(learning_rate(settings, 10, 100) == doctest::Approx(2));
  CHECK(learning_rate(settings, 55, 100) == doctest::Approx(1));
  CHECK(learning_rate(settings, 99, 100) ==
        doctest::Approx(1 + std::cos(std::numbers::pi * 89 / 90)));
  CHECK(learning_rate(settings, 100, 100) == doctest::Approx(0));
  // 10 % of 15 steps is one and a half.
  CHECK(learning_rate(settings, 1, 15) == doctest::Approx(2 / 1.5));
  CHECK(learning_rate(settings, 2, 15) ==
        doctest::Approx(1 + std::cos(std::numbers::pi * 0.5 / 13.5)));
  settings.schedule = Schedule::constant;
  CHECK(learning_rate(settings, 5, 100) == doctest::Approx(1));
  CHECK(learning_rate(settings, 99, 100) == 2);
}

TEST_CASE("optimizer: warm-ups of nothing and of everything are schedules too") {
  TrainSettings settings;
  settings.lr = 2;
  settings.warmup = 0;
  CHECK(learning_rate(settings, 0, 1) == 2);
  CHECK(learning_rate(settings, 0, 10) == 2);
  CHECK(learning_rate(settings, 5, 10) == doctest::Approx(1));
  settings.warmup = 1;
  CHECK(learning_rate(settings, 0, 10) == 0);
  CHECK(learning_rate(settings, 9, 10) == doctest::Approx(1.8));
}

}  // namespace
}  // namespace farsight
