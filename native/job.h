// A recurrence that is ready to run, so that two of them can run at the same time.
#pragma once

#include <cstdint>
#include <functional>

#include "share.h"

namespace rekur {

// How many threads, and whether they split units instead of rows.
struct Plan {
    int parts;
    bool by_units;
};

// A recurrence that is ready to run; what it works on stays alive with it.
struct Job {
    int64_t rows, steps;
    int64_t work;   // multiply-adds of a step
    int64_t bytes;  // of the weights
    std::function<void(const Plan&)> begin;  // makes room, before any part runs
    std::function<void(const Share&)> run;
};

}  // namespace rekur
