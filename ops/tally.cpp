#include "ops/tally.h"

#include "core/tensor.h"

namespace farsight {

void tally_predictions(const Tensor& loss, const Tensor& predictions, const Tensor& targets,
                       const Tensor& tally, bool add) {
  check(loss.shape() == Shape{1}, "tally_predictions: loss must be [1], got {}", loss.shape());
  check(predictions.shape() == targets.shape() && targets.shape().n == 1,
        "tally_predictions: predictions and targets must be [R] alike, got {} and {}",
        predictions.shape(), targets.shape());
  check(tally.shape() == Shape{2} && tally.dtype() == DType::f64,
        "tally_predictions: tally must be [2] f64, got {} {}", tally.shape(),
        name_of(tally.dtype()));
  const TallyArgs a{.loss = loss.ptr(),
                    .predictions = predictions.data<std::int32_t>(),
                    .targets = targets.data<std::int32_t>(),
                    .tally = tally.data<double>(),
                    .R = targets.elements(),
                    .add = add,
                    .type = loss.dtype()};
  FARSIGHT_LAUNCH(tally_predictions, loss.device(), a);
}

namespace cpu {

void tally_predictions(const TallyArgs& a) {
  const double loss = a.type == DType::f64
                          ? *static_cast<const double*>(a.loss)
                          : static_cast<double>(*static_cast<const float*>(a.loss));
  std::int64_t right = 0;
  for (std::int64_t i = 0; i < a.R; i++) {
    right += a.targets[i] >= 0 && a.predictions[i] == a.targets[i] ? 1 : 0;
  }
  a.tally[0] = (a.add ? a.tally[0] : 0) + loss;
  a.tally[1] = (a.add ? a.tally[1] : 0) + static_cast<double>(right);
}

}  // namespace cpu
}  // namespace farsight
