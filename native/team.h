// Threads: the team that PyTorch computes with where there is one, so that the two never compete; else our own. A
// forked process always has its own.
#pragma once

#include <functional>

namespace rekur {

// Runs work(0, n) … work(n - 1, n) at the same time, each in its own thread, and waits for all; n is at most parts.
void run_together(int parts, const std::function<void(int, int)>& work);

// Whether PyTorch's OpenMP threads sleep soon when they wait for work, instead of spinning for some milliseconds: best
// where other processes want the processors. Returns whether there is such an OpenMP to tell.
bool spin_briefly(bool briefly);

// "PyTorch's OpenMP", or "own threads".
const char* team_name();

}  // namespace rekur
