#include "models/parameters.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

#include "core/parallel.h"
#include "core/philox.h"

namespace farsight {
namespace {

constexpr std::int64_t kAlignElements = 16;  // 64 bytes of f32

std::int64_t aligned(std::int64_t count) {
  return (count + kAlignElements - 1) / kAlignElements * kAlignElements;
}

/// The position features of an implicit filter (Poli et al., 2023, section 3.3; PositionalEmbedding
/// of HazyResearch/safari).
double time_feature(std::int64_t row, std::int64_t rows, std::int64_t column,
                    std::int64_t columns) {
  const double t = static_cast<double>(row), length = static_cast<double>(rows);
  if (column == 0) return t / std::max(length - 1, 1.0);
  const std::int64_t bands = (columns - 1) / 2, band = (column - 1) % bands;
  constexpr double kSlowest = 1e-4;
  const double share =
      bands == 1 ? 0.0 : static_cast<double>(band) / static_cast<double>(bands - 1);
  const double frequency = kSlowest + (static_cast<double>(bands - 1) - kSlowest) * share;
  const double angle = frequency * 2 * std::numbers::pi * t / length;
  return column <= bands ? std::cos(angle) : -std::sin(angle);
}

/// The element's value; `r` are its four random words.
double draw(const Distribution& start, const Random4& r, std::int64_t column,
            std::int64_t columns) {
  const double u = uniform_double(r.v[0], r.v[1]);
  switch (start.kind) {
    case Distribution::Kind::constant:
      return start.a;
    case Distribution::Kind::normal:
      return start.a * std::sqrt(-2 * std::log(u)) *
             std::cos(2 * std::numbers::pi * uniform_double(r.v[2], r.v[3]));
    case Distribution::Kind::uniform:
      return start.a * (2 * u - 1);
    case Distribution::Kind::log_of_state:
      return std::log(static_cast<double>(column + 1));
    case Distribution::Kind::inverse_softplus_time: {
      const double low = std::log(start.a), high = std::log(start.b);
      const double time = std::max(std::exp(low + u * (high - low)), 1e-4);
      return time + std::log(-std::expm1(-time));
    }
    case Distribution::Kind::decay_of_channel: {
      const double last = static_cast<double>(std::max<std::int64_t>(columns - 1, 1));
      return -5 + 8 * std::pow(static_cast<double>(column) / last, start.a);
    }
    case Distribution::Kind::zigzag:
      return start.a + 0.5 * static_cast<double>((column + 1) % 3 - 1);
    case Distribution::Kind::power_of_channel:
      return std::pow(static_cast<double>(column) / static_cast<double>(columns), start.a) +
             start.b;
    case Distribution::Kind::time_features:
      break;  // which depends on the row as well
  }
  return 0;
}

Tensor groups_of(const std::vector<ParameterStore::Entry>& entries, std::int64_t flat) {
  const Tensor groups = Tensor::empty({flat / kAlignElements}, DType::i32, Device::cpu, "groups");
  std::ranges::fill(groups.span<std::int32_t>(), -1);
  for (const ParameterStore::Entry& entry : entries) {
    if (entry.operand_offset < 0) continue;
    for (std::int64_t i = 0; i < aligned(entry.count); i += kAlignElements) {
      groups.data<std::int32_t>()[(entry.offset + i) / kAlignElements] =
          static_cast<std::int32_t>((entry.operand_offset + i) / kAlignElements);
    }
  }
  return groups;
}

}  // namespace

void fill(const Tensor& out, const Distribution& start, std::uint64_t seed,
          const std::string& name) {
  const std::uint64_t key = philox_key(seed, hash_name(("init/" + name).c_str()));
  const std::int64_t columns = out.shape().last(), rows = out.shape().rows();
  with_type(out.dtype(), [&]<class T>() {
    T* to = out.data<T>();
    parallel_blocks(out.elements(), 65536, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; i++) {
        const Random4 r = philox4x32(key, 0, static_cast<std::uint64_t>(i));
        const double value = start.kind == Distribution::Kind::time_features
                                 ? time_feature(i / columns, rows, i % columns, columns)
                                 : draw(start, r, i % columns, columns);
        to[i] = T(static_cast<accumulator_t<T>>(value));
      }
    });
  });
}

