// Runs of tokens, the keys that stand for them, and the memory of what followed each.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

namespace rekur {

// Tokens of the longest run.
constexpr int64_t longest_run = 16;

inline uint64_t mix(uint64_t key) {
    constexpr uint64_t spread = 0x9e3779b97f4a7c15u;
    key *= spread;
    return (key ^ (key >> 29)) * spread;
}

// The key of the tokens of a run that ends before `end`.
inline uint64_t run_key(const int64_t* end, int64_t order) {
    uint64_t key = mix(static_cast<uint64_t>(end[-1]));
    for (int64_t back = 2; back <= order; ++back) key = mix(key ^ static_cast<uint64_t>(end[-back]));
    return key;
}

// The memory of the runs of one length: each step writes the token that followed a run, then looks up the next run.
struct RunMemory {
    int64_t* entries;
    uint64_t last;  // slot

    uint64_t slot(uint64_t key) const { return key >> 12 & last; }

    void write(uint64_t key, int64_t token) {
        entries[slot(key)] = static_cast<int64_t>(key >> 33 << 32 | static_cast<uint64_t>(token));
    }

    // The token that followed the run last, 0 for none.
    int64_t read(uint64_t key) const {
        const auto seen = static_cast<uint64_t>(entries[slot(key)]);
        return seen >> 32 == key >> 33 ? static_cast<int64_t>(seen & 0xffffffffu) : 0;
    }
};

// A recall over a batch: B rows of T tokens, J lengths of runs with S slots each, K tokens before the first.
struct RecallBatch {
    std::vector<int64_t> orders;  // (J,)
    int64_t rows, steps, keep, slots;  // B, T, K, S
    const int64_t *ids, *history, *old_memory;  // (B, T), (B, K), (B, J, S)
    const uint8_t* resets;  // (B, T), or null
    int64_t *followers, *new_history, *new_memory;  // (B, T, J), (B, K), (B, J, S)
};

class RecallRow {
public:
    RecallRow(const RecallBatch& a, int64_t row) : a_(a), row_(row), all_(static_cast<int64_t>(a.orders.size()) * a.slots) {
        memory_ = a.new_memory + row * all_;
        std::memcpy(memory_, a.old_memory + row * all_, static_cast<size_t>(all_) * sizeof(int64_t));
        tokens_.resize(static_cast<size_t>(a.keep + a.steps));
        std::memcpy(tokens_.data(), a.history + row * a.keep, static_cast<size_t>(a.keep) * sizeof(int64_t));
        std::memcpy(tokens_.data() + a.keep, a.ids + row * a.steps, static_cast<size_t>(a.steps) * sizeof(int64_t));
    }

    void run() {
        uint64_t before[longest_run + 1], here[longest_run + 1];
        chain(tokens_.data() + a_.keep, before);
        for (int64_t t = 0; t < a_.steps; ++t) {
            const int64_t* end = tokens_.data() + a_.keep + t;
            if (a_.resets && a_.resets[row_ * a_.steps + t]) {
                begin(t);
                chain(end, before);
            }
            chain(end + 1, here);
            step(*end, before, here, a_.followers + (row_ * a_.steps + t) * static_cast<int64_t>(a_.orders.size()));
            std::memcpy(before, here, sizeof(here));
        }
        std::memcpy(a_.new_history + row_ * a_.keep, tokens_.data() + a_.steps, static_cast<size_t>(a_.keep) * sizeof(int64_t));
    }

private:
    // The keys of the runs of every length that end before `end`.
    void chain(const int64_t* end, uint64_t* keys) const {
        keys[1] = mix(static_cast<uint64_t>(end[-1]));
        for (int64_t back = 2; back <= a_.keep; ++back) keys[back] = mix(keys[back - 1] ^ static_cast<uint64_t>(end[-back]));
    }

    void step(int64_t token, const uint64_t* before, const uint64_t* here, int64_t* found) {
        for (size_t place = 0; place < a_.orders.size(); ++place) {
            const int64_t order = a_.orders[place], start = static_cast<int64_t>(place) * a_.slots;
            RunMemory memory{memory_ + start, static_cast<uint64_t>(a_.slots - 1)};
            memory.write(before[order], token);
            if (cleared_) written_.push_back(start + static_cast<int64_t>(memory.slot(before[order])));
            found[place] = memory.read(here[order]);
        }
    }

    // A sequence begins: earlier tokens and entries are hidden from it.
    void begin(int64_t t) {
        std::memset(tokens_.data() + t, 0, static_cast<size_t>(a_.keep) * sizeof(int64_t));
        if (cleared_) {
            for (int64_t place : written_) memory_[place] = 0;
        } else {
            std::memset(memory_, 0, static_cast<size_t>(all_) * sizeof(int64_t));
        }
        cleared_ = true;
        written_.clear();
    }

    const RecallBatch& a_;
    int64_t row_, all_;
    int64_t* memory_;
    std::vector<int64_t> tokens_, written_;
    bool cleared_ = false;  // from then on what is written is listed, to be cleared alone
};

}  // namespace rekur
