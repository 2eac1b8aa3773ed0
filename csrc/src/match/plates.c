/* How likely two plates are readings of one vehicle, when readers make errors.
 *
 * In come one reading from the downstream point and many from the upstream point; out goes, for each, the logarithm of
 * the likelihood ratio "same vehicle" against "another vehicle of this traffic". Called by edge/core.py.
 *
 * With confusions C1, C2 of the two readers (confusion.c), J[a][b] = sum_t p(t) C1[t][a] C2[t][b]; a pair of aligned
 * characters scores ln(J / (q1 q2)) (Oliveira-Neto et al. 2012/2013). p(t) is uniform over the letters, the digits or
 * both: where the formats of plates that are known leave a place of the reading downstream to a digit alone, an O there
 * says as much as a 0. Missing and added characters cost a gap each; there is no transposition, readers do not make any.
 * Fleets have plates in sequence, so "another vehicle" is a mixture: unrelated, or (with the share `fleet`) one of the
 * same fleet whose plate differs in its last two digits only.
 */
#include "confusion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROW BF_PLATE_ROW
#define MOST (ROW - 1)
#define CODES 37 /* 0-9, A-Z, and one for everything else */
#define UNREADABLE 36
#define MOST_FORMATS 128
#define REBUILD 64 /* readings learned from between two tables */

enum { ANY = 0, DIGIT = 1, LETTER = 2, KINDS = 3 };

static const float ROUNDING = 0.01f; /* of sums in another order */
static const double CERTAIN = 0.98;  /* a place is a digit's, or a letter's, when the formats agree so far */
static const double NO_FORMAT = 0.1; /* share of plates that follow none of the formats: vanity, dealers, old series */

typedef struct {
    uint8_t kind[MOST];
    int length;
} format;

struct bf_plates {
    float pair[KINDS][CODES][64];   /* padded: the row index is a shift */
    double seen[KINDS][CODES];      /* chance that the reader downstream says so */
    reader_confusion reader[2];     /* upstream, downstream */
    format formats[MOST_FORMATS];
    int n_formats;
    float gap;
    double log_fleet, log_alone;
    int fresh; /* readings learned from since the table was made */
};

static int symbol(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'A' && c <= 'Z') {
        return c - 'A' + 10;
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 10;
    }
    return -1;
}

int32_t bf_plate_encode(const char *text, int32_t length, uint8_t *row)
{
    if (text == NULL || row == NULL || length < 0) {
        return 0;
    }
    memset(row, 0, ROW);
    int32_t n = 0;
    for (int32_t i = 0; i < length && n < MOST; i++) {
        unsigned char c = (unsigned char)text[i];
        int s = symbol(c);
        if (s >= 0) {
            row[n++] = (uint8_t)s;
        } else if (c == '?' || c == '*' || c == '_') { /* how readers write a character they could not read */
            row[n++] = UNREADABLE;
        }
    }
    row[MOST] = (uint8_t)n;
    return n;
}

/* The table of scores from the confusions of both readers. */
static void rebuild(bf_plates *p)
{
    static const int from[KINDS] = {0, 0, 10}, to[KINDS] = {36, 10, 36};
    double c1[36][36], c2[36][36];
    confusion_chances(&p->reader[0], c1);
    confusion_chances(&p->reader[1], c2);
    memset(p->pair, 0, sizeof p->pair);
    for (int kind = 0; kind < KINDS; kind++) {
        double joint[36][36] = {{0.0}}, qa[36] = {0.0}, qb[36] = {0.0};
        double prior = 1.0 / (double)(to[kind] - from[kind]);
        for (int t = from[kind]; t < to[kind]; t++) {
            for (int a = 0; a < 36; a++) {
                qa[a] += prior * c1[t][a];
                qb[a] += prior * c2[t][a];
                for (int b = 0; b < 36; b++) {
                    joint[a][b] += prior * c1[t][a] * c2[t][b];
                }
            }
        }
        for (int a = 0; a < 36; a++) {
            for (int b = 0; b < 36; b++) {
                p->pair[kind][a][b] = (float)log(joint[a][b] / (qa[a] * qb[b]));
            }
            p->seen[kind][a] = qb[a];
        }
        p->seen[kind][UNREADABLE] = 1.0 / 36.0; /* equal in all formats, so that it says nothing */
    }
    p->fresh = 0;
}

