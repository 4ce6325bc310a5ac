#include "convert/calibrate/work_folder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "convert/graph/load.h"
#include "convert/json.h"
#include "convert/ternarize.h"
#include "runtime/file.h"
#include "runtime/format.h"

namespace sterna::convert {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kSettings = "settings.txt";
constexpr std::uint64_t kLongestHeader = 1U << 20;

json describe(const FittedLayer& layer) {
  json linears = json::array();
  for (const FittedLinear& f : layer.linears) {
    linears.push_back({{"rows", f.matrix.rows},
                       {"columns", f.matrix.columns},
                       {"planes", f.matrix.planes},
                       {"block", f.rotation_block},
                       {"seed", f.rotation_seed},
                       {"relative_error", f.relative_error},
                       {"plain_rows", f.plain_rows}});
  }
  return {{"linears", linears}, {"damping", layer.damping}, {"seconds", layer.seconds}};
}

// The numbers of a description that bytes of the announced size can follow; nothing is trusted.
bool fill(const json& header, FittedLayer& layer) {
  try {
    for (const json& j : header.at("linears")) {
      FittedLinear f;
      const auto rows = j.at("rows").get<std::uint64_t>();
      const auto columns = j.at("columns").get<std::uint64_t>();
      const auto planes = j.at("planes").get<std::uint64_t>();
      if (rows == 0 || rows > 1U << 24 || columns == 0 || columns > kernels::kMaxColumns || planes == 0 ||
          planes > kernels::kMaxPlanes) {
        return false;
      }
      f.matrix.rows = rows;
      f.matrix.columns = columns;
      f.matrix.planes = planes;
      f.rotation_block = j.at("block").get<std::uint64_t>();
      if (!std::has_single_bit(f.rotation_block) || columns % f.rotation_block != 0) return false;
      f.rotation_seed = j.at("seed").get<std::uint32_t>();
      f.relative_error = j.at("relative_error").get<double>();
      f.plain_rows = j.at("plain_rows").get<std::uint64_t>();
      layer.linears.push_back(std::move(f));
    }
    for (std::size_t i = 0; i < std::size(layer.damping); ++i)
      layer.damping[i] = header.at("damping").at(i).get<double>();
    layer.seconds = header.at("seconds").get<double>();
  } catch (const json::exception&) {
    return false;
  }
  return layer.linears.size() == std::size(kLinearRoles);
}

// Could a fit have made these numbers?
bool plausible(const LevelMatrix& m) {
  const int largest = max_level(m.planes);
  return std::ranges::all_of(m.levels, [&](std::int8_t q) { return std::abs(int{q}) <= largest; }) &&
         std::ranges::all_of(m.scales, [](float s) { return std::isfinite(s) && s >= 0.0F; });
}

}  // namespace

Result<WorkFolder> WorkFolder::open(const std::string& output, const std::string& settings, bool resume) {
  const WorkFolder folder(output + ".calibration");
  const std::string settings_file = fmt::format("{}/{}", folder.path_, kSettings);
  std::error_code error;
  if (resume && fs::exists(settings_file, error)) {
    STERNA_TRY(const std::string found, runtime::read_text_file(settings_file));
    if (found == settings) return folder;
    return fail(
        "{}: holds the beginning of a conversion with other settings ({}); leave out --resume to begin "
        "again, or give the same options",
        folder.path_, found.substr(0, found.find('\n')));
  }
  const bool foreign = fs::exists(folder.path_, error) && !fs::exists(settings_file, error) &&
                       !(fs::is_directory(folder.path_, error) && fs::is_empty(folder.path_, error));
  if (foreign) {
    return fail(
        "{}: is not of a conversion, but its name is needed for one; move it, or choose another output",
        folder.path_);
  }
  fs::remove_all(folder.path_, error);
  fs::create_directory(folder.path_, error);
  if (error) return fail("{}: cannot be made: {}", folder.path_, error.message());
  STERNA_TRY(runtime::OutputFile file, runtime::OutputFile::create(settings_file));
  STERNA_CHECK(file.write(std::as_bytes(std::span(settings))));
  STERNA_CHECK(file.commit());
  return folder;
}

std::string WorkFolder::file_of(std::size_t layer) const {
  return fmt::format("{}/layer-{:04}", path_, layer);
}

std::size_t WorkFolder::finished_layers() const {
  std::error_code ignored;
  std::size_t n = 0;
  while (fs::exists(file_of(n), ignored)) ++n;
  return n;
}

