#include "memory.h"

#include <list>
#include <mutex>
#include <new>
#include <unordered_map>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace rekur {
namespace {

constexpr std::size_t page = std::size_t(2) << 20;  // a large one

struct Block {
    void* memory;
    std::size_t bytes;
};

class Store {
public:
    void* take(std::size_t bytes) {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            auto best = kept_.end();
            for (auto block = kept_.begin(); block != kept_.end(); ++block) {
                const bool fits = block->bytes >= bytes && block->bytes <= bytes + bytes / 2 + page;
                if (fits && (best == kept_.end() || block->bytes < best->bytes)) best = block;
            }
            if (best != kept_.end()) {
                const Block block = *best;
                total_ -= block.bytes;
                kept_.erase(best);
                lent_[block.memory] = block.bytes;
                return block.memory;
            }
        }
        const std::size_t size = (bytes + page - 1) / page * page;
        void* memory = ::operator new(size, std::align_val_t{page});
#if defined(__linux__)
        madvise(memory, size, MADV_HUGEPAGE);  // a wish: without large pages it is only slower
#endif
        std::lock_guard<std::mutex> lock(mutex_);
        lent_[memory] = size;
        return memory;
    }

    void give(void* memory) {
        std::list<Block> old;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            const auto found = lent_.find(memory);
            kept_.push_back({memory, found->second});
            total_ += found->second;
            lent_.erase(found);
            while (total_ > kept_at_most) {
                total_ -= kept_.front().bytes;
                old.splice(old.end(), kept_, kept_.begin());
            }
        }
        for (const Block& block : old) ::operator delete(block.memory, std::align_val_t{page});
    }

private:
    std::mutex mutex_;
    std::list<Block> kept_;  // the oldest first
    std::unordered_map<void*, std::size_t> lent_;
    std::size_t total_ = 0;
};

Store& store() {
    static Store* const one = new Store;  // never destroyed: arrays may outlive the module
    return *one;
}

}  // namespace

void* take_memory(std::size_t bytes) { return store().take(bytes); }

void give_memory(void* memory) { store().give(memory); }

}  // namespace rekur
