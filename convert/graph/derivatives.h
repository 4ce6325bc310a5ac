// Derivatives of the small operations of a block: what meets each element once or a row at a time. With L the
// loss and dy = dL/dy for an operation y = f(x), each gives dL/dx. Those of matrix products are in
// backward.h.
#pragma once

#include <cstddef>
#include <span>

#include "convert/graph/block.h"
#include "kernels/registry.h"

namespace sterna::convert {

// sum a[i] b[i] in sixteen partial sums, which the compiler may keep in registers of any width.
float lanes_dot(const float* a, const float* b, std::size_t n);
// y[i] += x[i]
void add_to(const float* x, std::size_t n, float* y);
// sums[i] += sum over the rows of x [rows, sums.size()]
void add_column_sums(const float* x, std::size_t rows, std::span<float> sums);
// The same of squares.
void add_column_squares(const float* x, std::size_t rows, std::span<float> sums);

// Of y = g o x r, r = 1 / sqrt(mean(x^2) + eps), with n = gain.size():
//     dx[i] = r (g[i] dy[i] - x[i] r^2 / n sum_j g[j] dy[j] x[j])
//     dg[i] = sum over the tokens of dy[i] x[i] r
// x, dy [tokens, n]. dx is added to `dx` (add) or stored there, where dx may be dy. dg is added to
// gain_gradient unless that is empty.
void norm_backward(const float* x, std::span<const float> gain, float eps, std::size_t tokens,
                   const float* dy, float* dx, bool add, std::span<float> gain_gradient);

// Of m = act(gate) o up: gate and up [n] become dL/dgate and dL/dup. silu [n] is used for intermediate
// values.
//     silu'(g)  = s + g s (1 - s),  s = 1 / (1 + exp(-g))
//     relu2'(g) = 2 max(g, 0)
void gate_backward(const kernels::Kernels& kernels, runtime::Gate function, const float* dm, std::size_t n,
                   float* gate, float* up, float* silu);

// Of rotary positions and head norms (BlockGraph::position_heads), for q or k.
// before [tokens, heads * head_dim]: what the linear gave; read only where there is a gain.
// dx [tokens, heads * head_dim], in place.
void positions_backward(const BlockGraph& graph, const float* before, std::span<const float> gain,
                        std::size_t heads, std::size_t tokens, float* dx, std::span<float> gain_gradient);

}  // namespace sterna::convert
