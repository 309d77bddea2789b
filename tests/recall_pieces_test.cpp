// Long examples are evaluated in pieces with the state carried from one to the next: the answers
// are those of one pass, the memory is that of one piece.
#include <doctest/doctest.h>

#include <cmath>

#include "core/arena.h"
#include "eval/recall.h"
#include "models/hyena.h"
#include "models/mamba.h"
#include "models/pythia.h"
#include "models/rwkv.h"
#include "tests/model_inputs.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

constexpr int kVocabulary = 40;  // of the task; the models know 20 ids more

MqarTask task_of_lengths(std::vector<int> lengths) {
  return make_position_task(Placement::shuffle, kVocabulary,
                            position_grid(std::move(lengths), {1, 3}));
}

MambaConfig small_mamba(std::int64_t gate_kernel, GateKind gate = GateKind::longconv) {
  return {.vocab_size = 60,
          .d_model = 6,
          .n_layer = 2,
          .d_state = 3,
          .d_conv = 4,
          .expand = 2,
          .dt_rank = 2,
          .gate = gate,
          .gate_kernel = gate_kernel};
}

RwkvConfig small_rwkv(RwkvForm form) {
  return {.form = form, .vocab_size = 60, .d_model = 6, .n_layer = 2, .d_ff = 10, .l_max = 90};
}

RecallResult evaluated(const Model& model, const MqarTask& task, std::int64_t micro_tokens) {
  return evaluate_recall(model, task, {.examples_per_cell = 5, .micro_tokens = micro_tokens});
}

void check_pieces_change_nothing(Model model) {
  shake(*model.parameters, 3);
  REQUIRE(model.stream);
  const MqarTask task = task_of_lengths({24, 37});
  const RecallResult whole = evaluated(model, task, 1000);
  REQUIRE(whole.loss > 0);
  for (const std::int64_t micro_tokens : {1, 2, 7, 24, 36}) {
    CAPTURE(micro_tokens);
    const RecallResult cut = evaluated(model, task, micro_tokens);
    CHECK(std::abs(cut.loss - whole.loss) <= 1e-12 * whole.loss);
    CHECK(cut.tokens == whole.tokens);
    for (std::size_t cell = 0; cell < task.cells.size(); cell++) {
      CHECK(cut.score.cells[cell].pairs == whole.score.cells[cell].pairs);
      CHECK(cut.score.cells[cell].cases == whole.score.cells[cell].cases);
    }
  }
}

TEST_CASE("recall in pieces: Mamba answers as in one pass, with and without a gate") {
  check_pieces_change_nothing(make_mamba(small_mamba(0), Device::cpu, DType::f64));
  check_pieces_change_nothing(make_mamba(small_mamba(9), Device::cpu, DType::f64));
  check_pieces_change_nothing(
      make_mamba(small_mamba(9, GateKind::flashlongconv), Device::cpu, DType::f64));
  check_pieces_change_nothing(
      make_mamba(small_mamba(5, GateKind::additive), Device::cpu, DType::f64));
}

TEST_CASE("recall in pieces: RWKV answers as in one pass, in both its forms") {
  check_pieces_change_nothing(make_rwkv(small_rwkv(RwkvForm::published), Device::cpu, DType::f64));
  check_pieces_change_nothing(make_rwkv(small_rwkv(RwkvForm::authors), Device::cpu, DType::f64));
}

/// Peak bytes above what the model itself takes.
std::int64_t peak_of(const Model& model, int length, std::int64_t micro_tokens) {
  Arena& memory = arena(Device::cpu);
  const std::int64_t before = memory.in_use_bytes();
  memory.reset_peak();
  evaluate_recall(model, make_position_task(Placement::standard, kVocabulary, {{length, 2}}),
                  {.examples_per_cell = 2, .micro_tokens = micro_tokens});
  return memory.peak_bytes() - before;
}

TEST_CASE("recall in pieces: memory is that of a piece, whatever the length") {
  const Model mamba = make_mamba(small_mamba(9), Device::cpu, DType::f32);
  mamba.parameters->initialise(1);
  const std::int64_t peak = peak_of(mamba, 512, 128);
  CHECK(peak > 0);
  CHECK(peak_of(mamba, 5000, 128) == peak);
  CHECK(peak_of(mamba, 512, 512) > 2 * peak);
}

TEST_CASE("recall in pieces: families that look back at everything take rows whole") {
  Model pythia = make_pythia(
      {.vocab_size = 60, .d_model = 8, .n_layer = 1, .n_head = 2, .d_ff = 16, .rotary_pct = 0.5},
      Device::cpu, DType::f64);
  shake(*pythia.parameters, 3);
  CHECK_FALSE(pythia.stream);
  const MqarTask task = task_of_lengths({24, 37});
  CHECK(evaluated(pythia, task, 1).loss == doctest::Approx(evaluated(pythia, task, 999).loss));
  // The gate that attends keeps all tokens, so pieces would save nothing.
  CHECK_FALSE(make_mamba(small_mamba(1, GateKind::attn), Device::cpu, DType::f32).stream);
}

TEST_CASE("recall: a model that ends before the examples do is refused in a sentence") {
  const HyenaConfig hyena{.vocab_size = 60,
                          .d_model = 6,
                          .n_layer = 1,
                          .d_ff = 10,
                          .l_max = 32,
                          .filter_width = 4,
                          .filter_features = 3};
  const Model models[] = {make_hyena(hyena, Device::cpu, DType::f32),
                          make_rwkv(small_rwkv(RwkvForm::authors), Device::cpu, DType::f32)};
  for (const Model& model : models) {
    ExitCode code = ExitCode::ok;
    const int length = static_cast<int>(model.max_length) + 1;
    const std::string message =
        error_of([&] { evaluated(model, task_of_lengths({length}), 16); }, &code);
    CHECK(code == ExitCode::data);
    CHECK(message.find(fmt::format("examples of {} tokens, and this {} model ends at {}", length,
                                   model.family, model.max_length)) != std::string::npos);
  }
}

}  // namespace
}  // namespace farsight
