#include "train/ranks/gradient_sync.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/clock.h"
#include "core/device_calls.h"
#include "ops/elementwise.h"

namespace farsight {
namespace {

constexpr std::int64_t kGroup =
    16;  // elements; parameters begin at multiples (models/parameters.h)

std::byte* at(const Tensor& flat, std::int64_t element) {
  return static_cast<std::byte*>(flat.ptr()) + element * size_of(flat.dtype());
}

template <class F>
void with_span(const Tensor& flat, const Bucket& part, const F& f) {
  const auto count = static_cast<std::size_t>(part.count);
  if (flat.dtype() == DType::f64) {
    f(std::span<double>(flat.data<double>() + part.begin, count));
  } else {
    f(std::span<float>(flat.data<float>() + part.begin, count));
  }
}

/// Two moments of a step (DeviceCalls::mark), for as many steps as may be under way.
int first_moment(int step) {
  constexpr int kFirst = 200, kSteps = 8;
  return kFirst + 2 * (step % kSteps);
}

/// to += from
void add_to(std::byte* to, const std::byte* from, std::int64_t count, DType type, Device device) {
  const ElementwiseArgs a{.kind = ElementwiseKind::add,
                          .a = to,
                          .b = from,
                          .y = to,
                          .rows = 1,
                          .columns = count,
                          .a_stride = count,
                          .b_stride = count,
                          .type = type};
  FARSIGHT_LAUNCH(elementwise_forward, device, a);
}

}  // namespace

/// A thread that carries out what it is given, in order.
class GradientSync::Courier {
 public:
  Courier() : thread_([this] { run(); }) {}
  Courier(const Courier&) = delete;
  Courier& operator=(const Courier&) = delete;
  ~Courier() {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void give(std::function<void()> errand) {
    {
      const std::lock_guard lock(mutex_);
      errands_.push_back(std::move(errand));
    }
    changed_.notify_all();
  }

  /// Until all is done; throws what went wrong, after which nothing more is carried out.
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return (errands_.empty() && !busy_) || failure_; });
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return closing_ || (!errands_.empty() && !failure_); });
      if (closing_) return;
      const std::function<void()> errand = std::move(errands_.front());
      errands_.pop_front();
      busy_ = true;
      lock.unlock();
      std::exception_ptr failure;
      try {
        errand();
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      busy_ = false;
      failure_ = failure;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> errands_;
  std::exception_ptr failure_;
  bool busy_ = false, closing_ = false;
  std::thread thread_;
};

Bucket owned_part(std::int64_t count, int rank, int world) {
  const std::int64_t part = count / (kGroup * world) * kGroup;
  return {rank * part, rank == world - 1 ? count - rank * part : part};
}

GradientSync::GradientSync(Ranks& ranks, DeviceRanks* gpus, ParameterStore& parameters,
                           const GradientSyncOptions& options)
    : ranks_(ranks),
      gpus_(gpus),
      parameters_(parameters),
      options_(options),
      order_(
          parameters,
          cut_buckets(parameters.flat_count(),
                      std::max<std::int64_t>(kGroup, options.bucket_bytes /
                                                         size_of(parameters.gradients().dtype()) /
                                                         kGroup * kGroup)),
          [this](const Bucket& bucket) { send(bucket); }) {
  check((gpus != nullptr) == (parameters.device() == Device::cuda),
        "GradientSync: parameters on {} need {}", name_of(parameters.device()),
        gpus == nullptr ? "GPUs that know each other" : "no GPUs");
  if (gpus_ == nullptr) courier_ = std::make_unique<Courier>();
  const bool gathers = gpus_ != nullptr && options.ordered && ranks.world() > 2;
  if (gathers && !order_.buckets().empty()) {
    gathered_ = Tensor::empty({ranks.world() * order_.buckets().front().count},
                              parameters.gradients().dtype(), Device::cuda, "gradients.gathered");
  }
}

GradientSync::~GradientSync() = default;

void GradientSync::expect() {
  // Parts are summed at once, when all is there.
  if (!options_.scattered && !options_.ordered) order_.arm();
}

void GradientSync::send(const Bucket& bucket) {
  if (gpus_ == nullptr) {
    courier_->give([this, bucket] { reduce_on_sockets(bucket); });
  } else if (gathered_) {
    gather_and_add(bucket);
  } else {
    gpus_->all_reduce(at(parameters_.gradients(), bucket.begin), bucket.count,
                      parameters_.gradients().dtype());
  }
}

