// Where the larger reference data lies (../shared beside a checkout, or $STERNA_SHARED): tests that need it
// skip visibly where it is absent.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace sterna::testing {

inline std::filesystem::path shared_data(const std::string& relative) {
  const char* root = std::getenv("STERNA_SHARED");
  const std::filesystem::path base = root != nullptr
                                         ? std::filesystem::path(root)
                                         : std::filesystem::path(STERNA_SOURCE_DIR).parent_path() / "shared";
  return base / "data" / relative;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace sterna::testing

// Leaves the test as skipped, with the file that is missing, when the shared data is not there.
#define STERNA_NEEDS_SHARED(path)                                                        \
  do {                                                                                   \
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "not here: " << (path).string(); \
  } while (false)
