// Memory of large arrays that is used again: fresh pages cost a fault and a clearing each, a fifth of a training step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace rekur {

// Memory of at least so many bytes on a page's border, its content whatever was there before.
void* take_memory(std::size_t bytes);

// Gives it back. Some of it is kept for the next one who asks, kept_at_most bytes in all.
void give_memory(void* memory);

constexpr std::size_t kept_at_most = std::size_t(512) << 20;

// Memory for so many numbers as long as this lives, of the store where it is much.
template <class S>
class Room {
public:
    Room() = default;
    explicit Room(int64_t numbers) : bytes_(numbers > 0 ? static_cast<std::size_t>(numbers) * sizeof(S) : 0) {
        if (bytes_ > 0) memory_ = stored() ? take_memory(bytes_) : ::operator new(bytes_, line);
    }
    Room(Room&& other) noexcept { *this = std::move(other); }
    Room& operator=(Room&& other) noexcept {
        std::swap(memory_, other.memory_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~Room() {
        if (memory_ && stored()) give_memory(memory_);
        if (memory_ && !stored()) ::operator delete(memory_, line);
    }
    S* get() const { return static_cast<S*>(memory_); }

private:
    static constexpr std::align_val_t line{64};
    bool stored() const { return bytes_ >= (std::size_t(1) << 20); }
    void* memory_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace rekur
