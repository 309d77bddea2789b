// What the parameters of a model are called in the checkpoints that people have.
//
// A family of names is a table; ours are the names of Hugging Face's classes. '#' stands for the
// number of a layer and means the same number on both sides. Sources: the state dicts of
// transformers (mamba, gpt_neox, rwkv), of state-spaces/mamba, of BlinkDL/RWKV-LM (RWKV-4), of
// HazyResearch/safari and HazyResearch/zoology (Hyena), and of the released code of the paper
// (ZetangForward/Global_Mamba).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace farsight {

struct NameRule {
  enum class Kind : std::uint8_t {
    parameter,
    tied,   ///< may be absent; when it is there it must equal `ours`
    buffer  ///< no parameter: passed over
  };
  std::string_view theirs, ours;
  Kind kind = Kind::parameter;
};

struct NameFamily {
  std::string_view name;        ///< "state-spaces"
  std::string_view model_type;  ///< of config.json: "mamba"
  std::span<const NameRule> rules;
};

/// Hugging Face's own first.
std::span<const NameFamily> name_families();

/// A name of theirs by the first rule that fits.
struct KnownName {
  std::string ours;  ///< empty for a buffer
  NameRule::Kind kind = NameRule::Kind::parameter;
};
std::optional<KnownName> ours_of(const NameFamily& family, std::string_view theirs);
/// Nothing when the family has no such parameter.
std::optional<std::string> theirs_of(const NameFamily& family, std::string_view ours);

/// Their names of what is tied to `ours`.
std::vector<std::string> tied_to(const NameFamily& family, std::string_view ours);

/// The family that knows the most of these names, the first of equals.
const NameFamily& family_of(std::span<const std::string_view> names);

}  // namespace farsight