void round_to_bf16(const Tensor& values) {
  with_type(values.dtype(), [&]<class T>() {
    for (T& x : values.span<T>()) {
      x = T(static_cast<accumulator_t<T>>(static_cast<float>(bf16(static_cast<float>(x)))));
    }
  });
}

ParameterStore::ParameterStore(const std::function<void(const ParameterVisitor&)>& visit,
                               Device device, DType compute)
    : device_(device), compute_(compute) {
  const DType master = accumulator_of(compute);
  std::int64_t flat = 0, copies = 0;
  std::set<std::string> names;
  visit([&](const std::string& name, Parameter& p) {
    check(names.insert(name).second, "parameters: two are called '{}'", name);
    Entry entry{.name = name, .parameter = &p, .offset = flat, .count = p.shape.elements()};
    flat += aligned(entry.count);
    count_ += entry.count;
    if (p.role == Role::matrix && compute != master) {
      entry.operand_offset = copies;
      copies += aligned(entry.count);
    }
    entries_.push_back(entry);
  });
  values_ = Tensor::zeros({flat}, master, device, "parameters");
  gradients_ = Tensor::zeros({flat}, master, device, "gradients");
  if (copies > 0) {
    operands_ = Tensor::zeros({copies}, compute, device, "parameters.bf16");
    operand_groups_ = groups_of(entries_, flat).to(device);
  }
  for (const Entry& entry : entries_) {
    Parameter& p = *entry.parameter;
    p.master = values_.slice_flat(entry.offset, p.shape);
    p.master.grad = std::make_shared<Grad>();
    p.master.grad->value = gradients_.slice_flat(entry.offset, p.shape);
    p.operand = p.master;
    if (entry.operand_offset >= 0) {
      p.operand = operands_.slice_flat(entry.operand_offset, p.shape);
      p.operand.grad = p.master.grad;
    }
  }
}

const ParameterStore::Entry* ParameterStore::find(const std::string& name) const {
  const auto at = std::find_if(entries_.begin(), entries_.end(),
                               [&](const Entry& entry) { return entry.name == name; });
  return at == entries_.end() ? nullptr : &*at;
}

void ParameterStore::initialise(std::uint64_t seed) {
  if (device_ == Device::meta) return;
  for (const Entry& entry : entries_) {
    const Tensor& master = entry.parameter->master;
    // The same numbers on every device: made on the CPU.
    const bool here = device_ == Device::cpu;
    const Tensor made =
        here ? master : Tensor::empty(master.shape(), master.dtype(), Device::cpu, "initial");
    fill(made, entry.parameter->start, seed, entry.name);
    if (storage_ == Storage::bf16) round_to_bf16(made);
    if (!here) master.copy_from(made);
  }
  refresh_operands();
}

void ParameterStore::refresh_operands() {
  if (!operands_ || device_ == Device::meta) return;
  for (const Entry& entry : entries_) {
    if (entry.operand_offset < 0) continue;
    if (device_ == Device::cuda) {
      entry.parameter->operand.copy_from(entry.parameter->master.to(compute_));
      continue;
    }
    const float* from = entry.parameter->master.data<float>();
    bf16* to = entry.parameter->operand.data<bf16>();
    parallel_blocks(entry.count, 65536, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; i++) {
        to[i] = bf16(from[i]);
      }
    });
  }
}

void ParameterStore::forget_gradients() {
  for (const Entry& entry : entries_) {
    entry.parameter->master.grad->filled = false;
  }
}

void ParameterStore::complete_gradients() {
  for (const Entry& entry : entries_) {
    Grad& grad = *entry.parameter->master.grad;
    if (!grad.filled) grad.value.fill_zero();
    grad.filled = true;
  }
}

}  // namespace farsight
