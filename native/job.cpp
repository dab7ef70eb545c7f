// Jobs as Python sees them: one on all threads, or two on half of them each.
#include "job.h"

#include <nanobind/nanobind.h>

#if defined(__unix__)
#include <unistd.h>
#endif

#include "team.h"

namespace rekur {

namespace nb = nanobind;

namespace {

int64_t second_level_cache() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
    const long size = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (size > 0) return size;
#endif
    return 1 << 20;
}

Plan plan(int threads, const Job& job) {
    int parts = job.work * job.steps < 100'000 ? 1 : threads;
    bool by_units = false;
    if (parts > 1) {
        const bool few_rows = job.rows < parts;
        const bool spills = job.bytes > second_level_cache() * 3 / 4;
        by_units = (few_rows && job.work > 30'000) || (spills && job.work > 100'000);
    }
    if (!by_units && job.rows < parts) parts = static_cast<int>(job.rows);
    return {parts < 1 ? 1 : parts, by_units};
}

void run_alone(const Job& job) {
    job.begin({1, false});
    job.run(Share{});
}

void run_job(const Job& job, int threads) {
    const Plan how = plan(threads, job);
    Barrier barrier;
    nb::gil_scoped_release release;
    job.begin(how);
    run_together(how.parts, [&](int part, int parts) {
        if (parts == how.parts) return job.run(Share{part, parts, how.by_units ? &barrier : nullptr});
        if (part == 0) run_alone(job);  // fewer threads than were asked for
    });
}

// Two at the same time, each on half of the threads; but one after the other where the weights of one are too many for
// a core's cache, so that threads share them.
void run_beside(const Job& left, const Job& right, int threads) {
    const auto shares = [&](const Job& job) { return job.rows >= threads && plan(threads, job).by_units; };
    if (threads < 2 || shares(left) || shares(right)) {
        run_job(left, threads);
        return run_job(right, threads);
    }
    const Plan of_left = plan(threads / 2, left), of_right = plan(threads - threads / 2, right);
    Barrier barriers[2];
    nb::gil_scoped_release release;
    left.begin(of_left);
    right.begin(of_right);
    const int split = of_left.parts, all = of_left.parts + of_right.parts;
    run_together(all, [&](int part, int parts) {
        if (parts != all) {
            if (part == 0) run_alone(left), run_alone(right);
            return;
        }
        const bool second = part >= split;
        const Plan& how = second ? of_right : of_left;
        (second ? right : left).run(Share{second ? part - split : part, how.parts,
                                          how.by_units ? &barriers[second] : nullptr});
    });
}

}  // namespace

void bind_jobs(nb::module_& m) {
    nb::class_<Job>(m, "Job");
    m.def("run", &run_job, nb::arg("job"), nb::arg("threads"));
    m.def("run_beside", &run_beside, nb::arg("left"), nb::arg("right"), nb::arg("threads"));
}

}  // namespace rekur
