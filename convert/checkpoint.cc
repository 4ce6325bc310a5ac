#include "convert/checkpoint.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <set>
#include <utility>

#include "convert/json.h"
#include "kernels/lanes/half.h"

namespace sterna::convert {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

static_assert(std::endian::native == std::endian::little,
              "tensors are read as they are stored: little endian");

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// The cast of a value beyond float's range is undefined in C++, though every machine makes it infinity.
float narrow(double x) {
  constexpr double kMax = std::numeric_limits<float>::max();
  return std::abs(x) > kMax ? std::copysign(std::numeric_limits<float>::infinity(),
                                            static_cast<float>(std::copysign(1.0, x)))
                            : static_cast<float>(x);
}

// A name that stays inside the model's directory.
bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of("/\\:") == std::string::npos &&
         name.find('\0') == std::string::npos;
}

Error no_checkpoint(const std::string& directory) {
  std::error_code ignored;
  if (!fs::is_directory(directory, ignored)) return fail("{}: no such directory", directory);
  for (const char* name : {"pytorch_model.bin", "pytorch_model.bin.index.json"}) {
    if (exists(directory + "/" + name)) {
      return fail(
          "{}: only {} is here; save the model as safetensors (save_pretrained(..., "
          "safe_serialization=True))",
          directory, name);
    }
  }
  return fail("{}: neither model.safetensors nor model.safetensors.index.json is here", directory);
}

}  // namespace

Result<Checkpoint> Checkpoint::open(const std::string& directory) {
  Checkpoint checkpoint;
  checkpoint.directory_ = directory;
  const std::string single = directory + "/model.safetensors";
  const std::string index = directory + "/model.safetensors.index.json";
  if (exists(single)) {
    STERNA_CHECK(checkpoint.add_file(single));
  } else if (exists(index)) {
    STERNA_CHECK(checkpoint.open_shards(index));
  } else {
    return no_checkpoint(directory);
  }
  return checkpoint;
}

Status Checkpoint::add_file(const std::string& path) {
  STERNA_TRY(SafetensorsFile opened, SafetensorsFile::open(path));
  const auto file = static_cast<std::uint32_t>(files_.size());
  for (StoredTensor& tensor : opened.take_tensors()) {
    tensor.file = file;
    std::string name = tensor.name;
    const auto [entry, inserted] = tensors_.emplace(std::move(name), std::move(tensor));
    if (!inserted) {
      return fail("{}: tensor '{}' is also in {}", path, entry->first, files_[entry->second.file].path());
    }
  }
  files_.push_back(opened.take_file());
  return {};
}

Status Checkpoint::open_shards(const std::string& index_path) {
  STERNA_TRY(const std::string text, runtime::read_text_file(index_path));
  STERNA_TRY(const json index, parse_json_object(text, index_path));
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object() || map->empty()) {
    return fail("{}: 'weight_map' is missing, empty or not an object", index_path);
  }
  std::set<std::string> shards;
  for (const auto& [name, shard] : map->items()) {
    if (!shard.is_string() || !is_plain_file_name(shard.get_ref<const std::string&>())) {
      return fail(
          "{}: 'weight_map' gives for '{}' something that is not the name of a file in this directory",
          index_path, name);
    }
    shards.insert(shard.get<std::string>());
  }
  for (const std::string& shard : shards) {
    const std::string path = directory_ + "/" + shard;
    if (!exists(path)) return fail("{}: shard {} is missing: download it", index_path, shard);
    STERNA_CHECK(add_file(path));
  }
  for (const auto& [name, shard] : map->items()) {
    const StoredTensor* tensor = find(name);
    const std::string expected = directory_ + "/" + shard.get<std::string>();
    if (tensor == nullptr || path_of(*tensor) != expected) {
      return fail("{}: tensor '{}' should be in {} and is not: index and shards do not belong together",
                  index_path, name, shard.get<std::string>());
    }
  }
  for (const auto& [name, tensor] : tensors_) {
    if (!map->contains(name)) {
      return fail("{}: tensor '{}' of {} is not in the index: index and shards do not belong together",
                  index_path, name, path_of(tensor));
    }
  }
  return {};
}

const StoredTensor* Checkpoint::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const auto& entry : tensors_) names.push_back(entry.first);
  return names;
}

