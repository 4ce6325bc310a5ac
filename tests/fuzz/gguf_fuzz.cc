// Any bytes as a GGUF file: parsed, its values decoded, and read as a model file with all checks.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "runtime/aligned_buffer.h"
#include "runtime/model_file.h"
#include "runtime/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sterna::runtime;
  if (size == 0) return 0;
  static ThreadPool pool(1);
  auto copy = AlignedBuffer<std::byte>::create(size, "fuzz");  // a file is mapped at a page
  if (!copy) return 0;
  std::memcpy(copy->data(), data, size);
  if (const auto gguf = Gguf::parse(copy->span(), "fuzz")) {
    std::size_t total = 0;
    for (const auto& [key, value] : gguf->keys())
      total += value.as_strings().size() + value.as_floats().size();
    for (const GgufTensor& tensor : gguf->tensors()) total += gguf->data(tensor).size();
    if (total == static_cast<std::size_t>(-1)) __builtin_trap();
  }
  if (const auto stored = read_stored_model(copy->span(), "fuzz")) {
    static_cast<void>(verify_tensors(*stored, "fuzz", pool).ok());
  }
  return 0;
}
