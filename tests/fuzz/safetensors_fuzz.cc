// The bytes of a safetensors file up to its data.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "convert/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sterna::convert;
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto length = safetensors_header_length(bytes.first(std::min<std::size_t>(8, size)), size, "f");
  if (!length) return 0;
  const std::string_view header(reinterpret_cast<const char*>(data) + 8, *length);
  const auto tensors = parse_safetensors_header(header, size, "f");
  if (!tensors) return 0;
  for (const StoredTensor& tensor : *tensors) {
    if (tensor.offset > size || tensor.bytes > size - tensor.offset) std::abort();
    if (tensor.describe().empty()) std::abort();
  }
  return 0;
}
