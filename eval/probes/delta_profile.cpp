#include "eval/probes/delta_profile.h"

#include "autograd/tape.h"
#include "core/tensor.h"
#include "ops/hidden_attention.h"

namespace farsight {
namespace {

/// The mean over channels, of every token.
std::vector<double> steps_of(const ScanInputs& in) {
  const Tensor dt = scan_times(in).to(Device::cpu).to(DType::f64);
  const std::int64_t T = dt.dim(1), D = dt.dim(2);
  std::vector<double> means;
  for (std::int64_t t = 0; t < T; t++) {
    double sum = 0;
    for (std::int64_t c = 0; c < D; c++) {
      sum += dt.data<double>()[t * D + c];
    }
    means.push_back(sum / static_cast<double>(D));
  }
  return means;
}

ScanInputs without_gate(const ScanInputs& in) {
  return {.u = in.u,
          .delta = in.delta,
          .A_log = in.A_log,
          .B = in.B,
          .C = in.C,
          .D = in.D,
          .bias = in.bias};
}

}  // namespace

void DeltaTally::add(const ScanInputs& in, const std::vector<TokenRole>& roles) {
  const NoTape inference;
  check(in.u.dim(0) == 1 && static_cast<std::size_t>(in.u.dim(1)) == roles.size(),
        "delta profile: one sequence of {} tokens was expected, got {}", roles.size(),
        in.u.shape());
  const std::vector<double> gated = steps_of(in);
  const std::vector<double> plain = in.gate ? steps_of(without_gate(in)) : gated;
  for (std::size_t t = 0; t < roles.size(); t++) {
    const auto role = static_cast<std::size_t>(roles[t]);
    sums_[role] += gated[t];
    plain_[role] += plain[t];
    tokens_[role]++;
  }
  examples_++;
}

DeltaProfile DeltaTally::means() const {
  DeltaProfile profile;
  for (std::size_t role = 0; role < kRoles.size(); role++) {
    const double tokens = static_cast<double>(tokens_[role]);  // 0 / 0: NaN
    profile.mean[role] = sums_[role] / tokens;
    profile.plain[role] = plain_[role] / tokens;
  }
  return profile;
}

}  // namespace farsight
