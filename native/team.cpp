#include "team.h"

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <dlfcn.h>
#include <link.h>
#endif

namespace rekur {
namespace {

#if defined(__linux__)
// The entries of the libgomp that PyTorch has loaded, if any.
struct OpenMP {
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned) = nullptr;
    int (*thread)() = nullptr;
    int (*threads)() = nullptr;
};

int find_openmp(dl_phdr_info* info, size_t, void* to) {
    const char* slash = info->dlpi_name ? std::strrchr(info->dlpi_name, '/') : nullptr;
    if (!slash || std::strncmp(slash + 1, "libgomp", 7) != 0) return 0;
    void* handle = dlopen(info->dlpi_name, RTLD_NOW | RTLD_NOLOAD);
    if (!handle) return 0;
    OpenMP found;
    found.parallel = reinterpret_cast<decltype(found.parallel)>(dlsym(handle, "GOMP_parallel"));
    found.thread = reinterpret_cast<int (*)()>(dlsym(handle, "omp_get_thread_num"));
    found.threads = reinterpret_cast<int (*)()>(dlsym(handle, "omp_get_num_threads"));
    dlclose(handle);
    if (!found.parallel || !found.thread || !found.threads) return 0;
    *static_cast<OpenMP*>(to) = found;
    return 1;
}

// Looked up anew until it is found: PyTorch may be imported after us.
OpenMP openmp() {
    static OpenMP found;
    static std::mutex mutex;
    std::lock_guard<std::mutex> lock(mutex);
    if (!found.parallel) dl_iterate_phdr(find_openmp, &found);
    return found;
}
#endif

using Work = std::function<void(int, int)>;

// Threads that sleep between calls.
class Pool {
public:
    void run(int parts, const Work& work) {
        std::lock_guard<std::mutex> one_at_a_time(callers_);
        while (static_cast<int>(threads_.size()) < parts - 1) add_thread();
        {
            std::lock_guard<std::mutex> lock(mutex_);
            work_ = &work;
            parts_ = parts;
            left_ = parts - 1;
            ++round_;
        }
        begin_.notify_all();
        work(0, parts);
        std::unique_lock<std::mutex> lock(mutex_);
        done_.wait(lock, [&] { return left_ == 0; });
    }

private:
    void add_thread() {
        const int part = static_cast<int>(threads_.size()) + 1;
        threads_.emplace_back([this, part] { serve(part); });
        threads_.back().detach();
    }

    void serve(int part) {
        long seen = 0;
        std::unique_lock<std::mutex> lock(mutex_);
        while (true) {
            begin_.wait(lock, [&] { return round_ != seen && part < parts_; });
            seen = round_;
            const Work* work = work_;
            const int parts = parts_;
            lock.unlock();
            (*work)(part, parts);
            lock.lock();
            if (--left_ == 0) done_.notify_one();
        }
    }

    std::mutex callers_, mutex_;
    std::condition_variable begin_, done_;
    std::vector<std::thread> threads_;
    const Work* work_ = nullptr;
    int parts_ = 0, left_ = 0;
    long round_ = 0;
};

}  // namespace

void run_together(int parts, const Work& work) {
    if (parts <= 1) return work(0, 1);
#if defined(__linux__)
    const OpenMP omp = openmp();
    if (omp.parallel) {
        std::pair<const OpenMP*, const Work*> call{&omp, &work};
        omp.parallel(
            [](void* data) {
                const auto& [team, todo] = *static_cast<decltype(call)*>(data);
                (*todo)(team->thread(), team->threads());
            },
            &call, static_cast<unsigned>(parts), 0);
        return;
    }
#endif
    static Pool* const pool = new Pool;  // never destroyed: its threads may outlive the module
    pool->run(parts, work);
}

const char* team_name() {
#if defined(__linux__)
    if (openmp().parallel) return "PyTorch's OpenMP";
#endif
    return "own threads";
}

}  // namespace rekur
