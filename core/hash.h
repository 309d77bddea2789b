// XXH3-64 (Yann Collet's xxHash, specification 0.1.x): notices a changed byte in a checkpoint or a
// data file. It is a checksum, not a signature: whoever can write the file can forge it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace farsight {

std::uint64_t xxh3_64(std::span<const std::byte> bytes);

/// Sixteen lower-case digits, most significant first: how a hash is written in a manifest.
std::string hex(std::uint64_t value);

/// The same hash of bytes that arrive in pieces; where they are cut does not matter.
class Xxh3 {
 public:
  Xxh3();
  void update(std::span<const std::byte> bytes);
  /// Of everything so far; more may follow.
  std::uint64_t value() const;

 private:
  struct State;
  struct Deleter {
    void operator()(State* state) const;
  };
  std::unique_ptr<State, Deleter> state_;
};

}  // namespace farsight
