// Runs the kernels of every instruction set of this machine on arrays of odd sizes, against plain loops in double
// precision. Built with the address and undefined-behaviour sanitizers: see REKUR_SANITIZE in CMakeLists.txt.
#include "check.h"

#include "../memory.h"

int main() {
    using namespace rekur;
    int64_t failed = 0;
    for (const InstructionSet* set : runnable()) {
        const auto run = [&](const char* name, void (*checks)(const InstructionSet&, check::Report&)) {
            check::Report report;
            checks(*set, report);
            std::printf("%s, %s: %lld checks, %lld failed\n", set->name, name, static_cast<long long>(report.made),
                        static_cast<long long>(report.failed));
            std::fflush(stdout);
            failed += report.failed;
        };
        run("recurrences", check::check_recurrences);
        run("products", check::check_products);
        run("variants", check::check_variants);
        run("steps", check::check_steps);
        run("cells", check::check_cells);
    }
    char* some = static_cast<char*>(take_memory(5));
    some[4] = 1;
    give_memory(some);
    if (take_memory(7) != some) {
        std::printf("FAILED memory: what was given back is not used again\n");
        ++failed;
    }
    give_memory(some);
    return failed == 0 ? 0 : 1;
}
