#include "convert/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "convert/json.h"

namespace sterna::convert {
namespace {

using nlohmann::json;

struct DTypeInfo {
  const char* name;
  DType type;
  unsigned bits;
};

// bits: for the check of sizes, also of types that cannot be read.
constexpr DTypeInfo kDTypes[] = {
    {"F64", DType::f64, 64},          {"F32", DType::f32, 32},
    {"F16", DType::f16, 16},          {"BF16", DType::bf16, 16},
    {"I64", DType::i64, 64},          {"I32", DType::i32, 32},
    {"I16", DType::i16, 16},          {"I8", DType::i8, 8},
    {"U64", DType::u64, 64},          {"U32", DType::u32, 32},
    {"U16", DType::u16, 16},          {"U8", DType::u8, 8},
    {"BOOL", DType::boolean, 8},      {"F8_E4M3", DType::other, 8},
    {"F8_E5M2", DType::other, 8},     {"F8_E8M0", DType::other, 8},
    {"F8_E4M3FNUZ", DType::other, 8}, {"F8_E5M2FNUZ", DType::other, 8},
    {"F6_E2M3", DType::other, 6},     {"F6_E3M2", DType::other, 6},
    {"F4", DType::other, 4},          {"C64", DType::other, 64},
};

bool multiply(std::uint64_t a, std::uint64_t b, std::uint64_t& product) {
  if (b != 0 && a > std::numeric_limits<std::uint64_t>::max() / b) return false;
  product = a * b;
  return true;
}

// One entry of the header. Offsets in the file are relative to the end of the header, at `data_begin`.
class EntryParser {
 public:
  EntryParser(const std::string& path, std::uint64_t data_begin, std::uint64_t file_size)
      : path_(path), data_begin_(data_begin), file_size_(file_size) {}

  Result<StoredTensor> parse(const std::string& name, const json& entry) const {
    if (!entry.is_object()) return fail("{}: tensor '{}': an object is expected", path_, name);
    StoredTensor tensor;
    tensor.name = name;
    STERNA_TRY(const unsigned bits, parse_dtype(entry, tensor));
    STERNA_CHECK(parse_shape(entry, tensor));
    STERNA_CHECK(parse_offsets(entry, tensor));
    std::uint64_t size = bits;
    for (const std::uint64_t n : tensor.shape) {
      if (!multiply(size, n, size)) {
        return fail("{}: tensor '{}': 'shape' has more elements than any file: the header is damaged", path_,
                    name);
      }
    }
    if (size % 8 != 0 || size / 8 != tensor.bytes) {
      return fail("{}: tensor '{}': 'data_offsets' span {} bytes, 'shape' and 'dtype' need {}", path_, name,
                  tensor.bytes, size / 8);
    }
    return tensor;
  }

 private:
  Result<unsigned> parse_dtype(const json& entry, StoredTensor& tensor) const {
    const auto field = entry.find("dtype");
    if (field == entry.end() || !field->is_string()) {
      return fail("{}: tensor '{}': 'dtype' is missing or not a string", path_, tensor.name);
    }
    const auto& text = field->get_ref<const std::string&>();
    for (const DTypeInfo& info : kDTypes) {
      if (text != info.name) continue;
      tensor.dtype = info.type;
      return info.bits;
    }
    return fail("{}: tensor '{}': 'dtype' {} is not known: save the model as BF16, F16 or F32", path_,
                tensor.name, text);
  }

  Status parse_shape(const json& entry, StoredTensor& tensor) const {
    const auto field = entry.find("shape");
    if (field == entry.end() || !field->is_array()) {
      return fail("{}: tensor '{}': 'shape' is missing or not a list", path_, tensor.name);
    }
    for (const json& n : *field) {
      if (!n.is_number_unsigned()) {
        return fail("{}: tensor '{}': 'shape' holds something that is not a size", path_, tensor.name);
      }
      tensor.shape.push_back(n.get<std::uint64_t>());
    }
    return {};
  }

  Status parse_offsets(const json& entry, StoredTensor& tensor) const {
    const auto field = entry.find("data_offsets");
    if (field == entry.end() || !field->is_array() || field->size() != 2 ||
        !(*field)[0].is_number_unsigned() || !(*field)[1].is_number_unsigned()) {
      return fail("{}: tensor '{}': 'data_offsets' is missing or not a pair of offsets", path_, tensor.name);
    }
    const auto begin = (*field)[0].get<std::uint64_t>();
    const auto end = (*field)[1].get<std::uint64_t>();
    if (begin > end) {
      return fail("{}: tensor '{}': 'data_offsets' end at {} before they begin at {}", path_, tensor.name,
                  end, begin);
    }
    if (end > file_size_ - data_begin_) {
      // Almost always a download that stopped.
      return fail("{}: file ends at {}, tensor '{}' needs bytes up to {}: download it again", path_,
                  file_size_, tensor.name,
                  end > std::numeric_limits<std::uint64_t>::max() - data_begin_ ? end : data_begin_ + end);
    }
    tensor.offset = data_begin_ + begin;
    tensor.bytes = end - begin;
    return {};
  }

