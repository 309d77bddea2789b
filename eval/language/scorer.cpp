#include "eval/language/scorer.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "autograd/tape.h"
#include "core/check.h"
#include "eval/recall.h"
#include "ops/linear.h"
#include "ops/linear_cross_entropy.h"

namespace farsight {
namespace {

constexpr std::int64_t kGpuPassTokens = 32768;
constexpr std::int64_t kWholeTiles = 16;  // rows of a product that no library treats as a remainder

/// Positions that the head gets at once.
std::int64_t head_rows_of(Device device) {
  return device == Device::cuda ? 1024 : 128;
}

/// Rows of equal padded length that go through together: a place in the flat arrays of Plan.
struct Pass {
  std::int64_t rows = 0, length = 0;
  std::int64_t tokens = 0;     ///< offset of its rows * length tokens
  std::int64_t positions = 0;  ///< offset of its scored positions
  std::int64_t scored = 0;     ///< of them, filling included
  std::int64_t real = 0;       ///< tokens that are no filling
};

/// Everything that is fed, so that it reaches the device in one copy.
struct Plan {
  std::vector<Pass> passes;
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> positions;  ///< flattened within a pass, -1: filling
  std::vector<std::int32_t> targets;    ///< of the positions
  std::vector<std::size_t> first;       ///< of a request: where its positions begin
  std::int64_t real = 0;
};

std::int64_t input_length(const ScoreRequest& request, std::int64_t max_length) {
  const auto both = static_cast<std::int64_t>(request.context.size() + request.continuation.size());
  return std::min(both, max_length + 1) - 1;
}

void check_requests(const Model& model, std::span<const ScoreRequest> requests,
                    std::int64_t max_length) {
  require(max_length >= 1, ExitCode::data, "score: the length must be at least 1, got {}",
          max_length);
  require(model.max_length == 0 || max_length <= model.max_length, ExitCode::data,
          "score: windows of {} tokens are asked for, and this model ends at {}", max_length,
          model.max_length);
  for (std::size_t i = 0; i < requests.size(); i++) {
    const ScoreRequest& request = requests[i];
    const auto scored = static_cast<std::int64_t>(request.continuation.size());
    require(scored > 0 && !request.context.empty(), ExitCode::data,
            "score: request {} has no tokens of {}", i,
            scored == 0 ? "a continuation" : "a context");
    require(scored <= max_length, ExitCode::data,
            "score: the continuation of request {} has {} tokens, the model reads {}", i, scored,
            max_length);
    for (const auto* ids : {&request.context, &request.continuation}) {
      for (const std::int32_t id : *ids) {
        require(id >= 0 && id < model.vocab_size, ExitCode::data,
                "score: request {} has token {}, and the model's vocabulary is {}: was it trained "
                "with another tokenizer?",
                i, id, model.vocab_size);
      }
    }
  }
}

/// Rows of a pass: a function of the length alone.
std::int64_t rows_of_pass(const Model& model, std::int64_t length, std::int64_t pass_tokens) {
  const bool cpu = model.parameters->device() == Device::cpu;
  // Two rows share a Fourier transform there, and with it their rounding.
  if (cpu && model.family == "hyena") return 1;
  const std::int64_t wanted = pass_tokens > 0 ? pass_tokens : cpu ? 1 : kGpuPassTokens;
  const std::int64_t rows = std::max<std::int64_t>(1, wanted / length);
  if (rows == 1) return 1;
  const std::int64_t step = kWholeTiles / std::gcd(kWholeTiles, length);
  return (rows + step - 1) / step * step;
}

/// Puts the input of `request` behind the pass's rows so far, as row `row`.
void add_row(const ScoreRequest& request, std::int64_t row, std::int64_t max_length, Pass& pass,
             Plan& plan) {
  const std::int64_t length = input_length(request, max_length);
  const auto scored = static_cast<std::int64_t>(request.continuation.size());
  const std::int64_t of_context = length + 1 - scored;  // its last tokens, the others do not fit
  const auto begin = plan.tokens.begin() + pass.tokens + row * pass.length;
  const auto middle = std::copy(request.context.end() - of_context, request.context.end(), begin);
  std::copy(request.continuation.begin(), request.continuation.end() - 1, middle);
  for (std::int64_t i = 0; i < scored; i++) {
    const std::int64_t position = row * pass.length + of_context - 1 + i;
    plan.positions.push_back(static_cast<std::int32_t>(position));
  }
  plan.targets.insert(plan.targets.end(), request.continuation.begin(), request.continuation.end());
  pass.real += length;
}

Plan plan_of(const Model& model, std::span<const ScoreRequest> requests,
             const ScorerOptions& options) {
  const auto padded = [&](std::size_t i) {
    return padded_length(input_length(requests[i], options.max_length), model.max_length);
  };
  // The longest first: what does not fit into memory says so at once.
  std::vector<std::size_t> order(requests.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return padded(a) > padded(b); });
  const std::int64_t piece = head_rows_of(model.parameters->device());
  Plan plan;
  plan.first.resize(requests.size());
  for (std::size_t next = 0; next < order.size();) {
    const std::int64_t length = padded(order[next]);
    Pass pass{.rows = rows_of_pass(model, length, options.pass_tokens),
              .length = length,
              .tokens = static_cast<std::int64_t>(plan.tokens.size()),
              .positions = static_cast<std::int64_t>(plan.positions.size())};
    plan.tokens.resize(plan.tokens.size() + static_cast<std::size_t>(pass.rows * length));
    for (std::int64_t row = 0; row < pass.rows && next < order.size(); row++, next++) {
      const std::size_t i = order[next];
      if (padded(i) != length) break;
      plan.first[i] = plan.positions.size();
      add_row(requests[i], row, options.max_length, pass, plan);
    }
    pass.scored = static_cast<std::int64_t>(plan.positions.size()) - pass.positions;
    if (pass.rows > 1) {  // alone, a row decides the pieces itself
      pass.scored = (pass.scored + piece - 1) / piece * piece;
      plan.positions.resize(static_cast<std::size_t>(pass.positions + pass.scored), -1);
      plan.targets.resize(plan.positions.size(), -1);
    }
    plan.real += pass.real;
    plan.passes.push_back(pass);
  }
  return plan;
}

/// Losses and predictions of all positions of a plan, on the model's device.
struct Scored {
  Tensor losses, predictions;
};

Scored run(const Model& model, const Plan& plan, const ScorerOptions& options) {
  const Device device = model.parameters->device();
  const auto count = static_cast<std::int64_t>(plan.positions.size());
  const Tensor& head = model.head->master;
  const Tensor tokens =
      index_tensor(plan.tokens, {static_cast<std::int64_t>(plan.tokens.size())}, device);
  const Tensor positions = index_tensor(plan.positions, {count}, device);
  const Tensor targets = index_tensor(plan.targets, {count}, device);
  const Scored scored{Tensor::empty({count}, head.dtype(), device, "score.losses"),
                      Tensor::empty({count}, DType::i32, device, "score.predictions")};
  const std::int64_t piece = head_rows_of(device);
  std::int64_t done = 0;
  for (const Pass& pass : plan.passes) {
    if (options.progress) options.progress(done, plan.real);
    const Tensor features =
        model.features(tokens.slice_flat(pass.tokens, {pass.rows, pass.length}),
                       positions.slice_flat(pass.positions, {pass.scored}), nullptr, nullptr);
    for (std::int64_t begin = 0; begin < pass.scored; begin += piece) {
      const std::int64_t rows = std::min(piece, pass.scored - begin);
      const std::int64_t at = pass.positions + begin;
      const Tensor x = features.range(begin, rows);
      const Tensor logits = linear(x.dtype() == head.dtype() ? x : x.to(head.dtype()), head);
      cross_entropy_rows(logits, targets.slice_flat(at, {rows}),
                         scored.losses.slice_flat(at, {rows}),
                         scored.predictions.slice_flat(at, {rows}));
    }
    done += pass.real;
  }
  if (options.progress) options.progress(done, plan.real);
  return scored;
}

}  // namespace

