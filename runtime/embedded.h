// Files that are part of the program, as cmake/embed.cmake makes them: a library that has some declares
// `extern const std::span<const runtime::EmbeddedFile> kEmbedded;` in its namespace.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace sterna::runtime {

struct EmbeddedFile {
  std::string_view name;  // without folders
  const unsigned char* bytes;
  std::size_t size;

  [[nodiscard]] std::string_view text() const { return {reinterpret_cast<const char*>(bytes), size}; }
};

}  // namespace sterna::runtime
