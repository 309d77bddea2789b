#include "core/torch_pickle.h"

#include <set>

#include "core/json.h"
#include "core/pickle_machine.h"

namespace farsight {
namespace {

using pickle::in_quotes;
using pickle::Index;
using pickle::Kind;
using pickle::kLongestName;
using pickle::Machine;
using pickle::Value;

constexpr std::size_t kHighestRank = 8;

PickledTensor tensor_of(const Machine& machine, const std::string& name, Index index) {
  const std::string called = "tensor " + in_quotes(name);
  const Value& value = machine.as(index, Kind::tensor, called);
  const Value& storage = machine.as(value.items[0], Kind::storage, called + ": its storage");
  PickledTensor tensor{.name = name,
                       .dtype = storage.text,
                       .storage = storage.name,
                       .storage_elements = static_cast<std::uint64_t>(storage.number),
                       .offset = machine.size_at(value.items[1], called + ": its offset")};
  const Value& shape = machine.as(value.items[2], Kind::tuple, called + ": its shape");
  const Value& strides = machine.as(value.items[3], Kind::tuple, called + ": its strides");
  if (shape.items.size() != strides.items.size() || shape.items.size() > kHighestRank) {
    machine.fail("{}: {} sizes and {} strides; as many of each, and at most {}, are allowed",
                 called, shape.items.size(), strides.items.size(), kHighestRank);
  }
  for (std::size_t d = 0; d < shape.items.size(); d++) {
    tensor.shape.push_back(machine.size_at(shape.items[d], called + ": a size"));
    tensor.strides.push_back(machine.size_at(strides.items[d], called + ": a stride"));
  }
  return tensor;
}

std::vector<PickledTensor> entries_of(const Machine& machine, const Value& dict) {
  std::vector<PickledTensor> tensors;
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < dict.items.size(); i += 2) {
    const std::string& name = machine.as(dict.items[i], Kind::text, "a tensor's name").text;
    if (!is_utf8(name) || name.find('\0') != std::string::npos || name.size() > kLongestName) {
      machine.fail("tensor {}: a name that is not plain UTF-8 of at most {} bytes", in_quotes(name),
                   kLongestName);
    }
    if (!names.insert(name).second) machine.fail("tensor {} appears twice", in_quotes(name));
    tensors.push_back(tensor_of(machine, name, dict.items[i + 1]));
  }
  return tensors;
}

/// Of the dict that was saved, or of its member state_dict or model.
std::vector<PickledTensor> tensors_of(const Machine& machine, Index root) {
  const Value* dict = &machine.as(root, Kind::dict, "what was saved");
  for (const std::string_view wrapper : {"state_dict", "model"}) {
    for (std::size_t i = 0; i < dict->items.size(); i += 2) {
      const Value &key = machine[dict->items[i]], &value = machine[dict->items[i + 1]];
      if (key.kind == Kind::text && key.text == wrapper && value.kind == Kind::dict) {
        return entries_of(machine, value);
      }
    }
  }
  return entries_of(machine, *dict);
}

}  // namespace

std::vector<PickledTensor> parse_torch_pickle(std::span<const std::byte> pickle,
                                              std::string_view file, std::uint64_t first_offset) {
  Machine machine(pickle, file, first_offset);
  const Index root = machine.run();
  return tensors_of(machine, root);
}

}  // namespace farsight
