/* borderflow core: samples -> footprints -> axles -> vehicles; identities at two points -> travel times;
 * counts -> queue and expected wait.
 *
 * No I/O, no clock, no globals, no allocation after creation. Every function that can fail returns a bf_status;
 * bf_strerror() gives its text. A handle has one owner thread at a time. Sizes are bounded and checked.
 */
#ifndef BORDERFLOW_CORE_H
#define BORDERFLOW_CORE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define BF_API __attribute__((visibility("default")))
#else
#define BF_API
#endif

#pragma GCC visibility push(default)
/* CFFI-BEGIN */

typedef enum {
    BF_OK = 0,
    BF_ERR_ARGUMENT = -1,   /* a pointer is null or a number is outside its range */
    BF_ERR_SENSORS = -2,    /* the sensor table cannot work */
    BF_ERR_MEMORY = -3      /* no memory at creation */
} bf_status;

/* Text of a status, never null. */
const char *bf_strerror(bf_status status);

/* ---- weighing: see src/wim.c ---------------------------------------------------------------------------- */

/* ---- matching and queue: see src/match.c and src/queue.c ------------------------------------------------- */

/* CFFI-END */
#pragma GCC visibility pop
#endif
