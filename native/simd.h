// Vectors of the instruction set this file is compiled for, by the compilers' own vector types.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "layout.h"

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define REKUR_BYTES 64
#define REKUR_REGISTERS 32
#elif defined(__AVX2__)
#define REKUR_BYTES 32
#define REKUR_REGISTERS 16
#elif defined(__aarch64__)
#define REKUR_BYTES 16
#define REKUR_REGISTERS 32
#else
#define REKUR_BYTES 16
#define REKUR_REGISTERS 16
#endif

namespace rekur {
namespace REKUR_ISA {

template <class S>
struct Simd;

template <>
struct Simd<float> {
    typedef float Vec __attribute__((vector_size(REKUR_BYTES)));
    typedef float Loose __attribute__((vector_size(REKUR_BYTES), aligned(4), may_alias));
    typedef int32_t Int __attribute__((vector_size(REKUR_BYTES)));
};

template <>
struct Simd<double> {
    typedef double Vec __attribute__((vector_size(REKUR_BYTES)));
    typedef double Loose __attribute__((vector_size(REKUR_BYTES), aligned(8), may_alias));
    typedef int64_t Int __attribute__((vector_size(REKUR_BYTES)));
};

template <class S>
using Vec = typename Simd<S>::Vec;

template <class S>
constexpr int lanes = REKUR_BYTES / sizeof(S);

template <class S>
REKUR_INLINE Vec<S> load(const S* from) {
    return *reinterpret_cast<const typename Simd<S>::Loose*>(from);
}

template <class S>
REKUR_INLINE void store(S* to, Vec<S> value) {
    *reinterpret_cast<typename Simd<S>::Loose*>(to) = value;
}

template <class S>
REKUR_INLINE Vec<S> all(S value) {
    return value - Vec<S>{};
}

// The first count lanes; the others are zero.
template <class S>
REKUR_INLINE Vec<S> load(const S* from, int count) {
    if (count == lanes<S>) return load(from);
    Vec<S> value{};
    std::memcpy(&value, from, count * sizeof(S));
    return value;
}

template <class S>
REKUR_INLINE void store(S* to, Vec<S> value, int count) {
    if (count == lanes<S>) return store(to, value);
    std::memcpy(to, &value, count * sizeof(S));
}

// Asks for numbers that will be read or written some hundred instructions later: rows of a batch lie so far apart that
// the processor does not foresee them.
template <class S>
REKUR_INLINE void fetch(const S* from, int64_t numbers) {
    for (int64_t i = 0; i < numbers; i += 64 / sizeof(S)) __builtin_prefetch(from + i);
}

// a · b + c rounded once where the set can, and always by the same instruction: of a · b + c · d a compiler may fuse
// either product, and need not choose alike wherever it is inlined.
REKUR_INLINE Vec<float> fused(Vec<float> a, Vec<float> b, Vec<float> c) {
#if defined(__AVX512F__)
    return (Vec<float>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
    return (Vec<float>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

REKUR_INLINE Vec<double> fused(Vec<double> a, Vec<double> b, Vec<double> c) {
#if defined(__AVX512F__)
    return (Vec<double>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__AVX2__)
    return (Vec<double>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    return a * b + c;
#endif
}

// Denormals count as zero while one of these lives: a decaying state must not run a hundred times slower.
class FlushDenormals {
public:
#if defined(__SSE__) || defined(__x86_64__)
    FlushDenormals() : before_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(before_ | 0x8040); }
    ~FlushDenormals() { __builtin_ia32_ldmxcsr(before_); }

private:
    unsigned before_;
#elif defined(__aarch64__)
    FlushDenormals() {
        asm volatile("mrs %0, fpcr" : "=r"(before_));
        asm volatile("msr fpcr, %0" ::"r"(before_ | (1u << 24)));
    }
    ~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(before_)); }

private:
    uint64_t before_;
#endif
};

}  // namespace REKUR_ISA
}  // namespace rekur
