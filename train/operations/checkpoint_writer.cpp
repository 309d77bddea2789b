#include "train/operations/checkpoint_writer.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>

#include "core/device_calls.h"
#include "core/files.h"
#include "core/parallel.h"

namespace farsight {
namespace {

constexpr std::int64_t kCopyBlock = std::int64_t{1} << 20;

std::size_t bytes_of(const Tensor& tensor) {
  return static_cast<std::size_t>(tensor.bytes());
}

void copy_on_host(std::byte* to, const Tensor& from) {
  const std::byte* source = static_cast<const std::byte*>(from.ptr());
  parallel_blocks(from.bytes(), kCopyBlock, [&](std::int64_t begin, std::int64_t end) {
    std::memcpy(to + begin, source + begin, static_cast<std::size_t>(end - begin));
  });
}

/// Page-locked memory is never given back: what one writer had, the next one of the process takes.
std::span<std::byte>& spare_pinned() {
  static std::span<std::byte> spare;
  return spare;
}

std::span<std::byte> take_pinned(std::size_t bytes) {
  std::span<std::byte> spare = std::exchange(spare_pinned(), {});
  if (spare.size() >= bytes) return spare;
  void* address = device_calls().pinned(static_cast<std::int64_t>(bytes));
  return {static_cast<std::byte*>(address), bytes};
}

}  // namespace

CheckpointWriter::CheckpointWriter(std::filesystem::path run, const Model& model,
                                   const AdamW& optimizer, const CheckpointSettings& settings)
    : run_(std::move(run)), model_(model), optimizer_(optimizer), settings_(settings) {}

CheckpointWriter::~CheckpointWriter() {
  try {
    finish();
  } catch (const std::exception& error) {
    std::fputs(fmt::format("a checkpoint was not written: {}\n", error.what()).c_str(), stderr);
  }
  if (room_.own == nullptr && !room_.bytes.empty()) spare_pinned() = room_.bytes;
}

bool CheckpointWriter::make_room() {
  if (!room_.bytes.empty()) return true;
  if (room_refused_) return false;
  const std::size_t bytes = 3 * bytes_of(model_.parameters->values());
  try {
    if (model_.parameters->device() == Device::cuda) {
      room_.bytes = take_pinned(bytes);
    } else {
      room_.own.reset(new std::byte[bytes]);
      room_.bytes = {room_.own.get(), bytes};
    }
  } catch (const std::bad_alloc&) {
    room_refused_ = true;
  } catch (const Error&) {  // no page-locked memory
    room_refused_ = true;
  }
  return !room_refused_;
}

CheckpointBytes CheckpointWriter::copy() {
  const std::array<const Tensor*, 3> tensors = {&model_.parameters->values(), &optimizer_.m(),
                                                &optimizer_.v()};
  std::array<std::span<const std::byte>, 3> copies;
  std::byte* to = room_.bytes.data();
  for (std::size_t i = 0; i < tensors.size(); i++) {
    const Tensor& from = *tensors[i];
    if (from.device() == Device::cuda) {
      device_calls().copy_out(to, from.ptr(), from.bytes());
      device_copies_ = true;
    } else {
      copy_on_host(to, from);
    }
    copies[i] = {to, bytes_of(from)};
    to += from.bytes();
  }
  return {copies[0], copies[1], copies[2]};
}

void CheckpointWriter::write(const CheckpointBytes& bytes, const TrainState& state,
                             bool best) const {
  write_checkpoint(run_, model_, bytes, state);
  if (best) write_pointer(run_ / "best", checkpoint_name(state.step));
  prune_checkpoints(run_, settings_.keep_last);
}

void CheckpointWriter::save(const TrainState& state, bool best) {
  finish();
  std::shared_ptr<void> hold = hold_();
  if (!settings_.async || !make_room()) {
    save_checkpoint(run_, model_, optimizer_, state);
    if (best) write_pointer(run_ / "best", checkpoint_name(state.step));
    prune_checkpoints(run_, settings_.keep_last);
    return;
  }
  const CheckpointBytes bytes = copy();
  writing_ = std::async(std::launch::async, [this, bytes, state, best, hold = std::move(hold),
                                             wait = device_copies_]() mutable {
    const std::shared_ptr<void> until_written = std::move(hold);
    if (wait) device_calls().wait_for_copies();
    write(bytes, state, best);
  });
}

void CheckpointWriter::before_update() {
  if (std::exchange(device_copies_, false)) device_calls().hold_for_copies();
}

void CheckpointWriter::look() {
  if (writing_.valid() && writing_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
    writing_.get();
  }
}

void CheckpointWriter::finish() {
  if (writing_.valid()) writing_.get();
}

}  // namespace farsight
