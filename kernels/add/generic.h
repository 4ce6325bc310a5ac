#pragma once

#include "kernels/add/add.h"
#include "kernels/lanes/lanes.h"

namespace sterna::kernels {

template <Isa isa>
void add(const float* x, std::size_t n, float* y) {
  for_each_sixteen<isa>(n, [=](auto load, auto store) { store(load(y) + load(x), y); });
}

}  // namespace sterna::kernels
