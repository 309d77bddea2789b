// The matrices of all families: that they are what the operations do, channel by channel.
#include "eval/probes/attention_matrix.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "models/hyena.h"
#include "models/mamba.h"
#include "models/pythia.h"
#include "tests/model_inputs.h"
#include "tests/random_mixing.h"
#include "tests/small_mamba.h"
#include "tests/small_rwkv.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

constexpr std::int64_t kEvery = std::numeric_limits<std::int64_t>::max();
constexpr MixingSizes kSizes[] = {{1, 1, 1},   {2, 3, 2},    {7, 8, 4},   {35, 5, 3},
                                  {66, 17, 2}, {64, 16, 16}, {131, 3, 33}};

double largest_apart(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const Tensor x = a.to(DType::f64), y = b.to(DType::f64);
  double most = 0;
  for (std::int64_t i = 0; i < x.elements(); i++) {
    most = std::max(most, std::abs(x.data<double>()[i] - y.data<double>()[i]));
  }
  return most;
}

TEST_CASE("matrix: y = W x for every channel of every operation") {
  for (const MixingSizes& sizes : kSizes) {
    INFO("T ", sizes.T, ", channels ", sizes.channels, ", states ", sizes.states);
    for (const DType dtype : {DType::f64, DType::f32}) {
      RandomMixing random(sizes, dtype);
      for (const auto& [name, mixing] : random.all()) {
        INFO(name, " ", std::string(name_of(dtype)));
        CHECK(reconstruction_error(mixing, kEvery) <= (dtype == DType::f64 ? 1e-12 : 1e-5));
      }
    }
  }
}

TEST_CASE("matrix: the reconstruction notices matrices that are wrong in one place") {
  RandomMixing random({9, 3, 4}, DType::f64);
  for (const auto& [name, mixing] : random.all()) {
    INFO(name);
    const auto wrong = [&, &shown = mixing](const MatrixPart& part) {
      const Tensor W = weight_matrix(shown, part);
      W.data<double>()[5 * 9 + 2] *= 1.01;
      return W;
    };
    CHECK(reconstruction_error(mixing, kEvery, wrong) > 1e-6);
    const auto late = [&, &shown = mixing](const MatrixPart& part) {  // the row before
      const Tensor W = weight_matrix(shown, part), moved = Tensor::zeros({9, 9}, DType::f64);
      moved.range(1, 8).copy_from(W.range(0, 8));
      return moved;
    };
    CHECK(reconstruction_error(mixing, kEvery, late) > 0.1);
  }
}

TEST_CASE("matrix: f32 holds over long sequences, whose times add up to thousands") {
  RandomMixing random({2500, 1, 2}, DType::f32);
  for (const auto& [name, mixing] : random.all()) {
    INFO(name);
    CHECK(reconstruction_error(mixing, kEvery) <= 1e-5);
  }
}

TEST_CASE("matrix: equation 5, with its product of decays written out") {
  const std::int64_t T = 11, D = 3, N = 4;
  RandomMixing random({T, D, N}, DType::f64);
  const Mixing mixing = random.scan(true);
  const ScanInputs& in = std::get<ScanInputs>(mixing);
  const auto at = [](const Tensor& x, std::int64_t i) { return x.data<double>()[i]; };
  const auto dt = [&](std::int64_t t, std::int64_t c) {
    return std::log1p(std::exp(at(in.delta, t * D + c) * at(*in.gate, t * D + c) + at(in.bias, c)));
  };
  for (std::int64_t c = 0; c < D; c++) {
    const Tensor W = weight_matrix(mixing, {.channel = c, .channels = 1});
    for (std::int64_t t = 0; t < T; t++) {
      for (std::int64_t s = 0; s < T; s++) {
        double expected = 0;
        for (std::int64_t n = 0; n < N && s <= t; n++) {
          double decay = 1;
          for (std::int64_t k = s + 1; k <= t; k++) {
            decay *= std::exp(dt(k, c) * -std::exp(at(in.A_log, c * N + n)));
          }
          expected += at(in.C, t * N + n) * decay * dt(s, c) * at(in.B, s * N + n);
        }
        CHECK(std::abs(at(W, t * T + s) - expected) <= 1e-13);
      }
    }
  }
}

TEST_CASE("matrix: the mean is that of the channels, signed or absolute, in any pieces") {
  const MixingSizes sizes{23, 19, 5};
  RandomMixing random(sizes, DType::f64);
  for (const auto& [name, mixing] : random.all()) {
    INFO(name);
    for (const bool absolute : {false, true}) {
      const Tensor whole = weight_matrix(mixing, {.absolute = absolute});
      const Tensor mean = Tensor::zeros({23, 23}, DType::f64);
      for (std::int64_t c = 0; c < sizes.channels; c++) {
        const Tensor W = weight_matrix(mixing, {.channel = c, .channels = 1});
        for (std::int64_t i = 0; i < W.elements(); i++) {
          const double w = W.data<double>()[i];
          mean.data<double>()[i] += (absolute ? std::abs(w) : w) / 19;
        }
      }
      CHECK(largest_apart(whole, mean) <= 1e-14);
      for (const std::int64_t row : {0, 1, 10, 22}) {
        const std::int64_t rows = std::min<std::int64_t>(7, 23 - row);
        const Tensor piece =
            weight_matrix(mixing, {.absolute = absolute, .row = row, .rows = rows});
        CHECK(largest_apart(piece, whole.range(row, rows)) == 0);
      }
      for (std::int64_t t = 0; t < 23; t++) {
        for (std::int64_t s = t + 1; s < 23; s++) {
          CHECK(whole.data<double>()[t * 23 + s] == 0);
        }
      }
    }
  }
}

