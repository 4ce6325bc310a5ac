#pragma once

#include <cstdint>

namespace sterna::runtime {

using TokenId = std::int32_t;

}  // namespace sterna::runtime
