// The oracle for tests: one float addition.
#pragma once

namespace sterna::kernels {

inline float reference_add(float x, float y) { return y + x; }

}  // namespace sterna::kernels
