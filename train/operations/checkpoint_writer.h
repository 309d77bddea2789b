// Checkpoints that are written while training goes on.
//
//   CheckpointWriter writer(run, model, optimizer, settings.checkpoint);
//   writer.save(state, best);        // copies parameters and moments; a thread writes the copy
//   ...                              // steps; before each update of the parameters:
//   writer.before_update();
//   writer.finish();                 // waits until it is durable
//
// On a GPU the copy into page-locked memory runs beside the next step's forward and backward, which
// only read what is copied; the update waits for it on the device, the host for nothing. On the CPU it
// is one pass over memory. The thread then does what save_checkpoint does: folder, manifest, reading
// it again, rename; only then `latest` (and `best`) move, and older checkpoints go. One at a time: the
// next save waits for the one before.
//
// The copy takes as many bytes of the host's memory as parameters and moments. Where it cannot be
// had, and with checkpoint.async = false, save() itself writes.
#pragma once

#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <span>

#include "models/model.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"
#include "train/settings.h"

namespace farsight {

class CheckpointWriter {
 public:
  CheckpointWriter(std::filesystem::path run, const Model& model, const AdamW& optimizer,
                   const CheckpointSettings& settings);
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;
  /// Waits; what fails now can only be said on stderr.
  ~CheckpointWriter();

  /// Called when a write begins; what it returns lives until that is over: whoever might end the process
  /// before waits for it (train/ranks/liveness.h).
  void hold_while_writing(std::function<std::shared_ptr<void>()> hold) { hold_ = std::move(hold); }

  /// Saves the parameters as they are after everything launched so far. `best`: it is the best so
  /// far, too. Throws what the save before ended with, or this one where it is not left to the thread.
  void save(const TrainState& state, bool best);
  /// Between whatever launches reads of the parameters and what changes them. Cheap.
  void before_update();
  /// Throws what the save under way ended with, if it has ended. Cheap; once a step.
  void look();
  /// Waits for the save under way. Throws what it ended with.
  void finish();

 private:
  /// Host memory for the copy, page-locked where a GPU writes it.
  struct Room {
    std::span<std::byte> bytes;
    std::unique_ptr<std::byte[]> own;
  };
  bool make_room();
  CheckpointBytes copy();
  void write(const CheckpointBytes& bytes, const TrainState& state, bool best) const;

  std::filesystem::path run_;
  const Model& model_;
  const AdamW& optimizer_;
  CheckpointSettings settings_;
  std::function<std::shared_ptr<void>()> hold_ = [] { return nullptr; };
  Room room_;
  bool room_refused_ = false;
  bool device_copies_ = false;  ///< some may still be under way
  std::future<void> writing_;
};

}  // namespace farsight
