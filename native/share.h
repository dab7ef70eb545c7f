// Which part of a scan a thread does: rows of its own for all time, or units of its own for all rows.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "layout.h"

namespace rekur {

// Waits until all parts have come; spins, since parts are equal and short.
class Barrier {
public:
    REKUR_INLINE void wait(int parts) {
        const int round = round_.load(std::memory_order_acquire);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == parts) {
            arrived_.store(0, std::memory_order_relaxed);
            round_.fetch_add(1, std::memory_order_acq_rel);
            return;
        }
        for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
            if (spins > 4096) std::this_thread::yield();  // more threads than processors
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        }
    }

private:
    alignas(64) std::atomic<int> arrived_{0};
    alignas(64) std::atomic<int> round_{0};
};

struct Share {
    int part = 0, parts = 1;
    Barrier* barrier = nullptr;  // where units are split; rows need none

    REKUR_INLINE bool by_units() const { return barrier != nullptr; }

    // This part's rows are begin + i * step, i < count, of those below active.
    struct Rows {
        int64_t begin, step, count;
        REKUR_INLINE int64_t row(int64_t i) const { return begin + i * step; }
    };

    REKUR_INLINE Rows rows(const Layout& at, int64_t active) const {
        if (by_units() || parts == 1) return {0, 1, active};
        if (at.whole()) {
            const int64_t begin = at.rows * part / parts, end = at.rows * (part + 1) / parts;
            return {begin, 1, active == 0 ? 0 : end - begin};
        }
        return {part, parts, active > part ? (active - part + parts - 1) / parts : 0};
    }

    struct Range {
        int64_t begin, end;
    };

    // This part's of so many panels, or of other things that units are split by.
    REKUR_INLINE Range panels(int64_t count) const {
        if (!by_units()) return {0, count};
        return {count * part / parts, count * (part + 1) / parts};
    }

    REKUR_INLINE void meet() const {
        if (by_units()) barrier->wait(parts);
    }
};

}  // namespace rekur
