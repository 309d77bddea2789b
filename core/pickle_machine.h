// The machine that a pickle is a program for, which makes values and runs nothing.
//
// It knows the opcodes and globals that core/torch_pickle.h names; everything else is refused with its
// place in the file. Only core/torch_pickle.cpp needs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/bounded_reader.h"

namespace farsight::pickle {

inline constexpr std::size_t kLongestName = 1024;

enum class Kind : std::uint8_t {
  none,
  boolean,
  number,
  real,
  text,
  tuple,  ///< and list: `items`
  dict,   ///< `items`: key, value, key, value ...
  make_dict,
  make_tensor,
  make_parameter,  ///< the globals
  storage_type,    ///< `text`: its dtype
  storage,         ///< `text`: dtype, `name`: key, `number`: elements
  tensor           ///< `items`: storage, offset, shape, strides
};

/// "a tuple"
std::string_view name_of(Kind kind);

using Index = std::uint32_t;

/// Values live in one pool and name each other by index: however they refer to one another, they
/// are freed without recursion.
struct Value {
  Kind kind = Kind::none;
  std::int64_t number = 0;
  std::string text{}, name{};
  std::vector<Index> items{};
};

/// For messages: at most 80 bytes of it, as JSON.
std::string in_quotes(std::string_view text);

class Machine {
 public:
  Machine(std::span<const std::byte> pickle, std::string_view file, std::uint64_t first_offset)
      : reader_(pickle, file, first_offset), place_(reader_.place()) {}

  /// Runs the program to its end and returns the one value that it leaves.
  Index run();

  const Value& operator[](Index index) const { return pool_[index]; }
  /// Throws Error(corrupt), calling it `what`, unless it is of that kind.
  const Value& as(Index index, Kind kind, std::string_view what) const;
  /// A number that is not negative.
  std::uint64_t size_at(Index index, std::string_view what) const;

  /// Error(corrupt) at the opcode at work.
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<std::type_identity_t<Args>...> text,
                         const Args&... args) const {
    refuse(place_, text, args...);
  }

 private:
  // The stack.
  void push(Value value);
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Index pop();
  Index top() const;
  std::vector<Index> pop_count(std::size_t n);
  std::vector<Index> pop_to_mark();
  void remember(std::uint64_t key) { memo_[key] = top(); }
  void recall(std::uint64_t key);

  // Opcodes.
  std::string line(std::string_view what);
  void global();
  void persistent();
  void reduce();
  void extend(Kind kind, const std::vector<Index>& items);
  void integer(std::uint64_t bits);
  void long_integer();
  bool step();

  BoundedReader reader_;
  Place place_;  ///< of the opcode at work
  std::vector<Value> pool_;
  std::vector<Index> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, Index> memo_;
};

}  // namespace farsight::pickle
