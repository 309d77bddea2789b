#include "bench/gpu_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/gpu_matrices.h"
#include "core/check.h"
#include "core/philox.h"

namespace farsight::bench {
namespace {

constexpr std::int64_t kTokens = 65536;
constexpr std::int64_t kModel = 768, kInner = 1536, kDtRank = 48, kStates = 16;
constexpr std::int64_t kHyena = 864;  // the width of Hyena's 153M model
constexpr std::int64_t kParameters = 129'135'360;

OpCase case_named(const std::string& name) {
  const std::vector<OpCase> all = op_cases();
  const auto found =
      std::ranges::find_if(all, [&](const OpCase& c) { return std::string(c.name) == name; });
  check(found != all.end(), "bench: tests/op_cases has no '{}'", name);
  return *found;
}

class Lines {
 public:
  std::vector<GpuLine> take() { return std::move(lines_); }

  /// The operation of the table called `name`, all gradients wanted.
  void add(const std::string& name, const Sizes& sizes, const Works& work) {
    add(name, case_named(name), sizes, work, {});
  }

  void add(const std::string& name, const OpCase& operation, const Sizes& sizes, const Works& work,
           const std::vector<std::string_view>& wanted) {
    GpuLine line{.name = name, .sizes = {}, .work = work, .make = {}};
    for (std::size_t i = 0; i < sizes.size(); i++) {
      line.sizes.emplace_back(operation.size_names[i], sizes[i]);
    }
    line.make = [=](RandomTensors& random) {
      return operation_work(operation, sizes, wanted, random);
    };
    lines_.push_back(std::move(line));
  }

  void add(GpuLine line) { lines_.push_back(std::move(line)); }

