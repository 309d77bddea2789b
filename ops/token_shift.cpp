#include "ops/token_shift.h"

#include <algorithm>

#include "autograd/tape.h"
#include "core/lanes.h"
#include "core/parallel.h"

namespace farsight {
namespace {

// Of the rows, for dmix: fixed, so that the sum's order is. The GPU has room for some hundred
// walkers over vectors of channels; a share is at least kCudaRows long.
constexpr std::int64_t kShares = 32, kCudaShares = 792, kCudaRows = 16;

std::int64_t shares_for(std::int64_t rows, Device device) {
  if (device == Device::cuda) {
    return std::clamp<std::int64_t>((rows + kCudaRows - 1) / kCudaRows, 1, kCudaShares);
  }
  return std::clamp<std::int64_t>(rows, 1, kShares);
}

void check_shapes(const Tensor& x, const std::vector<Tensor>& mixes,
                  const TokenShiftOptions& options) {
  check(x.shape().n == 3, "token_shift: x must be [B, T, D], got {}", x.shape());
  const std::int64_t B = x.dim(0), T = x.dim(1), D = x.dim(2);
  const DType wide = accumulator_of(x.dtype());
  check(!mixes.empty() && mixes.size() <= kMostMixes,
        "token_shift: there must be 1 to {} mixes, got {}", kMostMixes, mixes.size());
  for (const Tensor& mix : mixes) {
    check(mix.shape().last() == D && mix.elements() == D && mix.dtype() == wide,
          "token_shift: a mix must be [D={}] or [1, 1, D] {}, got {} {}", D, name_of(wide),
          mix.shape(), name_of(mix.dtype()));
  }
  if (const Tensor* b = options.before) {
    check(b->shape() == Shape{B, D} && b->dtype() == x.dtype() && b->dense(),
          "token_shift: before must be dense [B={}, D={}] {}, got {} {}", B, D, name_of(x.dtype()),
          b->shape(), name_of(b->dtype()));
  }
  if (const Tensor* p = options.position) {
    check(p->shape() == Shape{B, T} && p->dtype() == DType::i32,
          "token_shift: position must be [B={}, T={}] i32, got {} {}", B, T, p->shape(),
          name_of(p->dtype()));
  }
}

const Tensor* at(const std::vector<Tensor>& all, std::size_t i) {
  return i < all.size() ? &all[i] : nullptr;
}

}  // namespace

std::vector<Tensor> token_shift(const Tensor& x, const std::vector<Tensor>& mixes,
                                const TokenShiftOptions& options) {
  check_shapes(x, mixes, options);
  const std::int64_t B = x.dim(0), T = x.dim(1), D = x.dim(2);
  const Device device = x.device();
  const std::size_t count = mixes.size();
  const std::initializer_list<const Tensor*> inputs = {&x, at(mixes, 0), at(mixes, 1),
                                                       at(mixes, 2)};
  const bool records = recording(inputs);
  check(!records || (options.before == nullptr && options.last == nullptr),
        "token_shift: no gradient goes through the tokens of another call; leave them away");
  const Tensor before = options.before ? *options.before : Tensor();
  const Tensor position = options.position ? *options.position : Tensor();
  TokenShiftArgs a{.x = x.ptr(),
                   .before = before.ptr(),
                   .position = position ? position.data<std::int32_t>() : nullptr,
                   .B = B,
                   .T = T,
                   .D = D,
                   .shares = shares_for(B * T, device),
                   .x_stride = x.row_stride(),
                   .mixes = static_cast<int>(count),
                   .type = x.dtype()};
  std::vector<Tensor> y;
  std::vector<Slot> mix_slots;
  for (std::size_t i = 0; i < count; i++) {
    y.push_back(Tensor::empty(x.shape(), x.dtype(), device, "token_shift.y"));
    a.mix[i] = mixes[i].ptr();
    a.y[i] = y[i].ptr();
    mix_slots.emplace_back(mixes[i]);
  }
  Tensor last;
  if (options.last != nullptr) {
    last = Tensor::empty({B, D}, x.dtype(), device, "token_shift.last");
    a.last = last.ptr();
  }
  FARSIGHT_LAUNCH(token_shift_forward, device, a);
  if (options.last != nullptr) *options.last = last;  // which may have been `before`
  auto backward = [=, x_slot = Slot(x)](std::span<const Tensor> dy) {
    TokenShiftArgs g = a;
    g.x = x.ptr();  // the captures keep these bytes alive
    g.position = position ? position.data<std::int32_t>() : nullptr;
    const Sink dx = x_slot.sink();
    g.dx = dx.ptr();
    g.dx_add = dx.add;
    g.dx_stride = dx ? dx.out.row_stride() : 0;
    std::vector<Sink> dmix;  // they hold freshly made gradient buffers
    for (std::size_t i = 0; i < count; i++) {
      dmix.push_back(mix_slots[i].parameter_sink());
      g.mix[i] = mixes[i].ptr();
      g.dy[i] = dy[i].ptr();
      g.dmix[i] = dmix[i].ptr();
      g.dmix_add[i] = dmix[i].add;
    }
    const Tensor partial = Tensor::empty({g.shares, g.mixes, g.D}, accumulator_of(g.type), device,
                                         "token_shift.partial");
    g.partial = partial.ptr();
    FARSIGHT_LAUNCH(token_shift_backward, device, g);
  };
  if (count == 1) record("token_shift", {&y[0]}, inputs, backward);
  if (count == 2) record("token_shift", {&y[0], &y[1]}, inputs, backward);
  if (count == 3) record("token_shift", {&y[0], &y[1], &y[2]}, inputs, backward);
  return y;
}

namespace cpu {
namespace {

template <class T>
class TokenShift {
  using A = accumulator_t<T>;
  using V = Lanes<A>;

