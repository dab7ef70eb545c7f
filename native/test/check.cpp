// Runs the kernels of every instruction set of this machine on arrays of odd sizes, against plain loops in double
// precision. Built with the address and undefined-behaviour sanitizers: see REKUR_SANITIZE in CMakeLists.txt.
#include "check.h"

#include "../memory.h"

// Prints what was checked; returns how many checks failed.
static int64_t shown(const std::string& name, const rekur::check::Report& report) {
    std::printf("%s: %lld checks, %lld failed\n", name.c_str(), static_cast<long long>(report.made),
                static_cast<long long>(report.failed));
    std::fflush(stdout);
    return report.failed;
}

int main() {
    using namespace rekur;
    int64_t failed = 0;
    for (const InstructionSet* set : runnable()) {
        const auto run = [&](const char* name, void (*checks)(const InstructionSet&, check::Report&)) {
            check::Report report;
            checks(*set, report);
            failed += shown(std::string(set->name) + ", " + name, report);
        };
        run("recurrences", check::check_recurrences);
        run("products", check::check_products);
        run("variants", check::check_variants);
        run("steps", check::check_steps);
        run("cells", check::check_cells);
        run("rows", check::check_rows);
        run("likeliest", check::check_likeliest);
        run("above", check::check_above);
    }
    check::Report recalls;
    check::check_recalls(recalls);
    failed += shown("recall", recalls);
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
