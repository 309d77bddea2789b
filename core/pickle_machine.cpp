#include "core/pickle_machine.h"

#include <array>
#include <utility>

#include "core/json.h"

namespace farsight::pickle {
namespace {

constexpr std::size_t kMostValues = std::size_t{1} << 24;
constexpr std::size_t kDeepestMarks = 64;

constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kStorages = {{
    {"DoubleStorage", "F64"},
    {"FloatStorage", "F32"},
    {"HalfStorage", "F16"},
    {"BFloat16Storage", "BF16"},
    {"LongStorage", "I64"},
    {"IntStorage", "I32"},
    {"ShortStorage", "I16"},
    {"CharStorage", "I8"},
    {"ByteStorage", "U8"},
    {"BoolStorage", "BOOL"},
}};

}  // namespace

std::string_view name_of(Kind kind) {
  constexpr std::array<std::string_view, 13> names = {
      "None",           "a bool",    "a number",    "a float",         "a string",
      "a tuple",        "a dict",    "OrderedDict", "_rebuild_tensor", "_rebuild_parameter",
      "a storage type", "a storage", "a tensor"};
  return names[static_cast<std::size_t>(kind)];
}

std::string in_quotes(std::string_view text) {
  return Json(text.substr(0, 80)).dump();
}

Index Machine::run() {
  while (step()) {
  }
  reader_.expect_end();
  if (stack_.size() != 1 || !marks_.empty()) fail("the pickle leaves more than one value");
  return stack_.back();
}

void Machine::push(Value value) {
  if (pool_.size() >= kMostValues) fail("the pickle makes more than {} values", kMostValues);
  pool_.push_back(std::move(value));
  stack_.push_back(static_cast<Index>(pool_.size() - 1));
}

Index Machine::pop() {
  if (stack_.size() <= floor()) fail("the pickle takes a value that is not there");
  const Index top = stack_.back();
  stack_.pop_back();
  return top;
}

Index Machine::top() const {
  if (stack_.size() <= floor()) fail("the pickle looks at a value that is not there");
  return stack_.back();
}

std::vector<Index> Machine::pop_count(std::size_t n) {
  std::vector<Index> items(n);
  for (std::size_t i = n; i-- > 0;) {
    items[i] = pop();
  }
  return items;
}

std::vector<Index> Machine::pop_to_mark() {
  if (marks_.empty()) fail("the pickle has no mark to go back to");
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<Index> items(first, stack_.end());
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return items;
}

const Value& Machine::as(Index index, Kind kind, std::string_view what) const {
  const Value& value = pool_[index];
  if (value.kind != kind) {
    fail("{} must be {}, got {}", what, name_of(kind), name_of(value.kind));
  }
  return value;
}

std::uint64_t Machine::size_at(Index index, std::string_view what) const {
  const std::int64_t number = as(index, Kind::number, what).number;
  if (number < 0) fail("{} must not be negative, got {}", what, number);
  return static_cast<std::uint64_t>(number);
}

void Machine::recall(std::uint64_t key) {
  const auto at = memo_.find(key);
  if (at == memo_.end()) fail("the pickle recalls {}, which it never stored", key);
  if (stack_.size() >= kMostValues) fail("the pickle stacks more than {} values", kMostValues);
  stack_.push_back(at->second);
}

std::string Machine::line(std::string_view what) {
  std::string text;
  for (char c = static_cast<char>(reader_.u8(what)); c != '\n';
       c = static_cast<char>(reader_.u8(what))) {
    if (text.size() >= kLongestName) fail("a {} of more than {} bytes", what, kLongestName);
    text += c;
  }
  return text;
}

void Machine::global() {
  const std::string module = line("global's module");
  const std::string name = line("global's name");
  if (module == "collections" && name == "OrderedDict") return push({.kind = Kind::make_dict});
  if (module == "torch._utils" && name == "_rebuild_tensor_v2") {
    return push({.kind = Kind::make_tensor});
  }
  if (module == "torch._utils" && name == "_rebuild_parameter") {
    return push({.kind = Kind::make_parameter});
  }
  for (const auto& [storage, dtype] : kStorages) {
    if (module == "torch" && name == storage) {
      return push({.kind = Kind::storage_type, .text = std::string(dtype)});
    }
  }
  fail("the pickle asks for {}: only tensors and dicts are read, and nothing is ever run",
       in_quotes(module + "." + name));
}

/// ("storage", type, key, device, elements): the device is of no concern.

void Machine::persistent() {
  const std::vector<Index> id = as(pop(), Kind::tuple, "a persistent id").items;
  if (id.size() != 5 || as(id[0], Kind::text, "a persistent id").text != "storage") {
    fail("a persistent id that is no storage of five parts");
  }
  push({.kind = Kind::storage,
        .number = static_cast<std::int64_t>(size_at(id[4], "a storage's size")),
        .text = as(id[1], Kind::storage_type, "a storage's type").text,
        .name = as(id[2], Kind::text, "a storage's key").text});
}

void Machine::reduce() {
  const std::vector<Index> arguments = as(pop(), Kind::tuple, "what REDUCE takes").items;
  const Kind callee = pool_[pop()].kind;
  switch (callee) {
    case Kind::make_dict:
      if (!arguments.empty()) fail("OrderedDict with arguments");
      return push({.kind = Kind::dict});
    case Kind::make_tensor:
      // storage, offset, shape, strides, requires_grad, hooks, and perhaps metadata
      if (arguments.size() < 6 || arguments.size() > 7) {
        fail("_rebuild_tensor_v2 with {} arguments", arguments.size());
      }
      return push({.kind = Kind::tensor,
                   .items = {arguments[0], arguments[1], arguments[2], arguments[3]}});
    case Kind::make_parameter:
      if (arguments.size() != 3) fail("_rebuild_parameter with {} arguments", arguments.size());
      as(arguments[0], Kind::tensor, "a parameter");
      stack_.push_back(arguments[0]);
      return;
    default:
      fail("REDUCE of {}, which makes nothing", name_of(callee));
  }
}

/// Into the dict or list on top.

void Machine::extend(Kind kind, const std::vector<Index>& items) {
  if (kind == Kind::dict && items.size() % 2 != 0) fail("a dict's key without a value");
  as(top(), kind, "what is filled");
  std::vector<Index>& all = pool_[top()].items;
  all.insert(all.end(), items.begin(), items.end());
}

void Machine::integer(std::uint64_t bits) {
  push({.kind = Kind::number, .number = static_cast<std::int64_t>(bits)});
}
/// A number of up to eight bytes in two's complement.

void Machine::long_integer() {
  const std::uint8_t n = reader_.u8("size of a number");
  if (n > 8) fail("a number of {} bytes, at most 8 are read", n);
  std::uint64_t bits = 0;
  for (unsigned i = 0; i < n; i++) {
    bits |= std::uint64_t{reader_.u8("number")} << (8 * i);
  }
  const unsigned unused = 64 - 8u * n;
  if (n > 0) bits = static_cast<std::uint64_t>(static_cast<std::int64_t>(bits << unused) >> unused);
  integer(bits);
}

/// One opcode; false at STOP.

bool Machine::step() {
  place_ = reader_.place();
  const std::uint8_t opcode = reader_.u8("next opcode");
  switch (opcode) {
    case 0x80: {  // PROTO
      const std::uint8_t protocol = reader_.u8("protocol");
      if (protocol != 2) fail("pickle protocol {}, expected 2, as torch.save writes", protocol);
      break;
    }
    case 'c':
      global();
      break;
    case 'R':
      reduce();
      break;
    case 'Q':
      persistent();
      break;
    case 'b':  // BUILD: attributes of a dict, such as _metadata; of no concern
      as(pop(), Kind::dict, "what BUILD takes");
      as(top(), Kind::dict, "what BUILD fills");
      break;
    case '(':
      if (marks_.size() >= kDeepestMarks) fail("more than {} open marks", kDeepestMarks);
      marks_.push_back(stack_.size());
      break;
    case ')':
    case ']':
      push({.kind = Kind::tuple});
      break;
    case '}':
      push({.kind = Kind::dict});
      break;
    case 't':
      push({.kind = Kind::tuple, .items = pop_to_mark()});
      break;
    case 0x85:
    case 0x86:
    case 0x87:  // TUPLE1, 2, 3
      push({.kind = Kind::tuple, .items = pop_count(opcode - 0x84u)});
      break;
    case 's':
    case 'u':
      extend(Kind::dict, opcode == 's' ? pop_count(2) : pop_to_mark());
      break;
    case 'a':
    case 'e':
      extend(Kind::tuple, opcode == 'a' ? pop_count(1) : pop_to_mark());
      break;
    case 'q':
    case 'r':
      remember(opcode == 'q' ? reader_.u8("memo's number") : reader_.u32("memo's number"));
      break;
    case 'h':
    case 'j':
      recall(opcode == 'h' ? reader_.u8("memo's number") : reader_.u32("memo's number"));
      break;
    case 'X': {
      const std::uint32_t bytes = reader_.u32("length of a string");
      push({.kind = Kind::text, .text = std::string(text_of(reader_.take(bytes, "string")))});
      break;
    }
    case 'K':
      integer(reader_.u8("number"));
      break;
    case 'M':
      integer(reader_.u16("number"));
      break;
    case 'J':
      integer(static_cast<std::uint64_t>(
          std::int64_t{static_cast<std::int32_t>(reader_.u32("number"))}));
      break;
    case 0x8a:
      long_integer();
      break;
    case 'G':
      reader_.take(8, "float");
      push({.kind = Kind::real});
      break;
    case 0x88:
    case 0x89:
      push({.kind = Kind::boolean, .number = opcode == 0x88});
      break;
    case 'N':
      push({.kind = Kind::none});
      break;
    case '.':
      return false;
    default:
      fail("pickle opcode 0x{:02x}{} is not one of those that a state dict needs", opcode,
           opcode > 0x20 && opcode < 0x7f ? fmt::format(" '{}'", static_cast<char>(opcode)) : "");
  }
  return true;
}

}  // namespace farsight::pickle