 public:
  explicit TokenShift(const TokenShiftArgs& a) : a_(a) {}

  void forward(std::int64_t row) const {
    for_lanes([&](std::int64_t d, int count) {
      const V x = x_at(row, d, count), past = past_of(row, d, count);
      for (int i = 0; i < a_.mixes; i++) {
        // As a sum of products: x - past may lose what bf16 inputs say.
        const V mix = mix_at(i, d, count);
        store_lanes(static_cast<T*>(a_.y[i]) + row * a_.D + d, mix * x + (1 - mix) * past, count);
      }
      if (a_.last != nullptr && row % a_.T == a_.T - 1) {
        store_lanes(static_cast<T*>(a_.last) + row / a_.T * a_.D + d, x, count);
      }
    });
  }

  /// Adds to the share [mixes, D] as well.
  void backward(std::int64_t row, A* share) const {
    const bool goes_on = row % a_.T + 1 < a_.T && !starts(row + 1);
    for_lanes([&](std::int64_t d, int count) {
      const V apart = x_at(row, d, count) - past_of(row, d, count);
      V dx = {};
      for (int i = 0; i < a_.mixes; i++) {
        if (a_.dy[i] == nullptr) continue;
        const T* dy = static_cast<const T*>(a_.dy[i]) + row * a_.D + d;
        const V mix = mix_at(i, d, count), own = load_lanes(dy, count);
        dx += mix * own;
        if (goes_on) dx += (1 - mix) * load_lanes(dy + a_.D, count);
        A* sum = share + i * a_.D + d;
        store_lanes(sum, load_lanes(sum, count) + own * apart, count);
      }
      if (a_.dx != nullptr) {
        put_lanes(static_cast<T*>(a_.dx) + row * a_.dx_stride + d, dx, count, a_.dx_add);
      }
    });
  }

  /// Adds up the shares, in order.
  void sum_shares() const {
    const A* partial = static_cast<const A*>(a_.partial);
    for (int i = 0; i < a_.mixes; i++) {
      A* to = static_cast<A*>(a_.dmix[i]);
      for (std::int64_t d = 0; d < a_.D && to != nullptr; d++) {
        A sum = {};
        for (std::int64_t share = 0; share < a_.shares; share++) {
          sum += partial[(share * a_.mixes + i) * a_.D + d];
        }
        to[d] = (a_.dmix_add[i] ? to[d] : A{}) + sum;
      }
    }
  }

 private:
  template <class F>
  void for_lanes(const F& f) const {
    for (std::int64_t d = 0; d < a_.D; d += kLanes<A>) {
      f(d, static_cast<int>(std::min<std::int64_t>(kLanes<A>, a_.D - d)));
    }
  }
  bool starts(std::int64_t row) const { return a_.position != nullptr && a_.position[row] == 0; }
  V mix_at(int i, std::int64_t d, int count) const {
    return load_lanes(static_cast<const A*>(a_.mix[i]) + d, count);
  }
  V x_at(std::int64_t row, std::int64_t d, int count) const {
    return load_lanes(static_cast<const T*>(a_.x) + row * a_.x_stride + d, count);
  }
  V past_of(std::int64_t row, std::int64_t d, int count) const {
    if (starts(row)) return V{};
    if (row % a_.T > 0) return x_at(row - 1, d, count);
    if (a_.before == nullptr) return V{};
    return load_lanes(static_cast<const T*>(a_.before) + row / a_.T * a_.D + d, count);
  }

  const TokenShiftArgs& a_;
};

}  // namespace

void token_shift_forward(const TokenShiftArgs& a) {
  with_type(a.type, [&]<class T>() {
    const TokenShift<T> shift(a);
    parallel_blocks(a.B * a.T, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; row++) {
        shift.forward(row);
      }
    });
  });
}

void token_shift_backward(const TokenShiftArgs& a) {
  with_type(a.type, [&]<class T>() {
    using A = accumulator_t<T>;
    const TokenShift<T> shift(a);
    const std::int64_t rows = a.B * a.T;
    parallel_for(a.shares, [&](std::int64_t share) {
      A* sums = static_cast<A*>(a.partial) + share * a.mixes * a.D;
      std::fill(sums, sums + a.mixes * a.D, A{});
      for (std::int64_t row = rows * share / a.shares; row < rows * (share + 1) / a.shares; row++) {
        shift.backward(row, sums);
      }
    });
    shift.sum_shares();
  });
}

}  // namespace cpu
}  // namespace farsight
