#include "kernels.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace rekur {

#define REKUR_DECLARE(isa) namespace isa { extern const InstructionSet instruction_set; }
#if defined(REKUR_HAS_AVX)
REKUR_DECLARE(avx512)
REKUR_DECLARE(avx2)
#endif
REKUR_DECLARE(plain)

static const InstructionSet* const all_sets[] = {
#if defined(REKUR_HAS_AVX)
    &avx512::instruction_set,
    &avx2::instruction_set,
#endif
    &plain::instruction_set,
};

std::vector<const InstructionSet*> runnable() {
    std::vector<const InstructionSet*> sets;
    for (const InstructionSet* set : all_sets) {
        if (set->runs_here()) sets.push_back(set);
    }
    return sets;
}

static const InstructionSet& choose() {
    const char* wanted = std::getenv("REKUR_ISA");
    std::string names;
    for (const InstructionSet* set : runnable()) {
        if (!wanted || !*wanted || std::string(wanted) == set->name) return *set;
        names += (names.empty() ? "" : ", ") + std::string(set->name);
    }
    const std::string expected = "expected one of " + names + ", or nothing.";
    throw std::runtime_error("REKUR_ISA: got '" + std::string(wanted) + "'; " + expected);
}

const InstructionSet& select() {
    static const InstructionSet& chosen = choose();
    return chosen;
}

}  // namespace rekur
