/* How long a free journey takes, told from counts at both points alone. In: times of passages and departures, without who is
 * who. Out: mean and deviation, once they stand out. Called by learn.c. */
#ifndef BF_JOURNEY_H
#define BF_JOURNEY_H

#include <stdint.h>

#define JOURNEY_BINS 80

/* Only journey.c looks into it. */
typedef struct {
    double edge_s[JOURNEY_BINS + 1]; /* of the bins, growing by the same ratio */
    double pairs[JOURNEY_BINS];      /* fading: pairs of a departure and a passage before it, by the time between them */
    double sum, square;              /* of all their weights, and of the squares of these */
} journey;

void journey_begin(journey *j, double usual_s);
/* A departure at `t`, of which it is so likely (`weight`) that nobody held it up; the passages `first` <= pos < `next` stand in a ring of `capacity`, a power of two. */
void journey_see(journey *j, double t, double weight, const double *entered, int64_t first, int64_t next, int64_t capacity);
/* Mean and deviation of ln of a free journey. Returns how many deviations of chance it stands out; below 1 they are not set. */
double journey_tell(const journey *j, double *mean_ln, double *sd_ln);

#endif
