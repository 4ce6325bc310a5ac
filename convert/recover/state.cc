#include "convert/recover/state.h"

#include <array>
#include <cassert>
#include <cstring>
#include <span>

#include "runtime/file.h"
#include "runtime/format.h"

namespace sterna::convert {
namespace {

constexpr char kMagic[8] = {'S', 'T', 'R', 'E', 'C', 'O', 'V', '1'};

// All of it 8 bytes wide: no padding.
struct Header {
  char magic[8];
  std::uint64_t fingerprint;
  std::uint64_t parameters;
  std::uint64_t step, steps, measured;
  double seconds, step_seconds;
  double start_loss, held_out_loss, best_loss;
  std::uint64_t best_step;
};
static_assert(sizeof(Header) == 96);

// The vectors, in the order of the file.
std::array<std::span<const float>, 4> vectors(const RecoverState& s) {
  return {s.values, s.best, s.adam.first, s.adam.second};
}
std::array<std::span<float>, 4> vectors(RecoverState& s) {
  return {s.values, s.best, s.adam.first, s.adam.second};
}

}  // namespace

Status save_state(const std::string& path, std::uint32_t fingerprint, const RecoverState& s) {
  Header header{{},        fingerprint,    s.values.size(), s.step,          s.steps,     s.measured,
                s.seconds, s.step_seconds, s.start_loss,    s.held_out_loss, s.best_loss, s.best_step};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  STERNA_TRY(runtime::OutputFile file, runtime::OutputFile::create(path));
  std::uint32_t crc = 0;
  const auto write = [&](std::span<const std::byte> bytes) {
    crc = runtime::crc32_of(bytes, crc);
    return file.write(bytes);
  };
  STERNA_CHECK(write(std::as_bytes(std::span(&header, 1))));
  for (const std::span<const float> values : vectors(s)) STERNA_CHECK(write(std::as_bytes(values)));
  STERNA_CHECK(file.write(std::as_bytes(std::span(&crc, 1))));
  return file.commit();
}

Result<RecoverState> load_state(const std::string& path, std::uint32_t fingerprint, std::size_t parameters) {
  STERNA_TRY(const runtime::File file, runtime::File::open(path));
  const auto damaged = [&] { return fail("{}: not a state of --recover, or damaged; remove it", path); };
  const auto other = [&] {
    return fail("{}: left by a run with another model, text or options; remove it, or repeat that run", path);
  };
  Header header{};
  std::uint32_t crc = 0;
  std::uint32_t stored = 0;
  if (file.size() < sizeof header + sizeof stored) return damaged();
  STERNA_CHECK(file.read_at(0, std::as_writable_bytes(std::span(&header, 1))));
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) return damaged();
  if (header.parameters != parameters) return other();
  if (file.size() != sizeof header + 4 * parameters * sizeof(float) + sizeof stored) return damaged();
  crc = runtime::crc32_of(std::as_bytes(std::span(&header, 1)));

  RecoverState state(parameters);
  std::uint64_t at = sizeof header;
  for (const std::span<float> values : vectors(state)) {
    STERNA_CHECK(file.read_at(at, std::as_writable_bytes(values)));
    crc = runtime::crc32_of(std::as_bytes(values), crc);
    at += values.size_bytes();
  }
  STERNA_CHECK(file.read_at(at, std::as_writable_bytes(std::span(&stored, 1))));
  if (crc != stored) return damaged();
  if (header.fingerprint != fingerprint) return other();
  state.step = header.step;
  state.steps = header.steps;
  state.seconds = header.seconds;
  state.step_seconds = header.step_seconds;
  state.measured = header.measured;
  state.held_out_loss = header.held_out_loss;
  state.start_loss = header.start_loss;
  state.best_loss = header.best_loss;
  state.best_step = header.best_step;
  return state;
}

}  // namespace sterna::convert
