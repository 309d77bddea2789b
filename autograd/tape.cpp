#include "autograd/tape.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace farsight {
namespace {

thread_local Tape* current = nullptr;
thread_local const Watch::Look* watching = nullptr;
thread_local std::string scope;

std::string full_name(const char* operation) {
  return scope.empty() ? operation : scope + ", " + operation;
}

/// x [.., K] by a matrix [N, K].
double product_flops(const char* operation, std::span<const Tensor* const> inputs) {
  const std::string_view name = operation;
  if (name != "linear" && name != "linear_cross_entropy") return 0;
  const Tensor &x = *inputs[0], &w = *inputs[1];
  return 2.0 * static_cast<double>(x.shape().rows()) * static_cast<double>(w.elements());
}

struct WorkOfBoth {
  LeastWork forward, backward;
};

/// Of an operation that takes rows of its first input: the others stay unread. The gradient of an
/// embedding's table, which others add to, is read and written in these rows; that of gathered rows is
/// written whole.
WorkOfBoth work_of_rows(bool table, const Tensor& x, std::int64_t taken) {
  const std::int64_t rows = std::min(x.bytes(), taken);
  return {.forward = {rows + taken, 0}, .backward = {taken + (table ? 2 * rows : x.bytes()), 0}};
}

/// Backwards the gradients of the outputs and the inputs are read, and gradients of inputs written,
/// each with a product of its own.
WorkOfBoth work_of(const char* operation, std::span<Tensor* const> outputs,
                   std::span<const Tensor* const> inputs) {
  std::int64_t read = 0, written = 0, gradients = 0, wanted = 0;
  for (const Tensor* x : inputs) {
    if (x == nullptr) continue;
    read += x->bytes();
    if (x->grad == nullptr) continue;
    gradients += x->bytes();
    wanted++;
  }
  for (const Tensor* y : outputs) {
    written += y->bytes();
  }
  const std::string_view name = operation;
  if (name == "embedding" || name == "gather_rows") {
    return work_of_rows(name == "embedding", *inputs[0], written);
  }
  const double flops = product_flops(operation, inputs);
  return {.forward = {read + written, flops},
          .backward = {written + read + gradients, flops * static_cast<double>(wanted)}};
}

/// Makes `whole` a complete sum: columns that no part has written become zero.
void complete(Grad& whole) {
  if (whole.filled || !whole.value) return;
  for (const std::weak_ptr<Grad>& part : whole.parts) {
    const std::shared_ptr<Grad> grad = part.lock();  // alive as long as the split is recorded
    if (!grad->filled) whole.value.columns(grad->begin, grad->count).fill_zero();
  }
  whole.filled = true;
}

/// A reshaped tensor shares its Grad: each reader and the producer see the sum in their own shape.
Tensor in_shape(const Tensor& gradient, const Shape& shape) {
  return gradient.shape() == shape ? gradient : gradient.reshape(shape);
}

}  // namespace

Sink Slot::sink(DType dtype) const {
  if (!like_.grad) return {};
  Grad& grad = *like_.grad;
  if (grad.whole) {
    Grad& whole = *grad.whole;
    if (!whole.value) whole.value = Tensor::empty(whole.shape, dtype, like_.device(), "gradient");
    grad.value = whole.value.columns(grad.begin, grad.count);
  } else if (!grad.value) {
    grad.value = Tensor::empty(like_.shape(), dtype, like_.device(), "gradient");
  }
  if (!grad.parts.empty()) complete(grad);
  check(grad.value.dtype() == dtype && grad.value.elements() == like_.elements(),
        "gradient: the buffer is {} {}, the operation writes {} {}", name_of(grad.value.dtype()),
        grad.value.shape(), name_of(dtype), like_.shape());
  const bool add = grad.filled || (grad.whole && grad.whole->filled);
  grad.filled = true;
  return {in_shape(grad.value, like_.shape()), add};
}

Sink Slot::adopt(const Tensor& gradient) const {
  if (!like_.grad) return {};
  Grad& grad = *like_.grad;
  const bool first = !grad.filled && !grad.value && !grad.whole && grad.parts.empty();
  if (!first || !gradient || gradient.dtype() != like_.dtype() || !gradient.dense()) return sink();
  grad.value = gradient;
  grad.filled = true;
  return {grad.value, true};
}

Tape::Tape() : outer_(std::exchange(current, this)) {}

Tape::~Tape() {
  if (current == this) current = outer_;
  drop();
}

bool Tape::made(const Tensor& y) const {
  return std::any_of(nodes_.begin(), nodes_.end(), [&](const Node& node) {
    return std::any_of(node.out.begin(), node.out.end(),
                       [&](const Output& output) { return output.grad == y.grad; });
  });
}

void Tape::pop(bool done) {
  Node& node = nodes_.back();
  // A leaf outlives the tape and may be split again in the next one.
  if (node.splits) node.in.front()->parts.clear();
  for (const auto& grad : node.in) {
    if (--grad->uses == 0 && done && grad->ready) grad->ready();
  }
  nodes_.pop_back();
}

void Tape::drop() {
  while (!nodes_.empty()) {
    pop(false);
  }
}

