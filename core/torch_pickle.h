// The pickle of a state dict, read by a machine that cannot do anything else.
//
// A pickle is a program, and Python's own reader runs whatever it names. This one knows only what
// torch.save writes for a dict of tensors: 31 opcodes of protocol 2 (and 32-bit sizes throughout)
// and the globals collections.OrderedDict, torch._utils._rebuild_tensor_v2, _rebuild_parameter and
// the storages. None of them is called: each becomes a value here. Any other opcode or global is
// refused by its name. Work and memory are linear in the pickle, whose size is bounded.
// Source: Lib/pickletools.py of Python (the opcodes); torch/serialization.py and torch/_utils.py.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace farsight {

/// A tensor as the pickle describes it: a strided window into a storage. Nothing is checked against
/// the storage's bytes yet.
struct PickledTensor {
  std::string name;
  std::string dtype;    ///< as safetensors calls it: "F32"
  std::string storage;  ///< name of the storage: "0"
  std::uint64_t storage_elements = 0, offset = 0;
  std::vector<std::uint64_t> shape{}, strides{};  ///< in elements
};

/// The tensors of a state dict: a dict of names to tensors, or a dict whose `state_dict` (or
/// `model`) is one. Throws Error(corrupt) naming `file`, the byte, and the tensor.
std::vector<PickledTensor> parse_torch_pickle(std::span<const std::byte> pickle,
                                              std::string_view file,
                                              std::uint64_t first_offset = 0);

}  // namespace farsight
