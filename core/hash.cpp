#include "core/hash.h"

#include <fmt/format.h>

// GCC 12 takes the deliberately undefined vectors of its own AVX-512 header for a mistake
// (PR105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace farsight {

struct Xxh3::State {
  XXH3_state_t xxh;
};

std::uint64_t xxh3_64(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string hex(std::uint64_t value) {
  return fmt::format("{:016x}", value);
}

Xxh3::Xxh3() : state_(new State) {
  XXH3_64bits_reset(&state_->xxh);
}

void Xxh3::update(std::span<const std::byte> bytes) {
  XXH3_64bits_update(&state_->xxh, bytes.data(), bytes.size());
}

std::uint64_t Xxh3::value() const {
  return XXH3_64bits_digest(&state_->xxh);
}

void Xxh3::Deleter::operator()(State* state) const {
  delete state;
}

}  // namespace farsight