void GradientSync::reduce_on_sockets(const Bucket& bucket) {
  with_span(parameters_.gradients(), bucket, [&](auto values) { ranks_.all_reduce(values); });
}

/// In pairs, then pairs of pairs, as tree_sum: (0 + 1) + (2 + 3).
void GradientSync::gather_and_add(const Bucket& bucket) {
  const Tensor& gradients = parameters_.gradients();
  const DType type = gradients.dtype();
  const auto place = [&](int rank) { return at(gathered_, rank * bucket.count); };
  const ByteRows own{.address = place(ranks_.rank()), .stride = 0};
  const std::int64_t bytes = bucket.count * size_of(type);
  device_calls().copy(own, {.address = at(gradients, bucket.begin), .stride = 0}, bytes, 1);
  gpus_->all_gather(gathered_.ptr(), bucket.count, type);
  gpus_->join();
  for (int stride = 1; stride < ranks_.world(); stride *= 2) {
    for (int rank = 0; rank + stride < ranks_.world(); rank += 2 * stride)
      add_to(place(rank), place(rank + stride), bucket.count, type, Device::cuda);
  }
  device_calls().copy({.address = at(gradients, bucket.begin), .stride = 0},
                      {.address = place(0), .stride = 0}, bytes, 1);
}

void GradientSync::reduce_parts() {
  const Tensor& gradients = parameters_.gradients();
  const int world = ranks_.world();
  const std::int64_t part = owned_part(gradients.elements(), 0, world).count;
  const Bucket equal{0, part * world}, rest{part * world, gradients.elements() - part * world};
  if (gpus_ != nullptr) {
    gpus_->reduce_scatter(gradients.ptr(), part, gradients.dtype());
    if (rest.count > 0) gpus_->all_reduce(at(gradients, rest.begin), rest.count, gradients.dtype());
    gpus_->join();
    return;
  }
  with_span(gradients, equal, [&](auto values) { ranks_.reduce_scatter(values); });
  with_span(gradients, rest, [&](auto values) { ranks_.all_reduce(values); });
}

void GradientSync::finish() {
  finished_ = seconds_now();
  if (gpus_ != nullptr) device_calls().mark(first_moment(steps_));
  if (options_.scattered && !options_.ordered) {
    reduce_parts();
    return;
  }
  order_.finish();
  gpus_ == nullptr ? courier_->wait() : gpus_->join();
}

void GradientSync::add_up(const Tensor& numbers) {
  if (gpus_ == nullptr) {
    ranks_.all_reduce(numbers.span<double>());
    return;
  }
  gpus_->all_reduce(numbers.ptr(), numbers.elements(), numbers.dtype());
  gpus_->join();
}

void GradientSync::sum(const Tensor& numbers) {
  add_up(numbers);
  if (gpus_ == nullptr) {
    exposed_.push_back(1e3 * (seconds_now() - finished_));
    return;
  }
  const int moment = first_moment(steps_++);
  device_calls().mark(moment + 1);
  exposed_.push_back(moment);
}

double GradientSync::exposed_ms() {
  const double oldest = exposed_.front();
  exposed_.pop_front();
  if (gpus_ == nullptr) return oldest;
  const int moment = static_cast<int>(oldest);
  return device_calls().elapsed_ms(moment, moment + 1);
}

void GradientSync::share_parts(const Tensor& flat) {
  const int world = ranks_.world();
  const std::int64_t part = owned_part(flat.elements(), 0, world).count;
  const Bucket equal{0, part * world}, rest{part * world, flat.elements() - part * world};
  if (gpus_ != nullptr) {
    gpus_->all_gather(flat.ptr(), part, flat.dtype());
    if (rest.count > 0) {
      gpus_->broadcast(at(flat, rest.begin), rest.count, flat.dtype(), world - 1);
    }
    gpus_->join();
    return;
  }
  with_span(flat, equal, [&](auto values) { ranks_.all_gather(values); });
  with_span(flat, rest, [&](auto values) {  // the last rank's; a few elements
    std::vector<std::remove_cvref_t<decltype(values[0])>> all(values.size() *
                                                              static_cast<std::size_t>(world));
    const auto place = [&](int rank) {
      return all.begin() + static_cast<std::ptrdiff_t>(values.size()) * rank;
    };
    std::copy(values.begin(), values.end(), place(ranks_.rank()));
    ranks_.all_gather(std::span(all));
    std::copy_n(place(world - 1), values.size(), values.begin());
  });
}

void GradientSync::require_all() const {
  const std::string loss = ranks_.liveness().loss();
  require(loss.empty(), ExitCode::peer, "{}", loss);
}

}  // namespace farsight
