/* A number held within bounds. Used by all trades of the core. */
#ifndef BF_CLAMP_H
#define BF_CLAMP_H

static inline double clamp(double x, double low, double high)
{
    return x < low ? low : (x > high ? high : x);
}

#endif
