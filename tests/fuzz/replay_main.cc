// Runs a fuzz target over its corpus without libFuzzer: every file as it is, then seeded mutations of it
// (flips, truncations, insertions, duplications), so that gcc builds and CI exercise the same code paths.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

void mutate(Bytes& bytes, std::mt19937& random) {
  const auto position = [&] { return bytes.empty() ? 0 : random() % bytes.size(); };
  switch (random() % 5) {
    case 0:
      if (!bytes.empty()) bytes[position()] ^= static_cast<std::uint8_t>(1U << (random() % 8));
      break;
    case 1:
      if (!bytes.empty()) bytes[position()] = static_cast<std::uint8_t>(random());
      break;
    case 2:
      bytes.resize(position());
      break;
    case 3:
      bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(position()),
                   static_cast<std::uint8_t>(random()));
      break;
    default: {
      const std::size_t from = position();
      const std::size_t length = bytes.empty() ? 0 : random() % (bytes.size() - from);
      const Bytes piece(bytes.begin() + static_cast<std::ptrdiff_t>(from),
                        bytes.begin() + static_cast<std::ptrdiff_t>(from + length));
      bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(position()), piece.begin(), piece.end());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const char* rounds_text = std::getenv("STERNA_FUZZ_ROUNDS");
  const int rounds = rounds_text != nullptr ? std::atoi(rounds_text) : 200;  // NOLINT(cert-err34-c)
  std::size_t inputs = 0;
  std::mt19937 random(20260101);
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
      const Bytes original(text.begin(), text.end());
      LLVMFuzzerTestOneInput(original.data(), original.size());
      for (int round = 0; round < rounds; ++round) {
        Bytes bytes = original;
        for (auto n = 1 + random() % 4; n > 0; --n) mutate(bytes, random);
        LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
      }
      ++inputs;
    }
  }
  std::printf("replayed %zu corpus files, %d mutations of each\n", inputs, rounds);
  return inputs == 0 ? 1 : 0;  // an empty corpus is a mistake in the build, not a pass
}
