#include "team.h"

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define REKUR_FORKS
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
    int (*processors)() = nullptr;
    int (*pause)(int) = nullptr;  // ends the threads of the caller's team; absent before OpenMP 5

    bool complete() const { return parallel && thread && threads && processors; }
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
    found.processors = reinterpret_cast<int (*)()>(dlsym(handle, "omp_get_num_procs"));
    found.pause = reinterpret_cast<int (*)(int)>(dlsym(handle, "omp_pause_resource_all"));
    dlclose(handle);
    return found.complete() ? found : OpenMP{};
}

// A forked process has only the thread that forked. GNU OpenMP does not notice and would wait for the others for ever,
// unless the team ended before the fork.
std::atomic<bool> team_lost{false};
bool team_ended = false;

// Looked up anew until it is found: PyTorch may be imported after us. None where its threads were lost in a fork.
OpenMP openmp() {
    if (team_lost) return OpenMP{};
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

// Our own pool, made when it is first used. It is never destroyed: its threads may outlive the module.
std::mutex pool_mutex;
Pool* pool = nullptr;

Pool& own_pool() {
    std::lock_guard<std::mutex> lock(pool_mutex);
    if (!pool) pool = new Pool;
    return *pool;
}

#if defined(REKUR_FORKS)
void before_fork() {
#if defined(__linux__)
    const OpenMP omp = openmp();
    constexpr int soft = 1;  // omp_pause_soft
    team_ended = !omp.parallel || (omp.pause && omp.pause(soft) == 0);
#endif
}

// Another thread of the parent may have held the lock: the child gets a new one, and a new pool.
void after_fork_in_child() {
    new (&pool_mutex) std::mutex;
    pool = nullptr;
#if defined(__linux__)
    team_lost = team_lost || !team_ended;
#endif
}

[[maybe_unused]] const int fork_handlers = pthread_atfork(before_fork, nullptr, after_fork_in_child);
#endif

#if defined(__linux__)
// GNU OpenMP lets its threads spin for long before they sleep, unless it manages more threads than there are
// processors. A thread of ours that holds a team of its own, asleep, makes it so.
class Sleepers {
public:
    explicit Sleepers(const OpenMP& omp) : thread_([this, omp] { hold(omp); }) {}

    ~Sleepers() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            over_ = true;
        }
        changed_.notify_all();
        thread_.join();  // its team ends with it
    }

private:
    void hold(const OpenMP& omp) {
        omp.parallel([](void*) {}, nullptr, static_cast<unsigned>(omp.processors() + 1), 0);
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return over_; });
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    bool over_ = false;
    std::thread thread_;
};
#endif

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

bool spin_briefly(bool briefly) {
#if defined(__linux__)
    static std::mutex mutex;
    static Sleepers* sleepers = nullptr;  // not destroyed at exit: a forked process has no such thread to wait for
    const OpenMP omp = openmp();
    if (!omp.parallel) return false;
    std::lock_guard<std::mutex> lock(mutex);
    if (briefly && !sleepers) sleepers = new Sleepers(omp);
    if (!briefly && sleepers) {
        delete sleepers;
        sleepers = nullptr;
    }
    return true;
#else
    (void)briefly;
    return false;
#endif
}

const char* team_name() {
#if defined(__linux__)
    if (openmp().parallel) return "GNU OpenMP, with PyTorch";
#endif
    return "own threads";
}

}  // namespace rekur
