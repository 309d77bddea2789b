// RWKV as a function: against a naive implementation, packed rows, step mode, dropout, bf16,
// gradients.
#include <doctest/doctest.h>

#include <vector>

#include "models/model.h"
#include "ops/wkv.h"
#include "tests/model_checks.h"
#include "tests/naive_rwkv.h"
#include "tests/small_rwkv.h"

namespace farsight {
namespace {

TEST_CASE("rwkv: the forward equals a naive implementation of the formulas") {
  for (const RwkvConfig& config : kBoth) {
    INFO(form_of(config));
    Rwkv rwkv(config, Device::cpu, DType::f64);
    shake(rwkv.parameters(), 3);
    check_against_naive<NaiveRwkv>(rwkv, 71);  // longer than two chunks
  }
}

TEST_CASE("rwkv: packed rows give what separate rows give") {
  for (const RwkvConfig& config : kBoth) {
    INFO(form_of(config));
    Rwkv rwkv(config, Device::cpu, DType::f64);
    shake(rwkv.parameters(), 7);
    // Together longer than the positions of the authors' form, alone not.
    check_packed_rows(rwkv, 35, 80);
  }
}

TEST_CASE("rwkv: token by token and in uneven pieces it computes what one pass computes") {
  for (const RwkvConfig& config : kBoth) {
    for (const auto& [dtype, tolerance] :
         {std::pair{DType::f64, 1e-10}, {DType::f32, 1e-5}, {DType::bf16, 0.05}}) {
      INFO(form_of(config), " ", std::string(name_of(dtype)));
      Rwkv rwkv(config, Device::cpu, dtype);
      shake(rwkv.parameters(), 9);
      check_in_pieces(rwkv, 70, {{1, 2, 58, 3, 5, 1}, {69, 1}}, tolerance);
    }
  }
}

TEST_CASE("rwkv: a decoder remembers its own sequences and nobody else's, in constant memory") {
  for (const RwkvConfig& config : kBoth) {
    INFO(form_of(config));
    const Model model = make_rwkv(config, Device::cpu, DType::f64);
    shake(*model.parameters, 10);
    const std::vector<std::int64_t> held = check_decoder_remembers(model);
    CHECK(held.back() == held.front());
  }
}

TEST_CASE("rwkv: training passes of the authors' form drop embeddings, evaluation does not") {
  for (const RwkvConfig& config : kBoth) {
    Rwkv rwkv(config, Device::cpu, DType::f64);
    shake(rwkv.parameters(), 12);
    const Tensor tokens = indices(some_tokens(20, 13), {2, 10});
    const Tensor first = indices({5, 0}, {2}), second = indices({6, 0}, {2});
    const Tensor plain = all_logits(rwkv, tokens);
    const Tensor dropped = all_logits(rwkv, tokens, nullptr, nullptr, &first);
    const bool drops = !config.published();
    CHECK((distance(dropped, plain) > 1e-3) == drops);
    CHECK(distance(all_logits(rwkv, tokens, nullptr, nullptr, &first), dropped) == 0);
    CHECK((distance(all_logits(rwkv, tokens, nullptr, nullptr, &second), dropped) > 1e-3) == drops);
  }
}

TEST_CASE("rwkv: keys that no exponential holds change nothing but the weights") {
  // As 200 and more in plain f64: e^(k - largest k) is all that counts.
  const std::int64_t T = 40, D = 2;
  Tensor k = random_normal({1, T, D}, DType::f64, 5, 0),
         v = random_normal({1, T, D}, DType::f64, 5, 1);
  const Tensor decay = Tensor::zeros({D}, DType::f64), first = Tensor::zeros({D}, DType::f64);
  const Tensor small = wkv({k, v, decay, first});
  for (double& x : k.span<double>()) {
    x += 5000;
  }
  const Tensor large = wkv({k, v, decay, first});
  CHECK(distance(large, small) <= 1e-9);  // what adding 5000 to k rounds off
  const Tensor single =
      wkv({k.to(DType::f32), v.to(DType::f32), decay.to(DType::f32), first.to(DType::f32)});
  CHECK(distance(single.to(DType::f64), small) <= 1e-2);
}

TEST_CASE("rwkv: computing in bf16 stays close to f32") {
  for (RwkvConfig config : kBoth) {
    INFO(form_of(config));
    config.d_model = 32;
    config.d_ff = 64;
    check_bf16_near_f32<Rwkv>(config, 40);
  }
}

TEST_CASE("rwkv: the gradient of the whole model equals central differences in f64") {
  const Tensor pass = indices({77, 0}, {2});
  for (const RwkvConfig& config : kBoth) {
    INFO(form_of(config));
    const Model model = make_rwkv(config, Device::cpu, DType::f64);
    for (const bool packed : {false, true}) {
      check_gradients(model, {.packed = packed, .pass = &pass});
    }
  }
}

}  // namespace
}  // namespace farsight