  const std::string& path_;
  std::uint64_t data_begin_;
  std::uint64_t file_size_;
};

// The format allows neither overlaps nor holes nor bytes after the last tensor.
Status check_layout(const std::vector<StoredTensor>& tensors, std::uint64_t data_begin,
                    std::uint64_t file_size, const std::string& path) {
  std::uint64_t end = data_begin;
  const char* before = "the header";
  for (const StoredTensor& tensor : tensors) {
    if (tensor.offset != end) {
      return fail("{}: tensor '{}' begins at byte {}, but '{}' ends at {}: {}", path, tensor.name,
                  tensor.offset, before, end,
                  tensor.offset < end ? "their data overlap" : "there is a hole between them");
    }
    end += tensor.bytes;
    before = tensor.name.c_str();
  }
  if (end != file_size) {
    return fail("{}: the last tensor ends at byte {}, the file at {}: download it again", path, end,
                file_size);
  }
  return {};
}

}  // namespace

const char* dtype_name(DType type) {
  for (const DTypeInfo& info : kDTypes) {
    if (info.type == type) return type == DType::other ? "a type that is not supported" : info.name;
  }
  return "?";
}

std::size_t dtype_bytes(DType type) {
  if (type == DType::other) return 0;
  for (const DTypeInfo& info : kDTypes) {
    if (info.type == type) return info.bits / 8;
  }
  return 0;
}

bool is_float(DType type) {
  return type == DType::f64 || type == DType::f32 || type == DType::f16 || type == DType::bf16;
}

std::uint64_t StoredTensor::rows() const { return shape.empty() ? 1 : shape[0]; }

std::uint64_t StoredTensor::columns() const {
  std::uint64_t product = 1;  // cannot overflow: checked with the element size in it
  for (std::size_t i = 1; i < shape.size(); ++i) product *= shape[i];
  return product;
}

std::string StoredTensor::describe() const {
  return fmt::format("[{}] {}", fmt::join(shape, ", "), dtype_name(dtype));
}

Result<std::uint64_t> safetensors_header_length(std::span<const std::byte> first, std::uint64_t file_size,
                                                const std::string& path) {
  if (first.size() < 8 || file_size < 8) {
    return fail("{}: {} bytes are too few for a safetensors file: download it again", path, file_size);
  }
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < 8; ++i) length |= std::to_integer<std::uint64_t>(first[i]) << (8 * i);
  if (length > kMaxSafetensorsHeader) {
    return fail(
        "{}: the first 8 bytes give a header of {} bytes, at most {} are allowed: not a safetensors file",
        path, length, kMaxSafetensorsHeader);
  }
  if (length > file_size - 8) {
    return fail("{}: file ends at {}, its header needs bytes up to {}: download it again", path, file_size,
                length + 8);
  }
  return length;
}

Result<std::vector<StoredTensor>> parse_safetensors_header(std::string_view header, std::uint64_t file_size,
                                                           const std::string& path) {
  assert(header.size() <= kMaxSafetensorsHeader && file_size >= header.size() + 8);
  if (header.empty() || header.front() != '{') {
    return fail("{}: the header does not begin with '{{': not a safetensors file", path);
  }
  STERNA_TRY(const json root, parse_json_object(header, path, DuplicateKeys::refuse));
  const std::uint64_t data_begin = header.size() + 8;
  const EntryParser parser(path, data_begin, file_size);
  std::vector<StoredTensor> tensors;
  tensors.reserve(root.size());
  for (const auto& [name, entry] : root.items()) {
    if (name == "__metadata__") continue;
    STERNA_TRY(StoredTensor tensor, parser.parse(name, entry));
    tensors.push_back(std::move(tensor));
  }
  std::sort(tensors.begin(), tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.bytes < b.bytes;
  });
  STERNA_CHECK(check_layout(tensors, data_begin, file_size, path));
  return tensors;
}

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  STERNA_TRY(runtime::File file, runtime::File::open(path));
  std::array<std::byte, 8> first{};
  if (file.size() >= first.size()) STERNA_CHECK(file.read_at(0, first));
  STERNA_TRY(const std::uint64_t length, safetensors_header_length(first, file.size(), path));
  std::string header(length, '\0');
  STERNA_CHECK(file.read_at(first.size(), std::as_writable_bytes(std::span<char>(header))));
  STERNA_TRY(std::vector<StoredTensor> tensors, parse_safetensors_header(header, file.size(), path));
  return SafetensorsFile(std::move(file), std::move(tensors));
}

}  // namespace sterna::convert
