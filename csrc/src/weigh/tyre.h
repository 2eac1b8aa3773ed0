/* How long the prints of tyres are for what they bear: what is usual, and what a lane's vehicles showed.
 *
 * In: the ways that wheels went while they were on a strip, by fitted motions. Out: what to expect of the next one. Where the
 * motion is seen badly the print tells the speed. Used by crossings.c (passages) and load.c (what was seen). */
#ifndef BF_TYRE_H
#define BF_TYRE_H

/* Steering axles have single tyres, most others twin ones; light vehicles are of their own kind. TYRE_ANY: not known. */
typedef enum { TYRE_ANY, TYRE_STEERS, TYRE_BEARS, TYRE_LIGHT, TYRES } tyre;

/* The logarithm of a print over the usual one: offset and slope over the logarithm of the load, with their covariance, and the
 * variance of one axle about that. */
typedef struct {
    double mean[2], cov[2][2], var;
} tyre_law;

typedef struct {
    tyre_law kind[TYRES];
} tyre_laws;

/* A logarithm and its sigma. */
typedef struct {
    double mean, sigma;
} tyre_expected;

tyre_laws tyres_unknown(void);
tyre tyre_of(int axle, double heaviest_n);
/* Length of an axle's prints, metres, from the greatest force of it on a strip of that width. */
double tyre_usual(double peak_n, double width_m);
/* Of the logarithm of a print over the usual one. TYRE_ANY_OF: where nothing was learned of it. */
extern const tyre_expected TYRE_ANY_OF;
tyre_expected tyre_expect(const tyre_laws *t, tyre kind, double peak_n);
/* An axle showed that logarithm, known with `sigma`. */
void tyre_learn(tyre_laws *t, tyre kind, double peak_n, double ratio, double sigma);

#endif
