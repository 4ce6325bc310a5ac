#include "eval/builtin.h"

#include "runtime/embedded.h"

namespace sterna::eval {

extern const std::span<const runtime::EmbeddedFile> kEmbedded;  // eval/data

std::optional<std::string_view> builtin_text(std::string_view name) {
  constexpr std::string_view kPrefix = "builtin:";
  if (name.substr(0, kPrefix.size()) != kPrefix) return {};
  for (const runtime::EmbeddedFile& file : kEmbedded) {
    if (name.substr(kPrefix.size()) == file.name) return file.text();
  }
  return {};
}

}  // namespace sterna::eval
