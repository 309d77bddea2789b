// Scores of continuations: right, and the same whatever is scored beside them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "eval/language/scorer.h"
#include "eval/recall.h"
#include "models/hyena.h"
#include "models/mamba.h"
#include "models/pythia.h"
#include "models/rwkv.h"
#include "tests/gpu.h"
#include "tests/skip.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

constexpr std::int64_t kVocabulary = 203;

std::vector<Model> small_models(Device device, DType compute) {
  const PythiaConfig pythia{
      .vocab_size = kVocabulary, .d_model = 32, .n_layer = 2, .n_head = 2, .d_ff = 64};
  const HyenaConfig hyena{
      .vocab_size = kVocabulary, .d_model = 32, .n_layer = 2, .d_ff = 64, .l_max = 700};
  const RwkvConfig rwkv{.form = RwkvForm::published,
                        .vocab_size = kVocabulary,
                        .d_model = 32,
                        .n_layer = 2,
                        .d_ff = 64};
  MambaConfig mamba{
      .vocab_size = kVocabulary, .d_model = 32, .n_layer = 2, .d_state = 16, .dt_rank = 8};
  std::vector<Model> models = {make_mamba(mamba, device, compute)};
  mamba.gate_kernel = 96;
  models.push_back(make_mamba(mamba, device, compute));
  models.push_back(make_pythia(pythia, device, compute));
  models.push_back(make_hyena(hyena, device, compute));
  models.push_back(make_rwkv(rwkv, device, compute));
  for (const Model& model : models) {
    model.parameters->initialise(5);
  }
  return models;
}

/// Of all lengths, many of them in one bucket.
std::vector<ScoreRequest> some_requests(std::size_t count) {
  std::mt19937 random(3);
  const auto ids = [&](std::size_t length) {
    std::vector<std::int32_t> made(length);
    for (std::int32_t& id : made) {
      id = static_cast<std::int32_t>(random() % kVocabulary);
    }
    return made;
  };
  std::vector<ScoreRequest> requests;
  for (std::size_t i = 0; i < count; i++) {
    requests.push_back({ids(1 + random() % (i % 5 == 0 ? 300 : 40)), ids(1 + random() % 20)});
  }
  return requests;
}

/// Scored `together` at a time, in a shuffled order.
std::vector<ContinuationScore> in_batches(const Model& model,
                                          const std::vector<ScoreRequest>& requests,
                                          std::size_t together, std::int64_t pass_tokens) {
  std::vector<std::size_t> order(requests.size());
  for (std::size_t i = 0; i < order.size(); i++) {
    order[i] = i;
  }
  std::shuffle(order.begin(), order.end(), std::mt19937(together));
  std::vector<ContinuationScore> scores(requests.size());
  for (std::size_t begin = 0; begin < order.size(); begin += together) {
    const std::size_t end = std::min(order.size(), begin + together);
    std::vector<ScoreRequest> batch;
    for (std::size_t i = begin; i < end; i++) {
      batch.push_back(requests[order[i]]);
    }
    const std::vector<ContinuationScore> part =
        score_continuations(model, batch, {.max_length = 700, .pass_tokens = pass_tokens});
    for (std::size_t i = begin; i < end; i++) {
      scores[order[i]] = part[i - begin];
    }
  }
  return scores;
}

void check_independent(const Model& model, const std::vector<ScoreRequest>& requests,
                       std::int64_t pass_tokens) {
  const std::vector<ContinuationScore> all =
      in_batches(model, requests, requests.size(), pass_tokens);
  for (const std::size_t together : {1u, 3u, 8u}) {
    const std::vector<ContinuationScore> some = in_batches(model, requests, together, pass_tokens);
    for (std::size_t i = 0; i < requests.size(); i++) {
      CAPTURE(model.family);
      CAPTURE(together);
      CAPTURE(i);
      CHECK(some[i].log_likelihood == all[i].log_likelihood);  // the same bits
      CHECK(some[i].greedy == all[i].greedy);
    }
  }
}

/// From the logits of the request alone, in f64.
ContinuationScore naive_score(const Model& model, const ScoreRequest& request) {
  std::vector<std::int32_t> input = request.context;
  input.insert(input.end(), request.continuation.begin(), request.continuation.end());
  input.pop_back();
  const auto length = static_cast<std::int64_t>(input.size());
  ContinuationScore score;
  for (std::size_t k = 0; k < request.continuation.size(); k++) {
    const auto row = static_cast<std::int32_t>(request.context.size() + k - 1);
    const Tensor logits = logits_at(model, index_tensor(input, {1, length}, Device::cpu),
                                    index_tensor({row}, {1}, Device::cpu))
                              .to(DType::f64);
    const std::span<const double> values = logits.span<double>();
    double sum = 0;
    for (const double value : values) {
      sum += std::exp(value);
    }
    const auto target = static_cast<std::size_t>(request.continuation[k]);
    score.log_likelihood += values[target] - std::log(sum);
    const auto best = std::max_element(values.begin(), values.end()) - values.begin();
    score.greedy = score.greedy && static_cast<std::size_t>(best) == target;
  }
  return score;
}

TEST_CASE("language: scores are those of the logits") {
  for (const Model& model : small_models(Device::cpu, DType::f32)) {
    std::vector<ScoreRequest> requests = some_requests(12);
    for (const std::int64_t pass_tokens : {0, 512}) {
      const auto scores =
          score_continuations(model, requests, {.max_length = 700, .pass_tokens = pass_tokens});
      for (std::size_t i = 0; i < requests.size(); i++) {
        const ContinuationScore naive = naive_score(model, requests[i]);
        CAPTURE(model.family);
        CHECK(scores[i].log_likelihood == doctest::Approx(naive.log_likelihood).epsilon(1e-5));
        CHECK(scores[i].greedy == naive.greedy);
      }
    }
  }
}

