/* Chance that is the same everywhere: numbers that follow from a seed, which is not 0 and moves on with each. */
#ifndef BF_CHANCE_H
#define BF_CHANCE_H

#include <math.h>
#include <stdint.h>

/* 64 bits by xorshift64*: S. Vigna, ACM Trans. Math. Softw. 42 (2016), 30. */
static inline uint64_t chance_draw(uint64_t *seed)
{
    uint64_t x = *seed;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *seed = x;
    return x * 0x2545F4914F6CDD1DULL;
}

/* In [0, 1). */
static inline double chance_uniform(uint64_t *seed)
{
    return (double)(chance_draw(seed) >> 11) * 0x1p-53;
}

/* Quantile of the standard normal distribution to three digits. */
static inline double normal_quantile(double u)
{
    double p = u < 0.5 ? u : 1.0 - u;
    double s = sqrt(-2.0 * log(p)); /* Abramowitz and Stegun 26.2.23 */
    double z = s - (2.515517 + s * (0.802853 + s * 0.010328)) / (1.0 + s * (1.432788 + s * (0.189269 + s * 0.001308)));
    return u < 0.5 ? -z : z;
}

#endif
