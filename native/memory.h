// Memory of large arrays that is used again: fresh pages cost a fault and a clearing each, a fifth of a training step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace rekur {

// Memory of at least so many bytes on a page's border, its content whatever was there before.
void* take_memory(std::size_t bytes);

// Gives it back. Some of it is kept for the next one who asks, kept_at_most bytes in all.
void give_memory(void* memory);

constexpr std::size_t kept_at_most = std::size_t(512) << 20;

// Memory of the store, as long as this lives.
template <class S>
class Room {
public:
    Room() = default;
    explicit Room(int64_t numbers) {
        if (numbers > 0) memory_ = take_memory(static_cast<std::size_t>(numbers) * sizeof(S));
    }
    Room(Room&& other) noexcept : memory_(other.memory_) { other.memory_ = nullptr; }
    Room& operator=(Room&& other) noexcept {
        std::swap(memory_, other.memory_);
        return *this;
    }
    ~Room() {
        if (memory_) give_memory(memory_);
    }
    S* get() const { return static_cast<S*>(memory_); }

private:
    void* memory_ = nullptr;
};

}  // namespace rekur