void Tape::backward(const Tensor& y, const Tensor& dy) {
  check(y.grad != nullptr && made(y),
        "backward: no recorded operation leads to this tensor of shape {}", y.shape());
  check(!y.grad->whole, "backward: starts from a whole tensor, this {} is a part of a split one",
        y.shape());
  check(dy.shape() == y.shape(), "backward: dy must be {}, got {}", y.shape(), dy.shape());
  if (current == this) current = outer_;
  const NoTape no_second_order;
  y.grad->value = dy;
  y.grad->filled = true;
  for (; !nodes_.empty(); pop(true)) {
    Node& node = nodes_.back();
    std::vector<Tensor> gradients;
    bool any = false;
    for (const auto& [grad, shape] : node.out) {
      any |= grad->filled;
      gradients.push_back(grad->filled ? in_shape(std::exchange(grad->value, {}), shape)
                                       : Tensor());
    }
    for (const Tensor& gradient : gradients) {
      if (watching != nullptr && gradient) (*watching)(node.name, gradient, true);
    }
    const TraceSpan span(node.name.c_str());
    if (any) node.backward(gradients);
    if (operation_done != nullptr) operation_done(node.name, Pass::backward, node.work);
  }
}

std::vector<std::shared_ptr<Grad>> Tape::leaves() const {
  std::unordered_set<const Grad*> made, seen;
  std::vector<std::shared_ptr<Grad>> found;
  for (const Node& node : nodes_) {
    for (const auto& grad : node.in) {
      if (!made.contains(grad.get()) && seen.insert(grad.get()).second) found.push_back(grad);
    }
    for (const Output& output : node.out) {
      made.insert(output.grad.get());
    }
  }
  return found;
}

bool recording(std::initializer_list<const Tensor*> inputs) {
  if (current == nullptr) return false;
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const Tensor* x) { return x != nullptr && x->grad != nullptr; });
}

void record(const char* operation, std::initializer_list<Tensor*> outputs,
            std::initializer_list<const Tensor*> inputs, Tape::Backward backward) {
  for (Tensor* y : outputs) {
    if (watching != nullptr) (*watching)(full_name(operation), *y, false);
  }
  WorkOfBoth work;
  if (operation_done != nullptr) {
    work = work_of(operation, {outputs.begin(), outputs.size()}, {inputs.begin(), inputs.size()});
    operation_done(full_name(operation), Pass::forward, work.forward);
  }
  if (!recording(inputs)) return;
  Tape::Node node;
  node.name = full_name(operation);
  node.work = work.backward;
  for (const Tensor* x : inputs) {
    if (x == nullptr || !x->grad) continue;
    x->grad->uses++;
    node.in.push_back(x->grad);
  }
  for (Tensor* y : outputs) {
    // Never one that is there already: an output that shares its input's bytes is another value.
    y->grad = std::make_shared<Grad>();
    node.out.push_back({y->grad, y->shape()});
  }
  node.backward = std::move(backward);
  current->nodes_.push_back(std::move(node));
}

Tensor checkpoint(const std::function<Tensor(const Tensor&)>& f, const Tensor& x) {
  if (current == nullptr) return f(x);
  Tensor y;
  std::vector<std::shared_ptr<Grad>> leaves;
  {
    Tape scratch;
    y = f(x);
    if (!scratch.made(y)) return y;  // x itself, or nothing that wants a gradient
    leaves = scratch.leaves();
  }
  Tape::Node node;
  node.name = full_name("checkpoint");
  y.grad = std::make_shared<Grad>();
  node.out.push_back({y.grad, y.shape()});
  node.in = leaves;
  for (const auto& grad : leaves) {
    grad->uses++;
  }
  node.backward = [f, x](std::span<const Tensor> dy) {
    Tape again;
    const Tensor y_again = f(x);
    again.backward(y_again, dy[0]);
  };
  current->nodes_.push_back(std::move(node));
  return y;
}

std::vector<Tensor> split(const Tensor& x, std::initializer_list<std::int64_t> widths) {
  std::vector<Tensor> parts;
  std::int64_t begin = 0;
  for (std::int64_t width : widths) {
    parts.push_back(x.columns(begin, width));
    begin += width;
  }
  check(begin == x.shape().last(), "split: the widths cover {} of the last dimension of {}", begin,
        x.shape());
  if (!recording({&x})) return parts;
  check(x.grad->parts.empty() && !x.grad->whole,
        "split: a tensor is split once, got a second split");
  begin = 0;
  Tape::Node node;
  node.splits = true;
  node.name = full_name("split");
  node.in.push_back(x.grad);
  x.grad->uses++;
  x.grad->shape = x.shape();
  for (Tensor& part : parts) {
    part.grad = std::make_shared<Grad>();
    part.grad->whole = x.grad;
    part.grad->begin = begin;
    part.grad->count = part.shape().last();
    x.grad->parts.push_back(part.grad);
    node.out.push_back({part.grad, part.shape()});
    begin += part.grad->count;
  }
  // The node's inputs keep the Grad alive; a raw pointer avoids a second count.
  node.backward = [whole = x.grad.get()](std::span<const Tensor>) { complete(*whole); };
  current->nodes_.push_back(std::move(node));
  return parts;
}

Watch::Watch(Look look) : look_(std::move(look)), outer_(std::exchange(watching, &look_)) {}
Watch::~Watch() {
  watching = outer_;
}

NameScope::NameScope(std::string name)
    : outer_(std::exchange(scope, std::move(name))), span_(scope.c_str()) {}
NameScope::~NameScope() {
  scope = outer_;
}

Tensor leaf(const Tensor& x) {
  Tensor t = x;
  t.grad = std::make_shared<Grad>();
  return t;
}

NoTape::NoTape() : paused_(std::exchange(current, nullptr)) {}
NoTape::~NoTape() {
  current = paused_;
}

}  // namespace farsight