std::int64_t padded_length(std::int64_t length, std::int64_t most) {
  const auto power = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(length)));
  const std::int64_t step = std::max(kWholeTiles, power / 8);
  const std::int64_t padded = (length + step - 1) / step * step;
  return most > 0 ? std::min(padded, most) : padded;
}

std::vector<ContinuationScore> score_continuations(const Model& model,
                                                   std::span<const ScoreRequest> requests,
                                                   const ScorerOptions& options) {
  check_requests(model, requests, options.max_length);
  std::vector<ContinuationScore> scores(requests.size());
  if (requests.empty()) return scores;
  const NoTape inference;
  const Plan plan = plan_of(model, requests, options);
  const Scored scored = run(model, plan, options);
  const Tensor losses = scored.losses.to(Device::cpu).to(DType::f64);
  const Tensor predictions = scored.predictions.to(Device::cpu);
  const std::span<const double> loss = losses.span<double>();
  const std::span<const std::int32_t> predicted = predictions.span<std::int32_t>();
  for (std::size_t i = 0; i < requests.size(); i++) {
    for (std::size_t k = 0; k < requests[i].continuation.size(); k++) {
      const std::size_t at = plan.first[i] + k;
      scores[i].log_likelihood -= loss[at];
      scores[i].greedy = scores[i].greedy && predicted[at] == plan.targets[at];
    }
  }
  return scores;
}

}  // namespace farsight
