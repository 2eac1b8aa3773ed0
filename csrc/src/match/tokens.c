/* How well the tokens of two plates agree, on the scale of the comparison in clear (plates.c) without formats.
 *
 * What the tokens are stands in edge/exchange/tokens.py: keyed hashes of the plate (whole), of the plate with look-alikes put
 * together (alike), and of both without each of their characters. Found are: equal plates, one misread character, one
 * missing or added, and each of these with any number of look-alikes. Called by evidence.c.
 */
#include "tokens.h"

#include <math.h>
#include <string.h>

/* The numbers of the plate table, with the mean over characters in place of the pair: which two characters differ is what
 * a token does not tell. */
#define ERROR_SHARE 0.012
#define FLEET 0.03
#define LOOK_ALIKES 3.0
#define FAR_SHARE (0.5 * ERROR_SHARE / 35.0)
#define FLEET_TAIL 7.0 /* two characters of an exact match */

typedef struct {
    double same, look_alike, other, missing;
} scores;

static scores scores_of(void)
{
    double read = 1.0 - ERROR_SHARE;
    return (scores){
        .same = log(36.0 * (read * read)),
        .look_alike = log(36.0 * 2.0 * read * (0.5 * ERROR_SHARE / LOOK_ALIKES + FAR_SHARE)),
        .other = log(36.0 * 2.0 * read * FAR_SHARE),
        .missing = log(0.002),
    };
}

static const uint8_t *token(const token_set *t, int i)
{
    return t->packed + 8 * i;
}

static bool equal(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, 8) == 0;
}

/* First character whose removal makes both equal, -1 without one; `alike`: in the tokens of look-alikes. */
static int same_place(const token_set *a, const token_set *b, bool alike)
{
    int from = 2 + (alike ? a->length : 0);
    for (int i = 0; i < a->length; i++) {
        if (equal(token(a, from + i), token(b, from + i))) {
            return i;
        }
    }
    return -1;
}

/* Whether `whole` is one of those without a character. */
static bool among(const uint8_t *whole, const token_set *longer, bool alike)
{
    int from = 2 + (alike ? longer->length : 0);
    for (int i = 0; i < longer->length; i++) {
        if (equal(whole, token(longer, from + i))) {
            return true;
        }
    }
    return false;
}

/* `score` against what another vehicle would score: unrelated, or of the same fleet with an equal beginning. */
static double against_fleet(double score, double prefix)
{
    double x = log(FLEET) + prefix, y = log(1.0 - FLEET);
    return score - (x > y ? x : y) - log1p(exp(-fabs(x - y)));
}

static bool equal_length(const token_set *row, const token_set *query, double *score)
{
    scores s = scores_of();
    double n = query->length, cut = query->cut;
    if (equal(token(row, 0), token(query, 0))) {
        *score = against_fleet(n * s.same, cut * s.same);
        return true;
    }
    bool alike = equal(token(row, 1), token(query, 1));
    int at = same_place(row, query, false);
    if (at >= 0) {
        double wrong = alike ? s.look_alike : s.other;
        *score = against_fleet((n - 1.0) * s.same + wrong, at >= query->cut ? cut * s.same : (cut - 1.0) * s.same + wrong);
        return true;
    }
    double all_but_one = cut >= 1.0 ? (cut - 1.0) * s.same : 0.0;
    if (alike) { /* two or more look-alikes; one of them before the cut */
        *score = against_fleet((n - 2.0) * s.same + 2.0 * s.look_alike, all_but_one + s.look_alike);
        return true;
    }
    at = same_place(row, query, true);
    if (at < 0) {
        return false;
    }
    *score = against_fleet((n - 2.0) * s.same + s.look_alike + s.other,
                           all_but_one + (at >= query->cut ? s.look_alike : s.other));
    return true;
}

bool tokens_compare(const token_set *row, const token_set *query, double *score)
{
    if (row->period != query->period) { /* only tokens of one period can agree */
        return false;
    }
    if (row->length == query->length) {
        return equal_length(row, query, score);
    }
    const token_set *shorter = row->length < query->length ? row : query;
    const token_set *longer = shorter == row ? query : row;
    if (longer->length != shorter->length + 1) {
        return false;
    }
    scores s = scores_of();
    if (among(token(shorter, 0), longer, false)) {
        *score = (double)shorter->length * s.same + s.missing;
    } else if (among(token(shorter, 1), longer, true)) {
        *score = (double)(shorter->length - 1) * s.same + s.look_alike + s.missing;
    } else {
        return false;
    }
    *score = against_fleet(*score, *score - FLEET_TAIL);
    return true;
}

int32_t tokens_read(const uint8_t *data, int32_t size, token_set *t)
{
    memset(t, 0, sizeof *t);
    if (size < 16) {
        return 0;
    }
    memcpy(&t->period, data, 8);
    memcpy(&t->length, data + 8, 4);
    memcpy(&t->cut, data + 12, 4);
    int32_t most = size - 16;
    if (t->length < 1 || t->length > BF_TOKEN_CHARACTERS || t->cut < 0 || t->cut > t->length ||
        most < 8 * (2 + 2 * t->length)) {
        return 0;
    }
    memcpy(t->packed, data + 16, (size_t)(8 * (2 + 2 * t->length)));
    return 16 + 8 * (2 + 2 * t->length);
}

bf_status bf_tokens_compare(const uint8_t *row, int32_t row_size, const uint8_t *query, int32_t query_size, double *llr)
{
    token_set a, b;
    if (row == NULL || query == NULL || llr == NULL || tokens_read(row, row_size, &a) == 0 ||
        tokens_read(query, query_size, &b) == 0) {
        return BF_ERR_ARGUMENT;
    }
    if (!tokens_compare(&a, &b, llr)) {
        *llr = -1e9;
    }
    return BF_OK;
}
