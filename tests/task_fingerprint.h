// A hash of what the generator makes, for tests that it never makes anything else.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "data/mqar.h"

namespace farsight {

/// FNV-1a over tokens and labels of example 17 in these cells of these splits, in this order.
inline std::uint64_t task_fingerprint(const MqarTask& task, std::initializer_list<Split> splits,
                                      std::initializer_list<std::size_t> cells) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&](std::int64_t number) {
    hash = (hash ^ static_cast<std::uint64_t>(number)) * 0x100000001b3u;
  };
  for (const Split split : splits) {
    for (const std::size_t cell : cells) {
      const Example example = generate(task, split, kDefaultSeed, cell, 17);
      for (const std::int32_t token : example.tokens) {
        add(token);
      }
      for (const Label& label : example.labels) {
        add(label.position);
        add(label.target);
        add(label.pair);
      }
    }
  }
  return hash;
}

}  // namespace farsight