// Four bytes: the length of the header; the header, JSON; the levels and scales of all linears; four bytes:
// the CRC-32 of everything before.
Status WorkFolder::save(std::size_t layer, const FittedLayer& fitted) const {
  STERNA_TRY(runtime::OutputFile file, runtime::OutputFile::create(file_of(layer)));
  std::uint32_t crc = 0;
  const auto write = [&](std::span<const std::byte> bytes) -> Status {
    crc = runtime::crc32_of(bytes, crc);
    return file.write(bytes);
  };
  const std::string header = describe(fitted).dump();
  const auto length = static_cast<std::uint32_t>(header.size());
  STERNA_CHECK(write(std::as_bytes(std::span(&length, 1))));
  STERNA_CHECK(write(std::as_bytes(std::span(header))));
  for (const FittedLinear& f : fitted.linears) {
    STERNA_CHECK(write(std::as_bytes(std::span(f.matrix.levels))));
    STERNA_CHECK(write(std::as_bytes(std::span(f.matrix.scales))));
  }
  const std::uint32_t sum = crc;
  STERNA_CHECK(file.write(std::as_bytes(std::span(&sum, 1))));
  return file.commit();
}

Result<FittedLayer> WorkFolder::load(std::size_t layer) const {
  const std::string path = file_of(layer);
  const auto damaged = [&] { return fail("{}: is damaged; delete it and use --resume again", path); };
  STERNA_TRY(const runtime::File file, runtime::File::open(path));
  std::uint64_t at = 0;
  std::uint32_t crc = 0;
  const auto read = [&](std::span<std::byte> bytes) -> Status {
    if (bytes.size() > file.size() - at) return damaged();
    STERNA_CHECK(file.read_at(at, bytes));
    at += bytes.size();
    crc = runtime::crc32_of(bytes, crc);
    return {};
  };
  std::uint32_t length = 0;
  STERNA_CHECK(read(std::as_writable_bytes(std::span(&length, 1))));
  if (length > kLongestHeader) return damaged();
  std::string text(length, '\0');
  STERNA_CHECK(read(std::as_writable_bytes(std::span(text))));
  FittedLayer fitted;
  const auto header = parse_json_object(text, path);
  if (!header || !fill(*header, fitted)) return damaged();
  for (FittedLinear& f : fitted.linears) {
    const std::uint64_t weights = std::uint64_t{f.matrix.rows} * f.matrix.columns;
    if (weights > file.size() - at) return damaged();
    f.matrix.levels.resize(weights);
    f.matrix.scales.resize(f.matrix.rows * f.matrix.groups());
    STERNA_CHECK(read(std::as_writable_bytes(std::span(f.matrix.levels))));
    STERNA_CHECK(read(std::as_writable_bytes(std::span(f.matrix.scales))));
    if (!plausible(f.matrix)) return damaged();
  }
  const std::uint32_t expected = crc;
  std::uint32_t sum = 0;
  STERNA_CHECK(read(std::as_writable_bytes(std::span(&sum, 1))));
  if (sum != expected || at != file.size()) return damaged();
  return fitted;
}

std::string WorkFolder::plan_file() const { return fmt::format("{}/plan", path_); }

// JSON, and after it four bytes: its CRC-32.
Status WorkFolder::save_plan(const json& plan) const {
  STERNA_TRY(runtime::OutputFile file, runtime::OutputFile::create(plan_file()));
  const std::string text = plan.dump();
  const std::uint32_t sum = runtime::crc32_of(std::as_bytes(std::span(text)));
  STERNA_CHECK(file.write(std::as_bytes(std::span(text))));
  STERNA_CHECK(file.write(std::as_bytes(std::span(&sum, 1))));
  return file.commit();
}

Result<std::optional<json>> WorkFolder::load_plan() const {
  const std::string path = plan_file();
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::optional<json>();
  STERNA_TRY(const std::string bytes, runtime::read_text_file(path));
  std::uint32_t sum = 0;
  if (bytes.size() > sizeof sum) {
    const std::string text = bytes.substr(0, bytes.size() - sizeof sum);
    std::memcpy(&sum, bytes.data() + text.size(), sizeof sum);
    if (sum == runtime::crc32_of(std::as_bytes(std::span(text)))) {
      if (auto plan = parse_json_object(text, path)) return std::optional<json>(std::move(*plan));
    }
  }
  return fail("{}: is damaged; delete it and use --resume again", path);
}

Status WorkFolder::remove() const {
  std::error_code error;
  fs::remove_all(path_, error);
  if (error) return fail("{}: cannot be removed: {}", path_, error.message());
  return {};
}

}  // namespace sterna::convert
