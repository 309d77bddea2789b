// Reverse-mode differentiation by an eager tape.
//
//   Tape tape;                   // operations of this thread are recorded from here on
//   Tensor loss = ...;
//   tape.backward(loss, one);    // walks the tape backwards once, freeing as it goes
//
// The order of execution is a topological order, so nothing is sorted and nothing recurses. What an
// operation saves is what its closure captures. Inference is the absence of a Tape.
// Second derivatives are not promised: backward runs outside any tape of its own.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "core/trace.h"

namespace farsight {

/// Where the gradient of one tensor is gathered.
struct Grad {
  Tensor value;         ///< a parameter's is preset to its slice of the flat gradient buffer
  bool filled = false;  ///< `value` holds a sum so far: the next writer adds
  int uses = 0;         ///< recorded readers whose backward has not run yet
  std::function<void()> ready;  ///< called when the last of them has

  // Parts of a split tensor write into slices of the whole's gradient.
  std::vector<std::weak_ptr<Grad>> parts;  ///< of this tensor, while its split is recorded
  Shape shape;                             ///< of a split tensor
  std::shared_ptr<Grad> whole;             ///< the tensor this one is a part of
  std::int64_t begin = 0, count = 0;       ///< columns within `whole`
};

/// Permission to write a gradient: `=` when `add` is false, else `+=`. Empty: it is not wanted.
struct Sink {
  Tensor out;
  bool add = false;
  explicit operator bool() const { return static_cast<bool>(out); }
  void* ptr() const { return out.ptr(); }
};

/// An input's gradient, named without keeping the input's bytes alive.
class Slot {
 public:
  Slot() = default;
  explicit Slot(const Tensor& x) : like_(x.without_bytes()) {}
  bool wanted() const { return like_.grad != nullptr; }
  /// Where to write the gradient of an activation (it has the activation's type). The first caller
  /// gets `=`, later callers `+=`.
  Sink sink() const { return sink(like_.dtype()); }
  /// The same for a parameter, whose gradient is kept in the accumulator type.
  Sink parameter_sink() const { return sink(accumulator_of(like_.dtype())); }
  /// The same when `gradient` is already a term of the sum and nobody else needs its bytes: if it
  /// is the first, its buffer becomes the gradient (no copy) and the caller adds its own term. When
  /// the answer has add == false, or out is another buffer, the caller must add `gradient` itself.
  Sink adopt(const Tensor& gradient) const;

 private:
  Sink sink(DType dtype) const;
  Tensor like_;
};

class Tape {
 public:
  /// dy[i] is the gradient of output i; empty if nothing used that output.
  using Backward = std::function<void(std::span<const Tensor> dy)>;

  Tape();
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// Accumulates d(sum(y * dy))/d(leaf) into every leaf that has a Grad, last operation first.
  /// Recording stops; saved tensors die as their node is done. Called once. `dy` may become a
  /// gradient buffer of its own: its bytes are not to be used afterwards.
  void backward(const Tensor& y, const Tensor& dy);

  std::size_t size() const { return nodes_.size(); }

 private:
  friend void record(const char*, std::initializer_list<Tensor*>,
                     std::initializer_list<const Tensor*>, Backward);
  friend Tensor checkpoint(const std::function<Tensor(const Tensor&)>&, const Tensor&);
  friend std::vector<Tensor> split(const Tensor&, std::initializer_list<std::int64_t>);
  struct Output {
    std::shared_ptr<Grad> grad;
    Shape shape;
  };
  struct Node {
    std::vector<Output> out;
    std::vector<std::shared_ptr<Grad>> in;
    Backward backward;
    std::string name{};   ///< scope and operation, for whoever watches
    LeastWork work{};     ///< of its backward, for whoever measures
    bool splits = false;  ///< recorded by split()
  };
  bool made(const Tensor& y) const;
  /// Removes the last node; `done`: its backward has run.
  void pop(bool done);
  /// Tensors read by the recorded operations but made outside of them.
  std::vector<std::shared_ptr<Grad>> leaves() const;
  void drop();

  std::vector<Node> nodes_;
  Tape* outer_;
};

/// Called by an operation after its forward: gives each output a new Grad and appends `backward` to
/// this thread's tape. Does nothing when there is no tape or no input wants a gradient.
/// `operation` is its name as people know it.
void record(const char* operation, std::initializer_list<Tensor*> outputs,
            std::initializer_list<const Tensor*> inputs, Tape::Backward backward);

/// Looks at what this thread's operations make while it is alive: at every output after a forward,
/// and at the gradient of every output before a backward. To find the first value that is not
/// finite, or to print a trace.
class Watch {
 public:
  /// `name` is "layer 3, selective_scan".
  using Look = std::function<void(const std::string& name, const Tensor& value, bool backward)>;
  explicit Watch(Look look);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  Look look_;
  const Look* outer_;
};

/// Says which part of the model the operations belong to while it is alive: "layer 3".
class NameScope {
 public:
  explicit NameScope(std::string name);
  ~NameScope();
  NameScope(const NameScope&) = delete;
  NameScope& operator=(const NameScope&) = delete;

 private:
  std::string outer_;
  TraceSpan span_;
};

/// Whether record() would keep anything: lets an operation skip saving for a backward.
bool recording(std::initializer_list<const Tensor*> inputs);

/// y = f(x), keeping only x: f runs again during backward. Tensors that f reads from outside
/// (parameters) are found by themselves. Memory for time: one more forward of f.
Tensor checkpoint(const std::function<Tensor(const Tensor&)>& f, const Tensor& x);

/// Views of the last dimension, in order; `widths` must cover it. Their gradients are written
/// straight into the matching columns of the gradient of `x`, so nothing is concatenated on the way
/// back.
std::vector<Tensor> split(const Tensor& x, std::initializer_list<std::int64_t> widths);

/// A leaf: the same bytes with a Grad of its own, so that backward fills `leaf.grad->value`.
Tensor leaf(const Tensor& x);

/// Stops recording on this thread while alive: evaluation in the middle of training.
class NoTape {
 public:
  NoTape();
  ~NoTape();
  NoTape(const NoTape&) = delete;
  NoTape& operator=(const NoTape&) = delete;

 private:
  Tape* paused_;
};

}  // namespace farsight
