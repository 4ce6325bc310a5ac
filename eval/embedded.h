// What embed.cmake makes of eval/data; builtin.h is for everybody else.
#pragma once

#include <cstddef>

namespace sterna::eval {

struct EmbeddedFile {
  const char* name;
  const unsigned char* bytes;
  std::size_t size;
};

extern const EmbeddedFile kEmbeddedFiles[];
extern const std::size_t kEmbeddedCount;

}  // namespace sterna::eval
