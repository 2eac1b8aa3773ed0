/* What braking and pulling move between axles. See transfer.h.
 *
 * A rigid unit of mass m, its centre of gravity h above the road and its supports b apart, moves m h / (b g) kilograms
 * for 1 m/s2 (T. Gillespie, Fundamentals of vehicle dynamics, 1992, chapter 1). A semitrailer's front support is the
 * hitch over the group before it; pulled, it is held at the height of the hitch and tips only by what its centre of
 * gravity lies above that, but its force at the hitch tips the tractor. */
#include "transfer.h"

#include <math.h>
#include <string.h>

static const double GRAVITY = 9.80665;
const double SPRING_GROUP_M = 2.3;
static const double HITCH_M = 1.1, CAR_HITCH_M = 0.4, TRACTOR_M = 1.0, TRAILER_M = 1.8, TRUCK_M = 1.4, CAR_M = 0.6;
static const double CAR_KG = 3500.0;
static const double BORNE = 1.5; /* mass of a semitrailer, in what its own axles bear */

/* Axles that share springs: which group each is of, and where a group is, what it bears and how many axles it has. */
typedef struct {
    int count, of[BF_MAX_AXLES], axles[BF_MAX_AXLES];
    double middle[BF_MAX_AXLES], load[BF_MAX_AXLES], gross;
} spring_groups;

/* A motorcycle: what has no other group stands on springs of its own. */
static int apart(spring_groups *g, const double *place_m, const double *kg, int count)
{
    for (int k = 0; k < count; ++k) {
        g->of[k] = k;
        g->middle[k] = place_m[k];
        g->load[k] = kg[k];
        g->axles[k] = 1;
    }
    return count - 1;
}

static void find_groups(spring_groups *g, const double *place_m, const double *kg, int count)
{
    memset(g, 0, sizeof *g);
    int last = 0;
    for (int k = 0; k < count; ++k) {
        if (k > 0 && fabs(place_m[k] - place_m[k - 1]) >= SPRING_GROUP_M) ++last;
        g->of[k] = last;
        g->middle[last] += place_m[k];
        g->load[last] += kg[k];
        g->axles[last]++;
        g->gross += kg[k];
    }
    if (last == 0) last = apart(g, place_m, kg, count);
    g->count = last + 1;
    for (int i = 0; i < g->count; ++i) g->middle[i] /= g->axles[i];
}

/* Mass of the unit in front of group `u` + 1, heights of its centre of gravity and of its hitch; behind it `towed_kg` hang. */
static void unit_of(const spring_groups *g, int u, double towed_kg, double *mass, double *height, double *hitch)
{
    static const double LEAST = 0.25; /* of the gross weight, that a towing vehicle weighs */
    const bool car = g->gross <= CAR_KG;
    *hitch = car ? CAR_HITCH_M : HITCH_M;
    if (u > 0) {
        *mass = BORNE * g->load[u + 1];
        *height = car ? CAR_M : TRAILER_M;
    } else {
        *mass = fmax(g->gross - towed_kg, LEAST * g->gross);
        *height = car ? CAR_M : (g->count > 2 ? TRACTOR_M : TRUCK_M);
    }
}

void transfer_expect(transfer *t, const double *place_m, const double *kg, int count)
{
    static const double LEAST_BASE_M = 1.0;
    spring_groups g;
    memset(t, 0, sizeof *t);
    find_groups(&g, place_m, kg, count);
    t->couples = g.count - 1 < COUPLES ? g.count - 1 : COUPLES;
    double towed = 0.0; /* behind the unit that is looked at */
    for (int u = g.count - 2; u >= 0; --u) {
        const double base = g.middle[u + 1] - g.middle[u];
        double mass, height, hitch;
        unit_of(&g, u, towed, &mass, &height, &hitch);
        const double forwards = u > 0 ? mass * (height - hitch) : mass * height + towed * hitch;
        towed += u > 0 ? mass : 0.0;
        if (base < LEAST_BASE_M) continue;
        const double moved[PULLS] = {forwards / base / GRAVITY, mass * height / base / GRAVITY};
        const int c = u < COUPLES ? u : COUPLES - 1;
        for (int p = 0; p < PULLS; ++p)
            for (int k = 0; k < count; ++k) {
                if (g.of[k] == u + 1) t->gain[PULLS * c + p][k] += moved[p] / g.axles[u + 1];
                if (g.of[k] == u) t->gain[PULLS * c + p][k] -= moved[p] / g.axles[u];
            }
    }
}

/* Answer of a body on its springs to an acceleration that lasted for a step: pitch at 1 to 2 Hz, well damped. The links of an
 * axle bear a part of it at once, from none to all (anti-dive and anti-squat: Gillespie, chapter 7): half, as a mean. */
enum { STEPS = 40 };
static const double STEP_S = 0.03, PITCH_HZ = 1.2, DAMPING = 0.4, AT_ONCE = 0.5, AT_ONCE_SD = 0.29;

void transfer_pull(const motion *m, const double *times, int n, double pull[PULLS], double *doubt)
{
    const double w = 6.283185307179586 * PITCH_HZ, decay = exp(-DAMPING * w * STEP_S), wd = w * sqrt(1.0 - DAMPING * DAMPING);
    const double cos_step = cos(wd * STEP_S), sin_step = sin(wd * STEP_S);
    double answer[STEPS], total = 0.0, size = exp(-0.5 * DAMPING * w * STEP_S), s = sin(0.5 * wd * STEP_S), c = cos(0.5 * wd * STEP_S);
    for (int i = 0; i < STEPS; ++i) {
        answer[i] = size * s;
        total += answer[i];
        size *= decay;
        const double next = s * cos_step + c * sin_step;
        c = c * cos_step - s * sin_step;
        s = next;
    }
    double late = 0.0, now = 0.0;
    int near = 0;
    pull[0] = pull[1] = 0.0;
    for (int q = 0; q < n; ++q) {
        const double a0 = motion_acceleration_near(m, times[q], &near) / n;
        now += a0;
        pull[a0 < 0.0] += AT_ONCE * a0;
        for (int i = 0; i < STEPS; ++i) {
            const double a = motion_acceleration_near(m, times[q] - (i + 0.5) * STEP_S, &near) * answer[i] / total / n;
            late += a;
            pull[a < 0.0] += (1.0 - AT_ONCE) * a;
        }
    }
    *doubt = AT_ONCE_SD * fabs(now - late);
}