TEST_CASE("language: a continuation of argmaxes is greedy, one other token makes it not") {
  const Model model = small_models(Device::cpu, DType::f32).front();
  ScoreRequest request{{3, 1, 4}, {}};
  std::vector<std::int32_t> input = request.context;
  for (int i = 0; i < 3; i++) {
    const auto length = static_cast<std::int64_t>(input.size());
    const Tensor logits =
        logits_at(model, index_tensor(input, {1, length}, Device::cpu),
                  index_tensor({static_cast<std::int32_t>(length - 1)}, {1}, Device::cpu));
    const std::span<const float> values = logits.span<float>();
    const auto best = std::max_element(values.begin(), values.end()) - values.begin();
    request.continuation.push_back(static_cast<std::int32_t>(best));
    input.push_back(request.continuation.back());
  }
  ScoreRequest other = request;
  other.continuation.back() = (other.continuation.back() + 1) % 203;
  const auto scores = score_continuations(model, std::vector{request, other}, {});
  CHECK(scores[0].greedy);
  CHECK(!scores[1].greedy);
}

TEST_CASE("language: a score is the same bits whatever is scored beside it") {
  const std::vector<ScoreRequest> requests = some_requests(40);
  for (const DType compute : {DType::f32, DType::bf16}) {
    for (const Model& model : small_models(Device::cpu, compute)) {
      check_independent(model, requests, 0);    // a row alone
      check_independent(model, requests, 512);  // rows side by side
    }
  }
}

TEST_CASE("gpu: a language score is the same bits whatever is scored beside it") {
  if (!have_gpu()) return skip("no GPU on this machine");
  const std::vector<ScoreRequest> requests = some_requests(40);
  for (const DType compute : {DType::f32, DType::bf16}) {
    const std::vector<Model> there = small_models(Device::cuda, compute);
    const std::vector<Model> here = small_models(Device::cpu, compute);
    for (std::size_t m = 0; m < there.size(); m++) {
      check_independent(there[m], requests, 0);
      check_independent(there[m], requests, 2048);
      const auto gpu = score_continuations(there[m], requests, {.max_length = 700});
      const auto cpu = score_continuations(here[m], requests, {.max_length = 700});
      for (std::size_t i = 0; i < requests.size(); i++) {
        CAPTURE(there[m].family);
        CHECK(gpu[i].log_likelihood ==
              doctest::Approx(cpu[i].log_likelihood).epsilon(compute == DType::f32 ? 1e-5 : 5e-3));
      }
    }
  }
}

TEST_CASE("language: of a context that does not fit, the end is read") {
  const Model model = small_models(Device::cpu, DType::f32).front();
  ScoreRequest request = some_requests(1).front();
  request.context.resize(90, 11);
  request.continuation = {5, 6, 7};
  ScoreRequest cut = request;
  cut.context.erase(cut.context.begin(), cut.context.end() - 30);
  const auto scores = score_continuations(model, std::vector{request, cut}, {.max_length = 32});
  CHECK(scores[0].log_likelihood == scores[1].log_likelihood);
  const auto whole = score_continuations(model, std::vector{request}, {.max_length = 700});
  CHECK(whole[0].log_likelihood != scores[0].log_likelihood);
}

TEST_CASE("language: what cannot be scored is refused with its number") {
  const std::vector<Model> models = small_models(Device::cpu, DType::f32);
  const auto refusal = [&](const ScoreRequest& request, std::int64_t max_length,
                           std::size_t model = 0) {
    ExitCode code = ExitCode::ok;
    const std::string error = error_of(
        [&] {
          score_continuations(models[model], std::vector{ScoreRequest{{1}, {2}}, request},
                              {.max_length = max_length});
        },
        &code);
    CHECK(code == ExitCode::data);
    return error;
  };
  CHECK(mentions(refusal({{1}, {}}, 8), "request 1 has no tokens of a continuation"));
  CHECK(mentions(refusal({{}, {1}}, 8), "request 1 has no tokens of a context"));
  CHECK(mentions(refusal({{1}, {1, 2, 3, 4, 5}}, 4), "5 tokens, the model reads 4"));
  CHECK(mentions(refusal({{1}, {203}}, 8), "token 203, and the model's vocabulary is 203"));
  CHECK(mentions(refusal({{-1}, {2}}, 8), "token -1"));
  CHECK(mentions(refusal({{1}, {2}}, 701, 3), "this model ends at 700"));
  CHECK(mentions(refusal({{1}, {2}}, 0), "at least 1"));
  CHECK(score_continuations(models[0], {}, {}).empty());
}

TEST_CASE("language: padded lengths are few, and never much longer") {
  for (std::int64_t length = 1; length <= 5000; length++) {
    const std::int64_t padded = padded_length(length, 0);
    CHECK(padded >= length);
    CHECK(padded % 16 == 0);
    CHECK(padded - length < std::max<std::int64_t>(16, length / 8));
    CHECK(padded_length(padded, 0) == padded);
    CHECK(padded_length(length, std::max<std::int64_t>(length, 100)) <=
          std::max<std::int64_t>(length, 100));
  }
}

}  // namespace
}  // namespace farsight
