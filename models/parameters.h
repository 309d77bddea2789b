// Parameters: what a model declares, and the flat buffers they live in.
//
// A model is a struct whose members are Parameters; its `visit(f)` calls f(name, parameter) for each
// with the name it has in the Hugging Face checkpoint. That one walk serves creation, counting,
// initialisation, loading, saving, the optimiser and (later) the buckets of data parallelism.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "autograd/tape.h"
#include "core/tensor.h"

namespace farsight {

/// Which of the existing initialisations of a model.
enum class Init : std::uint8_t {
  standard,  ///< the original author's
  released   ///< what the paper's released code does when it trains from scratch
};

/// What the values that training carries from step to step are kept in.
enum class Storage : std::uint8_t {
  f32,  ///< f64 for a model computed in f64
  bf16  ///< parameters and moments hold only values that bf16 has, as when a whole model is cast to
        ///< it, as the authors' Hyena and RWKV are; they still lie in f32 (f64)
};

/// How one tensor starts. Numbers come from Philox keyed by (seed, name), so they depend neither on
/// the order of creation nor on the device.
struct Distribution {
  enum class Kind : std::uint8_t {
    constant,               ///< a
    normal,                 ///< mean 0, standard deviation a
    uniform,                ///< in (-a, a)
    log_of_state,           ///< log(n + 1) for column n: A_log of the S4D-real initialisation
    inverse_softplus_time,  ///< softplus^-1(t), t = exp(U(log a, log b)) but at least 1e-4: dt bias
    time_features,  ///< of [1, L, 2 n + 1]: in row t, t / (L - 1), then n cosines and n sines of -t
    // RWKV-4, column h of D (RWKV_TimeMix in RWKV-v4/src/model.py of BlinkDL/RWKV-LM):
    decay_of_channel,  ///< -5 + 8 (h / (D - 1))^a
    zigzag,            ///< a, a + 1/2, a - 1/2 in turns
    power_of_channel   ///< (h / D)^a + b
  };
  Kind kind = Kind::constant;
  double a = 0, b = 0;

  static Distribution constant(double value) { return {Kind::constant, value, 0}; }
  static Distribution normal(double deviation) { return {Kind::normal, deviation, 0}; }
  static Distribution uniform(double limit) { return {Kind::uniform, limit, 0}; }
  static Distribution time_features() { return {Kind::time_features, 0, 0}; }
  static Distribution decay_of_channel(double power) { return {Kind::decay_of_channel, power, 0}; }
  static Distribution zigzag(double middle) { return {Kind::zigzag, middle, 0}; }
  static Distribution power_of_channel(double power, double offset) {
    return {Kind::power_of_channel, power, offset};
  }
};

/// A matrix is an operand of matrix products, which are done in the compute type; anything else is
/// read in f32 (f64).
enum class Role : std::uint8_t { matrix, other };

struct Parameter {
  Shape shape;
  Distribution start;
  Role role = Role::other;

  // Set by ParameterStore; `master` and `operand` share one Grad.
  Tensor master{};   ///< f32 (f64): what the optimiser moves
  Tensor operand{};  ///< in the compute type: the master itself, or its bf16 copy

  /// Matrices of 2 or more dimensions except A_log: what "weight decay on matrices only" decays.
  bool decays_as_matrix = true;
};

using ParameterVisitor = std::function<void(const std::string& name, Parameter& parameter)>;

/// All parameters of a model in flat buffers, 64-byte aligned each: values, gradients, and bf16
/// copies of the matrices when computing in bf16.
class ParameterStore {
 public:
  struct Entry {
    std::string name;
    Parameter* parameter = nullptr;
    std::int64_t offset = 0, count = 0;  ///< elements within the flat buffers
    std::int64_t operand_offset = -1;    ///< within the bf16 copies; -1: none
  };

  /// `visit` walks the model; its parameters must outlive the store. Values are uninitialised.
  ParameterStore(const std::function<void(const ParameterVisitor&)>& visit, Device device,
                 DType compute);

  const std::vector<Entry>& entries() const { return entries_; }
  /// Null when there is no such name.
  const Entry* find(const std::string& name) const;
  /// Parameters, without the padding between them.
  std::int64_t count() const { return count_; }
  /// Elements of the flat buffers, padding included.
  std::int64_t flat_count() const { return values_.elements(); }
  DType compute() const { return compute_; }
  Device device() const { return device_; }
  /// Of the values from now on: initialise() and the optimiser keep to it.
  void store_as(Storage storage) { storage_ = storage; }
  Storage storage() const { return storage_; }

  const Tensor& values() const { return values_; }
  const Tensor& gradients() const { return gradients_; }
  /// The bf16 copies, flat; empty in f32 and f64.
  const Tensor& operands() const { return operands_; }
  /// Which 16 operands are the copy of 16 values, -1 for none: [flat_count / 16] i32; empty when
  /// there are no copies.
  const Tensor& operand_groups() const { return operand_groups_; }

  void initialise(std::uint64_t seed);
  /// Makes the bf16 copies current; nothing to do in f32 and f64. Call after values change.
  void refresh_operands();
  /// Before a backward: gradients are written (=), not added, by their first writer.
  void forget_gradients();
  /// After a backward: parameters that nothing wrote to get a zero gradient.
  void complete_gradients();

 private:
  std::vector<Entry> entries_;
  std::int64_t count_ = 0;
  Device device_;
  DType compute_;
  Storage storage_ = Storage::f32;
  Tensor values_, gradients_, operands_, operand_groups_;
};

/// Every value of `values` (f32 or f64, dense, on the CPU) becomes the nearest that bf16 has.
void round_to_bf16(const Tensor& values);

/// Fills `out` (f32 or f64, dense, on the CPU) as `start` says; exposed for tests.
void fill(const Tensor& out, const Distribution& start, std::uint64_t seed,
          const std::string& name);

}  // namespace farsight