bf_plates *bf_plates_create(double error_upstream, double error_downstream, double gap, double fleet)
{
    if (!(error_upstream > 0.0 && error_upstream < 0.5) || !(error_downstream > 0.0 && error_downstream < 0.5) ||
        !(gap > 0.0 && gap < 0.5) || !(fleet >= 0.0 && fleet < 1.0)) {
        return NULL;
    }
    bf_plates *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    confusion_init(&p->reader[0], error_upstream);
    confusion_init(&p->reader[1], error_downstream);
    p->gap = (float)log(gap);
    p->log_fleet = fleet > 0.0 ? log(fleet) : -1e30;
    p->log_alone = log(1.0 - fleet);
    rebuild(p);
    return p;
}

void bf_plates_free(bf_plates *p)
{
    free(p);
}

bf_status bf_plates_confusion(bf_plates *p, int32_t downstream, char truly, char read, double share)
{
    int t = symbol((unsigned char)truly), s = symbol((unsigned char)read);
    if (p == NULL || (downstream != 0 && downstream != 1) || t < 0 || s < 0 || t == s || !(share >= 0.0 && share <= 1.0)) {
        return BF_ERR_ARGUMENT;
    }
    if (!confusion_told(&p->reader[downstream], t, s, share)) {
        return BF_ERR_ARGUMENT;
    }
    rebuild(p);
    return BF_OK;
}

bf_status bf_plates_format(bf_plates *p, const char *pattern)
{
    size_t n = p != NULL && pattern != NULL ? strlen(pattern) : 0;
    if (n == 0 || n > MOST || p->n_formats >= MOST_FORMATS) {
        return BF_ERR_ARGUMENT;
    }
    format f = {.length = (int)n};
    for (size_t i = 0; i < n; i++) {
        f.kind[i] = pattern[i] == '9' ? DIGIT : (pattern[i] == 'A' ? LETTER : ANY);
    }
    p->formats[p->n_formats++] = f;
    return BF_OK;
}

/* Which places of the reading belong to digits and which to letters, as far as the formats agree. */
static void places(const bf_plates *p, const uint8_t *a, int n, uint8_t kinds[MOST])
{
    double digit[MOST] = {0.0}, letter[MOST] = {0.0}, total = NO_FORMAT;
    int fitting = 0;
    memset(kinds, ANY, MOST);
    for (int i = 0; i < n; i++) {
        total *= p->seen[ANY][a[i]];
    }
    for (int k = 0; k < p->n_formats; k++) {
        fitting += p->formats[k].length == n;
    }
    for (int k = 0; k < p->n_formats; k++) {
        const format *f = &p->formats[k];
        if (f->length != n) {
            continue;
        }
        double chance = (1.0 - NO_FORMAT) / (double)fitting;
        for (int i = 0; i < n; i++) {
            chance *= p->seen[f->kind[i]][a[i]];
        }
        total += chance;
        for (int i = 0; i < n; i++) {
            digit[i] += f->kind[i] == DIGIT ? chance : 0.0;
            letter[i] += f->kind[i] == LETTER ? chance : 0.0;
        }
    }
    for (int i = 0; i < n; i++) {
        kinds[i] = digit[i] > CERTAIN * total ? DIGIT : (letter[i] > CERTAIN * total ? LETTER : ANY);
    }
}

static float better(float a, float b)
{
    return a > b ? a : b;
}

/* Best alignment of a[0..na) with b[0..nb). */
static float align(const bf_plates *p, const uint8_t *a, int na, const uint8_t *b, int nb)
{
    float row[ROW];
    for (int j = 0; j <= nb; j++) {
        row[j] = (float)j * p->gap;
    }
    for (int i = 1; i <= na; i++) {
        float diagonal = row[0];
        row[0] = (float)i * p->gap;
        for (int j = 1; j <= nb; j++) {
            float same = diagonal + p->pair[ANY][b[j - 1]][a[i - 1]];
            diagonal = row[j];
            row[j] = better(same, better(row[j], row[j - 1]) + p->gap);
        }
    }
    return row[nb];
}

