// Any bytes as a finished layer of a calibration: as they are, and with the checksum that they should have,
// without which no mutation would get beyond it.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "convert/calibrate/work_folder.h"
#include "runtime/format.h"

namespace {

using namespace sterna;

class Layer {
 public:
  Layer() : folder_(open()) {}
  ~Layer() { static_cast<void>(folder_.remove().ok()); }
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  void load(std::span<const char> bytes) const {
    {
      std::ofstream file(folder_.path() + "/layer-0000", std::ios::binary);
      file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    }
    const auto layer = folder_.load(0);
    if (!layer) return;
    if (layer->linears.size() != 7) std::abort();
    for (const convert::FittedLinear& f : layer->linears) {
      const convert::LevelMatrix& m = f.matrix;
      if (m.levels.size() != m.rows * m.columns || m.scales.size() != m.rows * m.groups()) std::abort();
      if (m.columns % f.rotation_block != 0) std::abort();
      if (m.rows * m.columns < 10000 && m.pack().rows != m.rows) std::abort();
    }
  }

 private:
  static convert::WorkFolder open() {
    const auto output =
        std::filesystem::temp_directory_path() / ("sterna_fuzz_" + std::to_string(::getpid()));
    auto folder = convert::WorkFolder::open(output.string(), "fuzz\n", false);
    if (!folder) std::abort();
    return *std::move(folder);
  }
  convert::WorkFolder folder_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Layer layer;
  std::string bytes(size, '\0');
  if (size > 0) std::memcpy(bytes.data(), data, size);
  layer.load(bytes);
  if (size < 4) return 0;
  const std::uint32_t sum = runtime::crc32_of(std::as_bytes(std::span(bytes).first(size - 4)), 0);
  std::memcpy(bytes.data() + size - 4, &sum, 4);
  layer.load(bytes);
  return 0;
}
