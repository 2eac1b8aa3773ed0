/* WIDE_VECTORS before a function: it is compiled a second time for processors with wider vectors (AVX2), and the loader takes what
 * the processor has. The results are the same to the bit: nothing is contracted or put into another order. */
#ifndef BF_WIDE_H
#define BF_WIDE_H

#include <stdint.h> /* tells whether it is glibc */

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define WIDE_VECTORS __attribute__((target_clones("avx2", "default")))
#else
#define WIDE_VECTORS
#endif

#endif