/* One character more in `longer`: the best place for the gap, by the sums from both ends. Which of the two readers said
 * which is left aside here. */
static float align_one(const bf_plates *p, const uint8_t *longer, const uint8_t *shorter, int n)
{
    float tail[ROW];
    tail[n] = 0.0f;
    for (int i = n - 1; i >= 0; i--) {
        tail[i] = tail[i + 1] + p->pair[ANY][longer[i + 1]][shorter[i]];
    }
    float head = 0.0f, best = tail[0];
    for (int i = 0; i < n; i++) {
        head += p->pair[ANY][longer[i]][shorter[i]];
        best = better(best, head + tail[i + 1]);
    }
    return best + p->gap;
}

/* Index of the last but one digit: what follows it may differ within a fleet. */
static int fleet_cut(const uint8_t *row, int n)
{
    int seen = 0;
    for (int i = n - 1; i >= 0; i--) {
        if (row[i] < 10 && ++seen == 2) {
            return i;
        }
    }
    return n > 2 ? n - 2 : 0;
}

/* A reading downstream, ready to be compared. */
typedef struct {
    uint8_t a[ROW];
    const float (*table[MOST])[64];
    int n, cut;
    float most[MOST + 1]; /* what the places from this one on can still add */
} query_plate;

static bool prepare(const bf_plates *p, const uint8_t *row, query_plate *q)
{
    if (row[MOST] > MOST) {
        return false;
    }
    uint8_t kinds[MOST];
    q->n = row[MOST];
    for (int i = 0; i < MOST; i++) {
        q->a[i] = row[i] < CODES ? row[i] : UNREADABLE;
    }
    places(p, q->a, q->n, kinds);
    for (int i = 0; i < MOST; i++) {
        q->table[i] = p->pair[kinds[i]];
    }
    q->cut = fleet_cut(q->a, q->n);
    q->most[q->n] = 0.0f;
    for (int i = q->n - 1; i >= 0; i--) {
        float best = 0.0f;
        for (int b = 0; b < CODES; b++) {
            best = better(best, q->table[i][b][q->a[i]]);
        }
        q->most[i] = q->most[i + 1] + best;
    }
    return true;
}

/* ln likelihood ratio against another vehicle of this traffic; `raw`: against an unrelated one. */
static float compare(const bf_plates *p, const query_plate *q, const uint8_t *b, float *raw)
{
    int na = q->n, nb = b[MOST];
    float score = 0.0f, prefix = 0.0f;
    if (na == 0 || nb == 0 || nb > MOST) {
        *raw = -1e9f;
        return -1e9f;
    }
    if (na == nb) {
        for (int i = 0; i < na; i++) {
            if (i == q->cut) {
                prefix = score;
            }
            score += q->table[i][b[i] < CODES ? b[i] : UNREADABLE][q->a[i]];
        }
    } else {
        uint8_t c[ROW];
        for (int i = 0; i < nb; i++) {
            c[i] = b[i] < CODES ? b[i] : UNREADABLE;
        }
        if (na == nb + 1) {
            score = align_one(p, q->a, c, nb);
        } else if (nb == na + 1) {
            score = align_one(p, c, q->a, na);
        } else {
            score = align(p, q->a, na, c, nb);
        }
        prefix = score - 7.0f; /* two digits of the score of an exact match */
    }
    *raw = score;
    /* ln of (1 - fleet) + fleet exp(prefix): what another vehicle of this traffic would score. */
    if (score > -3.0f && p->log_fleet > -1e29) {
        double x = p->log_fleet + (double)prefix, y = p->log_alone;
        double top = x > y ? x : y;
        score -= (float)(top + log1p(exp((x > y ? y : x) - top)));
    }
    return score;
}