TEST_CASE("matrix: rows of averages sum to one, and so do normalised rows") {
  RandomMixing random({31, 6, 3}, DType::f64);
  for (const auto& [name, mixing] : random.all()) {
    INFO(name);
    const bool average = name == "wkv" || name == "attention";
    const Tensor M = weight_matrix(mixing, {});
    const Tensor normal = M.to(DType::f64);
    normalise_rows(normal);
    for (std::int64_t t = 0; t < 31; t++) {
      double plain = 0, normalised = 0;
      for (std::int64_t s = 0; s < 31; s++) {
        plain += M.data<double>()[t * 31 + s];
        normalised += std::abs(normal.data<double>()[t * 31 + s]);
      }
      if (average) CHECK(plain == doctest::Approx(1).epsilon(1e-13));
      CHECK(normalised == doctest::Approx(1).epsilon(1e-13));
    }
  }
  const Tensor nothing = Tensor::zeros({2, 3}, DType::f32);
  normalise_rows(nothing);
  for (float x : nothing.span<float>()) {
    CHECK(x == 0);
  }
}

/// Small models of every family, with every gate.
std::vector<Model> small_models(DType dtype) {
  std::vector<Model> models;
  for (std::size_t kind = 0; kind < kGateKindNames.size(); kind++) {
    MambaConfig config = small_config(5, kind == 0);
    config.gate = static_cast<GateKind>(kind);
    if (!has_taps(config.gate)) config.gate_kernel = 0;
    models.push_back(make_mamba(config, Device::cpu, dtype));
  }
  MambaConfig wide = small_config(0);
  wide.d_state = 24;
  models.push_back(make_mamba(wide, Device::cpu, dtype));
  models.push_back(make_pythia(
      {.vocab_size = 13, .d_model = 12, .n_layer = 2, .n_head = 3, .d_ff = 10, .rotary_pct = 0.5},
      Device::cpu, dtype));
  for (const HyenaForm form : {HyenaForm::authors, HyenaForm::safari}) {
    models.push_back(make_hyena({.form = form,
                                 .vocab_size = 13,
                                 .d_model = 5,
                                 .n_layer = 2,
                                 .d_ff = 7,
                                 .l_max = 50,
                                 .filter_width = 6,
                                 .filter_features = 5},
                                Device::cpu, dtype));
  }
  for (const RwkvConfig& config : kBoth) {
    models.push_back(make_rwkv(config, Device::cpu, dtype));
  }
  for (const Model& model : models) {
    shake(*model.parameters, 3);
  }
  return models;
}

TEST_CASE("matrix: every layer of every family shows what its operation computes") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const Model& model : small_models(dtype)) {
      for (const std::int64_t T : {1, 2, 37}) {
        INFO(model.family, " ", T, " tokens, ", std::string(name_of(dtype)));
        std::int64_t shown = 0;
        model.probe(
            indices(some_tokens(T, 13), {1, T}), [&](std::int64_t layer, const Mixing& mixing) {
              CHECK(layer == shown++);
              CHECK(reconstruction_error(mixing, kEvery) <= (dtype == DType::f64 ? 1e-12 : 1e-5));
            });
        CHECK(shown == layer_count(model));
        CHECK(shown >= 2);
      }
    }
  }
}

TEST_CASE("matrix: of a layer of a model; a layer that is not there is refused") {
  const Model model = make_mamba(small_config(4), Device::cpu, DType::f32);
  shake(*model.parameters, 5);
  const Tensor tokens = indices(some_tokens(29, 13), {1, 29});
  std::vector<std::int64_t> seen;
  attention_matrices(model, tokens, {}, {}, [&](std::int64_t layer, const Tensor& matrix) {
    seen.push_back(layer);
    CHECK(largest_apart(matrix, attention_matrix(model, tokens, layer)) == 0);
    CHECK(matrix.shape() == Shape{29, 29});
  });
  CHECK(seen == std::vector<std::int64_t>{0, 1});
  const Tensor normal = attention_matrix(model, tokens, 1, {.row_normalised = true});
  const Tensor sign = attention_matrix(model, tokens, 1, {.absolute = false});
  CHECK(largest_apart(normal, sign) > 1e-3);
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { attention_matrix(model, tokens, 2); }, &code);
  CHECK(code == ExitCode::data);
  CHECK(message.find("layers 0 to 1") != std::string::npos);
}

TEST_CASE("matrix: packed rows, several rows and parts outside the matrix are refused") {
  RandomMixing random({9, 3, 4}, DType::f32);
  for (const auto& [name, mixing] : random.all()) {
    INFO(name);
    const MatrixPart bad[] = {
        {.row = 9},      {.row = 3, .rows = 7},        {.row = -1}, {.rows = 0}, {.channel = 3},
        {.channels = 4}, {.channel = 1, .channels = 0}};
    for (const MatrixPart& part : bad) {
      CHECK_THROWS_AS(weight_matrix(mixing, part), Error);
    }
  }
  const Mixing mixing = random.wkv();
  WkvInputs packed = std::get<WkvInputs>(mixing);
  const Tensor position = Tensor::zeros({1, 9}, DType::i32);
  packed.position = &position;
  CHECK_THROWS_AS(weight_matrix(packed, {}), Error);
}

}  // namespace
}  // namespace farsight
