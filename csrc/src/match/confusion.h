/* Which characters a plate reader takes for which: what is usual, what the configuration says, what was learned.
 *
 * In: the error rate and shares of the configuration, and pairs of characters that two readers saw of one plate. Out:
 * the chance of each reading of each character. Called by plates.c.
 */
#ifndef BF_CONFUSION_H
#define BF_CONFUSION_H

#include "borderflow_core.h"

#include <stdbool.h>

typedef struct {
    double error;           /* chance that a character is misread, before anything was learned */
    float told[36][36];     /* [truly][read]: share of the errors of a character, from the configuration */
    double count[36][36];   /* the same, counted; errors by halves, because which of two readers erred is not known */
} reader_confusion;

void confusion_init(reader_confusion *r, double error);
/* Of the errors of `truly`, `share` are read as `read`; false when the shares of a character would pass 1. */
bool confusion_told(reader_confusion *r, int truly, int read, double share);
/* The readers upstream and downstream saw these of one character. */
void confusion_learn(reader_confusion *up, reader_confusion *down, int a, int b);
/* Chances [truly][read]. */
void confusion_chances(const reader_confusion *r, double chance[36][36]);
/* Characters learned from, fading. */
double confusion_seen(const reader_confusion *r);

#endif