 private:
  std::vector<GpuLine> lines_;
};

void add_scans(Lines& lines) {
  const auto add = [&](const std::string& name, std::int64_t T, std::int64_t N, bool gate) {
    lines.add(name, {kTokens / T, T, kInner, N}, scan_work(kTokens, kInner, N, gate));
  };
  for (const std::int64_t T : {64, 256, 512, 2048}) {
    add("selective_scan, z", T, kStates, false);
  }
  for (const std::int64_t N : {32, 64}) {
    add("selective_scan, z", 256, N, false);
    add("selective_scan, z", 2048, N, false);
  }
  add("selective_scan, z, gate", 256, kStates, true);
}

void add_convolutions(Lines& lines) {
  const auto add = [&](const std::string& name, std::int64_t T, std::int64_t D, std::int64_t K) {
    lines.add(name, {kTokens / T, T, D, K}, conv_work(kTokens, T, D, K));
  };
  for (const std::int64_t T : {64, 256, 2048}) {
    add("causal_conv1d, silu", T, kInner, 4);
  }
  for (const std::int64_t T : {256, 512, 2048}) {
    add("causal_conv1d, silu", T, kInner, 128);
  }
  add("causal_conv1d, silu", 2048, kInner, 512);
  add("causal_conv1d, no activation", 256, kHyena, 256);
  add("causal_conv1d, no activation", 2048, kHyena, 512);
  add("causal_conv1d, no activation", 2048, kHyena, 2048);
  for (const std::int64_t T : {256, 1024, 2048}) {
    lines.add("long_conv", {kTokens / T, T, kHyena, T}, long_conv_work(kTokens, T, kHyena));
  }
}

/// Ids drawn uniformly, where the table of the tests repeats few of them.
OpCase embedding_of_random_ids() {
  OpCase operation = case_named("embedding");
  operation.inputs = [inputs = operation.inputs](const Sizes& s) {
    std::vector<OpInput> all = inputs(s);
    const auto V = static_cast<std::uint32_t>(s[2]);
    all.front().fill = [V](std::int64_t i) {
      return static_cast<std::int32_t>(philox4x32(1, 0, static_cast<std::uint64_t>(i)).v[0] % V);
    };
    return all;
  };
  return operation;
}

void add_row_operations(Lines& lines) {
  lines.add("add_rms_norm", {kTokens, kModel}, add_rms_norm_work(kTokens, kModel));
  const OpCase embedding = embedding_of_random_ids();
  for (const std::int64_t V : {20000, 50280}) {
    lines.add("embedding", embedding, {256, kTokens / 256, V, kModel},
              embedding_work(kTokens, V, kModel), {});
  }
  lines.add("gather_rows", {256, kTokens / 256, kModel, kTokens / 4},
            gather_rows_work(kTokens, kModel, kTokens / 4));
}

void add_transformer(Lines& lines) {
  constexpr std::int64_t kHeads = 12, kHead = 64;
  for (const std::int64_t T : {256, 512, 2048}) {
    lines.add("attention, 12 heads, 16 of 64 dims turn", {kTokens / T, T, kHead},
              attention_work(kTokens, T, kHeads));
  }
  lines.add("add_layer_norm_pair", {kTokens, kModel}, add_layer_norm_pair_work(kTokens, kModel));
  lines.add("gelu", {256, kTokens / 256, 4 * kModel}, gelu_work(kTokens, 4 * kModel));
}

void add_rwkv(Lines& lines) {
  constexpr std::int64_t kWidth = 1024;
  for (const std::int64_t T : {256, 2048}) {
    lines.add("wkv", {kTokens / T, T, kWidth}, wkv_work(kTokens, kWidth, false));
    lines.add("wkv, gate", {kTokens / T, T, kWidth}, wkv_work(kTokens, kWidth, true));
  }
  lines.add("token_shift, 3 mixes", {256, kTokens / 256, kWidth},
            token_shift_work(kTokens, kWidth, 3));
  lines.add("squared_relu", {256, kTokens / 256, 4 * kWidth}, gelu_work(kTokens, 4 * kWidth));
}

/// What some of Mamba's gates are made of, and the dropout of Hyena and RWKV.
void add_gates(Lines& lines) {
  constexpr std::int64_t T = 256;
  lines.add("dropout", {kTokens / T, T, kHyena}, dropout_work(kTokens, kHyena));
  lines.add("wide_attention", {kTokens / T, T, T, kInner}, wide_attention_work(kTokens, T, kInner));
}

/// Forward with the whole backward; then the two products of the backward by themselves.
void add_linears(Lines& lines) {
  struct Projection {
    const char* name;
    std::int64_t K, N;
  };
  constexpr std::int64_t kSelection = kDtRank + 2 * kStates;
  const OpCase operation = case_named("linear");
  for (const auto& [name, K, N] :
       {Projection{"in_proj", kModel, 2 * kInner}, Projection{"x_proj", kInner, kSelection},
        Projection{"dt_proj", kDtRank, kInner}, Projection{"out_proj", kInner, kModel}}) {
    const Sizes sizes{256, kTokens / 256, K, N};
    const std::string full = fmt::format("linear, {}", name);
    lines.add(full, operation, sizes, linear_work(kTokens, K, N, true, true), {});
    lines.add(full + ", dx only", operation, sizes, linear_work(kTokens, K, N, true, false), {"x"});
    lines.add(full + ", dw only", operation, sizes, linear_work(kTokens, K, N, false, true), {"w"});
  }
}

void add_heads(Lines& lines) {
  const auto add = [&](std::int64_t R, std::int64_t V) {
    lines.add("linear_cross_entropy", {R, kModel, V}, linear_cross_entropy_work(R, kModel, V));
  };
  add(16384, 20000);
  add(16384, 50304);
  add(kTokens, 50304);
}

void add_optimizer(Lines& lines) {
  const auto add = [&](const char* name, const Work& work,
                       GpuWork (*make)(std::int64_t, RandomTensors&)) {
    lines.add({.name = name,
               .sizes = {{"parameters", kParameters}},
               .work = {.forward = work, .backward = {}},
               .make = [make](RandomTensors& random) { return make(kParameters, random); }});
  };
  add("gradient_norm", gradient_norm_work(kParameters), gradient_norm_gpu_work);
  add("adamw_step", adamw_work(kParameters), adamw_gpu_work);
}

}  // namespace

std::string sizes_text(const GpuLine& line) {
  std::string text;
  for (const auto& [name, size] : line.sizes) {
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, size);
  }
  return text;
}

std::vector<GpuLine> gpu_lines() {
  Lines lines;
  add_scans(lines);
  add_convolutions(lines);
  add_row_operations(lines);
  add_transformer(lines);
  add_rwkv(lines);
  add_gates(lines);
  add_linears(lines);
  add_heads(lines);
  add_optimizer(lines);
  for (GpuLine& line : gpu_matrix_lines()) {
    lines.add(std::move(line));
  }
  return lines.take();
}

}  // namespace farsight::bench
