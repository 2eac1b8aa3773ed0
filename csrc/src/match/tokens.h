/* Tokens by which two sites know a plate again without telling it, as edge/exchange/tokens.py packs them. */
#ifndef BF_TOKENS_H
#define BF_TOKENS_H

#include "borderflow_core.h"

#include <stdbool.h>
#include <stdint.h>

/* The tokens of one plate in one period. */
typedef struct {
    int64_t period;
    int32_t length, cut;
    uint8_t packed[8 * (2 + 2 * BF_TOKEN_CHARACTERS)];
} token_set;

/* The first set of tokens in `data`: how many bytes it takes, 0 where there is none. */
int32_t tokens_read(const uint8_t *data, int32_t size, token_set *t);
/* Ln likelihood ratio of two sets of tokens; false where they do not agree. */
bool tokens_compare(const token_set *row, const token_set *query, double *score);

#endif