bf_status bf_plates_compare(const bf_plates *p, const uint8_t *query, const uint8_t *rows, int32_t n, float *llr,
                            float *raw)
{
    query_plate q;
    if (p == NULL || query == NULL || n < 0 || (n > 0 && (rows == NULL || llr == NULL)) || !prepare(p, query, &q)) {
        return BF_ERR_ARGUMENT;
    }
    for (int32_t k = 0; k < n; k++) {
        float against_stranger = 0.0f;
        llr[k] = compare(p, &q, rows + (size_t)k * ROW, &against_stranger);
        if (raw != NULL) {
            raw[k] = against_stranger;
        }
    }
    return BF_OK;
}

/* Whether it is plain from the first characters that the score is not above `least`; most plates differ there. */
static bool hopeless(const query_plate *q, const uint8_t *b, float least)
{
    float score = 0.0f;
    if (b[MOST] != q->n) {
        return b[MOST] == 0;
    }
    for (int i = 0; i < q->n; i++) {
        score += q->table[i][b[i] < CODES ? b[i] : UNREADABLE][q->a[i]];
        if (score + q->most[i + 1] < least) {
            return true;
        }
    }
    return false;
}

bf_status bf_plates_find(const bf_plates *p, const uint8_t *query, const uint8_t *rows, int32_t n, float least,
                         int32_t most, int32_t *index, float *llr, int32_t *found)
{
    query_plate q;
    if (p == NULL || query == NULL || n < 0 || (n > 0 && rows == NULL) || most < 0 || index == NULL || llr == NULL ||
        found == NULL || !prepare(p, query, &q)) {
        return BF_ERR_ARGUMENT;
    }
    *found = 0;
    /* Against other vehicles of this traffic a score rises by no more than -log_alone. */
    for (int32_t k = 0; k < n && *found < most; k++) {
        if (hopeless(&q, rows + (size_t)k * ROW, least - ROUNDING + (float)p->log_alone)) {
            continue;
        }
        float raw = 0.0f, score = compare(p, &q, rows + (size_t)k * ROW, &raw);
        if (score > least) {
            index[*found] = k;
            llr[(*found)++] = score;
        }
    }
    return BF_OK;
}

bf_status bf_plates_learn(bf_plates *p, const uint8_t *upstream, const uint8_t *downstream)
{
    if (p == NULL || upstream == NULL || downstream == NULL || upstream[MOST] > MOST || downstream[MOST] > MOST) {
        return BF_ERR_ARGUMENT;
    }
    int n = downstream[MOST];
    if (n != upstream[MOST]) {
        return BF_OK; /* which character is missing is not sure enough to learn from */
    }
    for (int i = 0; i < n; i++) {
        if (upstream[i] < UNREADABLE && downstream[i] < UNREADABLE) {
            confusion_learn(&p->reader[0], &p->reader[1], upstream[i], downstream[i]);
        }
    }
    if (++p->fresh >= REBUILD) {
        rebuild(p);
    }
    return BF_OK;
}

bf_status bf_plates_learned(const bf_plates *p, bf_plate_errors *out)
{
    static const char text[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if (p == NULL || out == NULL) {
        return BF_ERR_ARGUMENT;
    }
    memset(out, 0, sizeof *out);
    double wrong = 0.0;
    for (int r = 0; r < 2; r++) {
        out->characters += 0.5 * confusion_seen(&p->reader[r]);
    }
    for (int a = 0; a < 36; a++) {
        for (int b = a + 1; b < 36; b++) {
            double times = 0.0;
            for (int r = 0; r < 2; r++) {
                times += p->reader[r].count[a][b] + p->reader[r].count[b][a];
            }
            wrong += times;
            /* Insert among the most frequent. */
            int at = BF_PLATE_PAIRS;
            while (at > 0 && times > 0.0 && times > out->times[at - 1]) {
                at--;
            }
            for (int i = BF_PLATE_PAIRS - 1; i > at; i--) {
                out->times[i] = out->times[i - 1];
                memcpy(out->pair[i], out->pair[i - 1], sizeof out->pair[i]);
            }
            if (at < BF_PLATE_PAIRS) {
                out->times[at] = times;
                out->pair[at][0] = text[a];
                out->pair[at][1] = text[b];
            }
        }
    }
    out->errors = wrong;
    return BF_OK;
}
