#include "team.h"

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif
#if defined(__linux__)
#include <dlfcn.h>
#include <link.h>
#endif

namespace rekur {
namespace {

#if defined(__linux__)
// The entries of the OpenMP that PyTorch runs on, if it is loaded. Others may have brought one of their own: the threads
// of two would wait for work on the same processors, each awake while the other has some.
struct OpenMP {
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned) = nullptr;
    int (*thread)() = nullptr;
    int (*threads)() = nullptr;
};

// Only the name is taken here: nothing may be opened while the libraries are gone through.
int find_torch(dl_phdr_info* info, size_t, void* to) {
    const char* slash = info->dlpi_name ? std::strrchr(info->dlpi_name, '/') : nullptr;
    if (!slash || std::strcmp(slash + 1, "libtorch_cpu.so") != 0) return 0;
    *static_cast<std::string*>(to) = info->dlpi_name;
    return 1;
}

OpenMP load_openmp() {
    std::string path;
    OpenMP found;
    dl_iterate_phdr(find_torch, &path);
    void* handle = path.empty() ? nullptr : dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
    if (!handle) return found;
    // looked for among what PyTorch depends on
    found.parallel = reinterpret_cast<decltype(found.parallel)>(dlsym(handle, "GOMP_parallel"));
    found.thread = reinterpret_cast<int (*)()>(dlsym(handle, "omp_get_thread_num"));
    found.threads = reinterpret_cast<int (*)()>(dlsym(handle, "omp_get_num_threads"));
    dlclose(handle);
    return found.parallel && found.thread && found.threads ? found : OpenMP{};
}

// Looked up anew until it is found: PyTorch may be imported after us.
OpenMP openmp() {
    static OpenMP found;
    static std::mutex mutex;
    std::lock_guard<std::mutex> lock(mutex);
    if (!found.parallel) found = load_openmp();
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

// Never destroyed, since its threads may outlive the module. A process that was forked has none of them: it makes anew.
Pool& own_pool() {
    static std::mutex* const mutex = new std::mutex;
    static Pool* pool = nullptr;
#if defined(__unix__) || defined(__APPLE__)
    static pid_t owner = 0;
    std::lock_guard<std::mutex> lock(*mutex);
    if (!pool || owner != getpid()) pool = new Pool, owner = getpid();
#else
    std::lock_guard<std::mutex> lock(*mutex);
    if (!pool) pool = new Pool;
#endif
    return *pool;
}

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
    own_pool().run(parts, work);
}

const char* team_name() {
#if defined(__linux__)
    if (openmp().parallel) return "GNU OpenMP, with PyTorch";
#endif
    return "own threads";
}

}  // namespace rekur
