#include "eval/builtin.h"

#include "eval/embedded.h"

namespace sterna::eval {

std::optional<std::string_view> builtin_text(std::string_view name) {
  constexpr std::string_view kPrefix = "builtin:";
  if (name.substr(0, kPrefix.size()) != kPrefix) return {};
  for (std::size_t i = 0; i < kEmbeddedCount; ++i) {
    const EmbeddedFile& file = kEmbeddedFiles[i];
    if (name.substr(kPrefix.size()) == file.name) {
      return std::string_view(reinterpret_cast<const char*>(file.bytes), file.size);
    }
  }
  return {};
}

}  // namespace sterna::eval
