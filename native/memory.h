// Memory of large arrays that is used again: fresh pages cost a fault and a clearing each, a fifth of a training step.
#pragma once

#include <cstddef>

namespace rekur {

// Memory of at least so many bytes on a page's border, its content whatever was there before.
void* take_memory(std::size_t bytes);

// Gives it back. Some of it is kept for the next one who asks, kept_at_most bytes in all.
void give_memory(void* memory);

constexpr std::size_t kept_at_most = std::size_t(512) << 20;

}  // namespace rekur
