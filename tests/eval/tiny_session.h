// A session of a random ternary model of three kilobytes whose tokens are bytes, for tests that need numbers
// but no sense. Batches of 8 tokens: below 16 no result depends on how an append was cut (docs/design.md).
#pragma once

#include <memory>
#include <string>

#include "tests/support/engine.h"
#include "tests/support/tiny_model.h"

namespace sterna::testing {

inline std::unique_ptr<runtime::Session> tiny_session(const TinyModel& source = TinyModel(),
                                                      std::size_t context = 0) {
  const TempDir directory;
  source.write(directory);
  convert::ConvertOptions options;
  options.planes = 2;
  auto model = converted(directory.path(), options);
  if (!model) {
    ADD_FAILURE() << model.error().message;
    return nullptr;
  }
  return new_session(*model, {.context = context, .batch = 8});
}

}  // namespace sterna::testing
