// exp, log, sigmoid and tanh of a vector, within 3 units in the last place; NaN stays NaN.
#pragma once

#include "simd.h"

namespace rekur {
namespace REKUR_ISA {

// exp(x) = 2^n · (1 + p) with |x - n ln 2| <= ln(2)/2. Gives 2^n and p apart, so that exp(x) - 1 keeps its digits.
struct Exponential {
    Vec<float> power, rest;
};

REKUR_INLINE Exponential split_exp(Vec<float> x) {
    const Vec<float> low = all(-87.0f), high = all(88.0f);
    x = x < low ? low : x;
    x = x > high ? high : x;
    const Vec<float> magic = all(12582912.0f);  // 1.5 · 2^23: adding it rounds to a whole number
    const Vec<float> shifted = x * 1.44269504088896341f + magic;
    const Vec<float> n = shifted - magic;
    Vec<float> r = x - n * 0.693145751953125f;
    r = r - n * 1.42860682030941723e-6f;
    Vec<float> p = all(1.0f / 5040.0f);
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * (r * r) + r;
    using Int = Simd<float>::Int;
    // the low bits of shifted hold n; NaN gives any power, and p carries the NaN
    const Int bits = (Int)shifted;
    return {(Vec<float>)((bits + 127) << 23), p};
}

REKUR_INLINE Vec<float> reciprocal(Vec<float> x) {
#if defined(__AVX512F__)
    const Vec<float> y = (Vec<float>)_mm512_maskz_rcp14_ps(0xffff, (__m512)x);
    return y + y * (1.0f - x * y);
#else
    return 1.0f / x;
#endif
}

REKUR_INLINE Vec<float> sigmoid(Vec<float> x) {
    const Exponential e = split_exp(-x);
    return reciprocal(1.0f + (e.power + e.power * e.rest));
}

REKUR_INLINE Vec<float> tanh(Vec<float> x) {
    // (e^2x - 1) / (e^2x + 1); beyond ±9.1 it is ±1 to the last digit, where the quotient must not overflow
    const Vec<float> bound = all(10.0f);
    Vec<float> y = x > bound ? bound : x;
    y = y < -bound ? -bound : y;
    const Exponential e = split_exp(y + y);
    const Vec<float> less_one = e.power * e.rest + (e.power - 1.0f);
    return less_one * reciprocal(less_one + 2.0f);
}

// e^x for x <= 0; below the smallest normal number it is 0.
REKUR_INLINE Vec<float> exp_negative(Vec<float> x) {
    const Exponential e = split_exp(x);
    const Vec<float> y = e.power + e.power * e.rest;
    return x < -87.0f ? Vec<float>{} : y;
}

// e^x - 1 for x <= 0, with all digits near 0.
REKUR_INLINE Vec<float> expm1_negative(Vec<float> x) {
    const Exponential e = split_exp(x);
    return e.power * e.rest + (e.power - 1.0f);
}

// log(1 + x) for 0 <= x <= 1: twice the inverse hyperbolic tangent of x / (2 + x), which is at most 1/3.
REKUR_INLINE Vec<float> log1p_unit(Vec<float> x) {
    const Vec<float> s = x * reciprocal(2.0f + x), q = s * s;
    Vec<float> p = all(1.0f / 15.0f);
    p = p * q + 1.0f / 13.0f;
    p = p * q + 1.0f / 11.0f;
    p = p * q + 1.0f / 9.0f;
    p = p * q + 1.0f / 7.0f;
    p = p * q + 1.0f / 5.0f;
    p = p * q + 1.0f / 3.0f;
    const Vec<float> twice = s + s;
    return twice * q * p + twice;
}

REKUR_INLINE Vec<float> square_root(Vec<float> x) {
#if defined(__AVX512F__)
    return (Vec<float>)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif defined(__AVX2__)
    return (Vec<float>)_mm256_sqrt_ps((__m256)x);
#else
    Vec<float> y;
    for (int lane = 0; lane < lanes<float>; ++lane) y[lane] = std::sqrt(x[lane]);
    return y;
#endif
}

template <class F>
REKUR_INLINE Vec<double> each(Vec<double> x, F f) {
    Vec<double> y;
    for (int lane = 0; lane < lanes<double>; ++lane) y[lane] = f(x[lane]);
    return y;
}

REKUR_INLINE Vec<double> sigmoid(Vec<double> x) {
    return each(x, [](double v) { return 1.0 / (1.0 + std::exp(-v)); });
}

REKUR_INLINE Vec<double> tanh(Vec<double> x) {
    return each(x, [](double v) { return std::tanh(v); });
}

REKUR_INLINE Vec<double> exp_negative(Vec<double> x) {
    return each(x, [](double v) { return std::exp(v); });
}

REKUR_INLINE Vec<double> expm1_negative(Vec<double> x) {
    return each(x, [](double v) { return std::expm1(v); });
}

REKUR_INLINE Vec<double> log1p_unit(Vec<double> x) {
    return each(x, [](double v) { return std::log1p(v); });
}

REKUR_INLINE Vec<double> square_root(Vec<double> x) {
    return each(x, [](double v) { return std::sqrt(v); });
}

REKUR_INLINE Vec<double> reciprocal(Vec<double> x) { return 1.0 / x; }

template <class V>
REKUR_INLINE V magnitude(V x) {
    return x < 0 ? -x : x;
}

// sigmoid(x) and sigmoid(-x), both with all digits, and what they are made of: small = e^-|x|.
template <class V>
struct Both {
    V open, shut, small;
};

template <class V>
REKUR_INLINE Both<V> both_sigmoids(V x) {
    const V small = exp_negative(-magnitude(x)), large = reciprocal(1 + small), other = small * large;
    return {x < 0 ? other : large, x < 0 ? large : other, small};
}

template <class V>
REKUR_INLINE V relu(V x) {
    return x < 0 ? V{} : x;  // NaN stays
}

}  // namespace REKUR_ISA
}  // namespace rekur