const std::string& Checkpoint::path_of(const StoredTensor& tensor) const {
  return files_[tensor.file].path();
}

std::vector<std::string> Checkpoint::files() const {
  std::vector<std::string> paths;
  paths.reserve(files_.size());
  for (const runtime::File& file : files_) paths.push_back(file.path());
  return paths;
}

Result<std::vector<std::byte>> Checkpoint::read(std::string_view name) const {
  const StoredTensor* tensor = find(name);
  if (tensor == nullptr) return fail("{}: there is no tensor '{}'", directory_, name);
  std::vector<std::byte> bytes(tensor->bytes);
  STERNA_CHECK(files_[tensor->file].read_at(tensor->offset, bytes));
  return bytes;
}

Status Checkpoint::read_rows(const StoredTensor& tensor, std::uint64_t row_begin,
                             [[maybe_unused]] std::uint64_t row_end, std::span<std::byte> out) const {
  assert(row_begin <= row_end && row_end <= tensor.rows());
  const std::uint64_t row_bytes = tensor.rows() == 0 ? 0 : tensor.bytes / tensor.rows();
  assert(out.size() == (row_end - row_begin) * row_bytes);
  return files_[tensor.file].read_at(tensor.offset + row_begin * row_bytes, out);
}

Status Checkpoint::read_floats(const StoredTensor& tensor, std::uint64_t row_begin,
                               [[maybe_unused]] std::uint64_t row_end, std::span<float> out) const {
  if (!is_float(tensor.dtype)) {
    return fail("{}: tensor '{}' is {}, a float type is expected", path_of(tensor), tensor.name,
                dtype_name(tensor.dtype));
  }
  assert(row_begin <= row_end && row_end <= tensor.rows());
  assert(out.size() == (row_end - row_begin) * tensor.columns());
  const runtime::File& file = files_[tensor.file];
  const std::size_t element = dtype_bytes(tensor.dtype);
  std::uint64_t offset = tensor.offset + row_begin * tensor.columns() * element;
  if (tensor.dtype == DType::f32) return file.read_at(offset, std::as_writable_bytes(out));
  // In pieces that stay in the first cache levels.
  constexpr std::size_t kPiece = 16384;
  std::vector<std::byte> piece(std::min(out.size(), kPiece) * element);
  while (!out.empty()) {
    const std::size_t n = std::min(out.size(), kPiece);
    const std::span<std::byte> bytes(piece.data(), n * element);
    STERNA_CHECK(file.read_at(offset, bytes));
    to_float(tensor.dtype, bytes, out.first(n));
    out = out.subspan(n);
    offset += bytes.size();
  }
  return {};
}

Result<std::vector<float>> Checkpoint::read_floats(const StoredTensor& tensor) const {
  std::vector<float> values(tensor.rows() * tensor.columns());
  STERNA_CHECK(read_floats(tensor, 0, tensor.rows(), values));
  return values;
}

Status Checkpoint::check_finite(const StoredTensor& tensor, std::uint64_t row,
                                std::span<const float> rows) const {
  const auto bad = std::ranges::find_if(rows, [](float x) { return !std::isfinite(x); });
  if (bad == rows.end()) return {};
  const auto at = static_cast<std::uint64_t>(bad - rows.begin());
  return fail(
      "{}: tensor '{}' holds {} at row {}, column {}: the checkpoint is damaged or its training diverged",
      path_of(tensor), tensor.name, *bad, row + at / tensor.columns(), at % tensor.columns());
}

void to_float(DType type, std::span<const std::byte> bytes, std::span<float> out) {
  assert(is_float(type) && bytes.size() == out.size() * dtype_bytes(type));
  const std::byte* at = bytes.data();
  switch (type) {
    case DType::f64:
      for (float& x : out) x = narrow(load<double>(std::exchange(at, at + 8)));
      break;
    case DType::f32:
      if (!out.empty()) std::memcpy(out.data(), at, bytes.size());
      break;
    case DType::f16:
      for (float& x : out) x = kernels::f16_to_float(load<std::uint16_t>(std::exchange(at, at + 2)));
      break;
    case DType::bf16:
      for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = std::bit_cast<float>(static_cast<std::uint32_t>(load<std::uint16_t>(at + 2 * i)) << 16);
      }
      break;
    default:
      break;
  }
}

}  // namespace sterna::convert
