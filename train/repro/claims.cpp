#include "train/repro/claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "train/repro/exhibits.h"

namespace farsight {
namespace {

Trial trial(const char* model, const char* task, const char* test) {
  return {{model, task}, test};
}
Trial mamba(const char* task, const char* test) {
  return trial("mamba", task, test);
}

Condition at_least(Trial what, double percent) {
  return {.trial = std::move(what), .least = percent};
}
Condition at_most(Trial what, double percent) {
  return {.trial = std::move(what), .most = percent};
}
Condition between(Trial what, double least, double most) {
  return {.trial = std::move(what), .least = least, .most = most};
}
Condition higher(Trial what, Trial than) {
  return {.trial = std::move(what), .minus = std::move(than), .least = 0, .strict = true};
}
Condition higher_by(Trial what, Trial than, double points) {
  return {.trial = std::move(what), .minus = std::move(than), .least = points};
}

constexpr const char* kDense = "k4v8-shuffle";

std::vector<Claim> make_bands() {
  return {
      {"T1 diagonal",
       "1",
       "standard and last in domain at least 98",
       {at_least(mamba("standard", "standard"), 98), at_least(mamba("last", "last"), 98)}},
      {"T1 collapse",
       "1",
       "trained on standard: at most 40 on last and at most 50 on shuffle",
       {at_most(mamba("standard", "last"), 40), at_most(mamba("standard", "shuffle"), 50)}},
      {"T1 shuffle",
       "1",
       "trained on shuffle: 70 to 99 in domain, higher on standard than on shuffle",
       {between(mamba("shuffle", "shuffle"), 70, 99),
        higher(mamba("shuffle", "standard"), mamba("shuffle", "shuffle"))}},
      {"T2",
       "2",
       "trained on k1v1: at most 1 on k1v2 and k2v2; trained on k1v2: at least 95 on k2v2",
       {at_most(mamba("k1v1", "k1v2"), 1), at_most(mamba("k1v1", "k2v2"), 1),
        at_least(mamba("k1v2", "k2v2"), 95)}},
      {"T3 attention",
       "3",
       "Pythia at least 98 on Shuffle, K2V2, K2V2-Robustness and K4V8-Shuffle",
       {at_least(trial("pythia", "shuffle", "shuffle"), 98),
        at_least(trial("pythia", "k2v2", "k2v2"), 98),
        at_least(trial("pythia", "k2v2", "ngram-robustness"), 98),
        at_least(trial("pythia", kDense, kDense), 98)}},
      {"T3 GS",
       "3",
       "K4V8-Shuffle: global selection at least 60 while plain, 2x and 4x stay at or below 5; "
       "K2V2-Robustness: global selection at least 8 above plain",
       {at_least(trial("mamba-gs", kDense, kDense), 60), at_most(mamba(kDense, kDense), 5),
        at_most(trial("mamba-2x", kDense, kDense), 5),
        at_most(trial("mamba-4x", kDense, kDense), 5),
        higher_by(trial("mamba-gs", "k2v2", "ngram-robustness"), mamba("k2v2", "ngram-robustness"),
                  8)}},
      {"T3 state size",
       "3",
       "Shuffle increases from 1x to 2x to 4x the state",
       {higher(trial("mamba-2x", "shuffle", "shuffle"), mamba("shuffle", "shuffle")),
        higher(trial("mamba-4x", "shuffle", "shuffle"), trial("mamba-2x", "shuffle", "shuffle"))}},
  };
}

/// Global selection above the three others of its family by some points.
std::vector<Condition> gate_is_best(const char* task, const char* test, double points) {
  std::vector<Condition> conditions;
  for (const char* other : {"mamba", "mamba-2x", "mamba-4x"}) {
    conditions.push_back(
        higher_by(trial("mamba-gs", task, test), trial(other, task, test), points));
  }
  return conditions;
}

std::vector<Claim> make_orders() {
  return {
      {"T1 own placement is easiest",
       "1",
       "trained on standard or on last, the own placement comes out highest",
       {higher(mamba("standard", "standard"), mamba("standard", "last")),
        higher(mamba("standard", "standard"), mamba("standard", "shuffle")),
        higher(mamba("last", "last"), mamba("last", "standard")),
        higher(mamba("last", "last"), mamba("last", "shuffle"))}},
      {"T1 the shortcut",
       "1",
       "trained on standard, accuracy falls by at least 40 points on last and on shuffle",
       {higher_by(mamba("standard", "standard"), mamba("standard", "last"), 40),
        higher_by(mamba("standard", "standard"), mamba("standard", "shuffle"), 40)}},
      {"T1 last carries further",
       "1",
       "last-trained generalises better than standard-trained, where both are good at their own "
       "(at "
       "least 50)",
       {higher(mamba("last", "standard"), mamba("standard", "last")),
        higher(mamba("last", "shuffle"), mamba("standard", "shuffle"))},
       {at_least(mamba("last", "last"), 50), at_least(mamba("standard", "standard"), 50)}},
      {"T1 shuffle is good everywhere",
       "1",
       "shuffle-trained is at least 50 on each placement, and better on standard than on shuffle",
       {at_least(mamba("shuffle", "standard"), 50), at_least(mamba("shuffle", "last"), 50),
        at_least(mamba("shuffle", "shuffle"), 50),
        higher(mamba("shuffle", "standard"), mamba("shuffle", "shuffle"))}},
      {"T2 more value tokens than trained",
       "2",
       "trained on k1v1 and good at it (at least 50), k1v2 and k2v2 fail (at most 5)",
       {at_most(mamba("k1v1", "k1v2"), 5), at_most(mamba("k1v1", "k2v2"), 5)},
       {at_least(mamba("k1v1", "k1v1"), 50)}},
      {"T2 part of the key is enough",
       "2",
       "trained on k1v2 and good at it (at least 50), k2v2 is answered within 2 points of k1v2: "
       "one "
       "key token decides",
       {higher_by(mamba("k1v2", "k2v2"), mamba("k1v2", "k1v2"), -2)},
       {at_least(mamba("k1v2", "k1v2"), 50)}},
      {"T3 the gate finds dense n-grams", "3",
       "K4V8-Shuffle: global selection at least 5 points above Mamba with one, two and four times "
       "the state",
       gate_is_best(kDense, kDense, 5)},
      {"T3 the gate against key noise", "3",
       "K2V2-Robustness: global selection at least 1 point above Mamba with one, two and four "
       "times "
       "the state",
       gate_is_best("k2v2", "ngram-robustness", 1)},
      {"T3 the gate against the shortcut", "3",
       "Std-Last and Std-Shuffle: global selection at least 1 point above the rest of its family",
       [] {
         std::vector<Condition> both = gate_is_best("standard", "last", 1);
         const std::vector<Condition> more = gate_is_best("standard", "shuffle", 1);
         both.insert(both.end(), more.begin(), more.end());
         return both;
       }()},
      {"T3 the gate is not best everywhere",
       "3",
       "Shuffle: four times the state above global selection",
       {higher(trial("mamba-4x", "shuffle", "shuffle"), trial("mamba-gs", "shuffle", "shuffle"))}},
      {"T3 attention has no shortcut", "3",
       "trained on standard, Pythia is above every Mamba on last and on shuffle",
       [] {
         std::vector<Condition> all;
         for (const char* other : {"mamba", "mamba-2x", "mamba-4x", "mamba-gs"}) {
           for (const char* test : {"last", "shuffle"}) {
             all.push_back(
                 higher(trial("pythia", "standard", test), trial(other, "standard", test)));
           }
         }
         return all;
       }()},
      {"T4 global selection",
       "4",
       "WikiText's perplexity is lower with global selection than without",
       {higher(trial("mamba", "lm", "wikitext"), trial("mamba-gs", "lm", "wikitext"))}},
  };
}

std::optional<double> value_of(const Condition& condition, const Accuracies& accuracies) {
  const std::optional<double> value = accuracies(condition.trial);
  if (!value || !condition.minus) return value;
  const std::optional<double> minus = accuracies(*condition.minus);
  if (!minus) return std::nullopt;
  return *value - *minus;
}

/// The worst of two: fail, then missing, then pass.
Verdict worse(Verdict a, Verdict b) {
  for (const Verdict bad : {Verdict::fail, Verdict::missing, Verdict::pass}) {
    if (a == bad || b == bad) return bad;
  }
  return Verdict::none;
}

}  // namespace

std::span<const Claim> acceptance_bands() {
  static const std::vector<Claim> bands = make_bands();
  return bands;
}

std::span<const Claim> order_claims() {
  static const std::vector<Claim> orders = make_orders();
  return orders;
}

Verdict judge(const Condition& condition, const Accuracies& accuracies) {
  const std::optional<double> value = value_of(condition, accuracies);
  if (!value) return Verdict::missing;
  const bool low = condition.strict ? *value <= condition.least : *value < condition.least;
  return low || *value > condition.most || std::isnan(*value) ? Verdict::fail : Verdict::pass;
}

Verdict judge(const Claim& claim, const Accuracies& accuracies) {
  for (const Condition& premise : claim.premises) {
    if (judge(premise, accuracies) == Verdict::fail) return Verdict::none;
  }
  Verdict verdict = Verdict::none;
  for (const Condition& premise : claim.premises) {
    verdict = worse(verdict, judge(premise, accuracies));
  }
  for (const Condition& condition : claim.conditions) {
    verdict = worse(verdict, judge(condition, accuracies));
  }
  return verdict;
}

Verdict judge(const Trial& trial, const Accuracies& accuracies) {
  if (!accuracies(trial)) return Verdict::missing;
  Verdict verdict = Verdict::none;
  for (const Claim& claim : acceptance_bands()) {
    for (const Condition& condition : claim.conditions) {
      if (condition.trial != trial || condition.minus) continue;
      verdict = worse(verdict, judge(condition, accuracies));
    }
  }
  return verdict;
}

std::string describe(const Condition& condition) {
  const bool below = std::isfinite(condition.most), above = std::isfinite(condition.least);
  if (condition.minus) {
    const std::string than = brief(*condition.minus);
    if (condition.strict) return fmt::format("more than {}", than);
    return condition.least < 0 ? fmt::format("at most {} below {}", -condition.least, than)
                               : fmt::format("at least {} above {}", condition.least, than);
  }
  if (above && below) return fmt::format("{} to {}", condition.least, condition.most);
  return above ? fmt::format("at least {}", condition.least)
               : fmt::format("at most {}", condition.most);
}

std::string describe(const Condition& condition, const Accuracies& accuracies) {
  const auto number = [&](const Trial& trial) {
    const std::optional<double> value = accuracies(trial);
    return value ? fmt::format("{:.2f}", *value) : std::string("not there");
  };
  const std::string text = fmt::format("{} {}, {}", brief(condition.trial), number(condition.trial),
                                       describe(condition));
  return condition.minus ? fmt::format("{} {}", text, number(*condition.minus)) : text;
}

}  // namespace farsight
