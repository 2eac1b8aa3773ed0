/* What one pass of an axle tells alone, or the passes of one axle: roughly its speed and load. See pass.h. */
#include "pass.h"

#include <math.h>

static const double GRAVITY = 9.80665;

bool print_stood(const sensor_array *array, const footprint *f)
{
    const double still = (f->still_to - f->still_from) / array->rate;
    const bool plate = array->sensors[f->sensor].s.type == BF_PLATE; /* there the signal is steady while the wheel rolls too */
    double flank = f->rise[LEVELS - 1] - f->rise[0];
    if (f->fall[0] - f->fall[LEVELS - 1] < flank) flank = f->fall[0] - f->fall[LEVELS - 1];
    return still > (plate ? 3.0 : 1.0) && still > (plate ? 20.0 : 3.0) * flank / array->rate;
}

/* A wheel's middle is over a plate from the half level of the rise to that of the fall: the plate's length in that time. */
static double speed_on_plate(const sensor_array *array, const pass *p)
{
    double took = 0.0, width = 0.0;
    for (int i = 0; i < p->count; ++i) {
        const footprint *f = p->prints[i];
        const bf_sensor *s = &array->sensors[f->sensor].s;
        const double t = 0.5 * (f->fall[LEVELS / 2] + f->fall[LEVELS / 2 - 1] - f->rise[LEVELS / 2] - f->rise[LEVELS / 2 - 1]);
        if (s->type != BF_PLATE || t <= took) continue;
        took = t;
        width = s->width_m;
        /* One that stood drove on and off as fast as its flanks tell: 0.2 to 0.8 of a footprint of 0.22 m. */
        const double on = f->rise[LEVELS - 1] - f->rise[0], off = f->fall[0] - f->fall[LEVELS - 1], flank = on < off ? on : off;
        if (print_stood(array, f) && flank > 0.0) took = width * flank / 0.13;
    }
    return took > 0.0 ? width / took * array->rate : -1.0;
}

double pass_speed(const sensor_array *array, const axle_seen *a, int line)
{
    /* Rough speed near a line: from its neighbours. */
    int i = line, k = line;
    for (int j = 0; j < array->line_count; ++j) {
        if (!(a->seen & (1u << j))) continue;
        if (j < line && (i == line || j > i)) i = j;
        if (j > line && k == line) k = j;
    }
    if (i == k) {
        const double v = a->seen & (1u << line) ? speed_on_plate(array, &a->at[line]) : -1.0;
        return v > 0.0 ? v : 1.0;
    }
    const double dt = (a->at[k].mid - a->at[i].mid) / array->rate;
    return dt > 0.0 ? (array->lines[k].x - array->lines[i].x) / dt : 1.0;
}

double rough_load(const sensor_array *array, const axle_seen *a, double reach_m)
{
    static const double STOOD = 0.6; /* of the peak: less is the mean of a wheel that stood half on a strip */
    double v[BF_MAX_LINES], peak_kg = 0.0;
    int n = 0;
    for (int j = 0; j < array->line_count; ++j)
        if ((a->seen & (1u << j)) && array->lines[j].plate) {
            peak_kg += a->at[j].peak_n / GRAVITY; /* the whole load */
            ++n;
        }
    if (n > 0) return peak_kg / n;
    for (int j = 0; j < array->line_count; ++j) {
        if (!(a->seen & (1u << j))) continue;
        /* The mean force while it was on the strip, whatever the speed. */
        double kg = 0.0;
        for (int i = 0; i < a->at[j].count; ++i) {
            const footprint *f = a->at[j].prints[i];
            const sensor_info *s = &array->sensors[f->sensor];
            const double on = f->fall[1] - f->rise[1];
            if (on > 0.0) kg += fmax(f->area / on, STOOD * f->peak) * reach_m * s->newton / s->s.width_m / GRAVITY;
        }
        int k = n++;
        while (k > 0 && v[k - 1] > kg) {
            v[k] = v[k - 1];
            --k;
        }
        v[k] = kg;
    }
    return n > 0 ? v[(n - 1) / 2] : 0.0;
}

side print_side(const sensor_array *array, const pass *p, int index)
{
    const footprint *f = p->prints[index];
    const sensor_info *s = &array->sensors[f->sensor];
    if (s->side != SIDE_FULL || s->slope == 0.0) return s->side;
    for (int i = 0; i < p->count; ++i) {
        const footprint *g = p->prints[i];
        if (i == index || g->sensor != f->sensor) continue;
        return (f->centre < g->centre) == (s->slope > 0.0) ? SIDE_LEFT : SIDE_RIGHT;
    }
    return SIDE_FULL;
}

double print_place(const sensor_array *array, const sensor_info *s, side of, double aside_m)
{
    return s->s.x_m + s->slope * (array->side_y_m[of] + aside_m - s->y_m);
}

int side_wheel(side of)
{
    return of == SIDE_LEFT ? -1 : (of == SIDE_RIGHT ? 1 : 0);
}

usual_passage passage_of_peak(const sensor_array *array, double peak_n, int sensor, tyre_expected of)
{
    static const double LEVEL = 0.9; /* of the print: its length where it was measured */
    static const double TYRE_M = 0.35, TYRE_SPREAD_M = 0.15; /* across, which strips at an angle see too */
    const double print = tyre_usual(peak_n, array->sensors[sensor].s.width_m) * exp(of.mean), slope = fabs(array->sensors[sensor].slope);
    const double own = of.sigma * print, across = TYRE_SPREAD_M * slope;
    const usual_passage p = {LEVEL * print + TYRE_M * slope, sqrt(own * own + across * across)};
    return p;
}

double most_peak(const sensor_array *array, const axle_seen *a)
{
    double most = 0.0;
    for (int j = 0; j < array->line_count; ++j)
        if ((a->seen >> j & 1u) && a->at[j].peak_n > most) most = a->at[j].peak_n;
    return most;
}

usual_passage passage_of(const sensor_array *array, const axle_seen *a, int sensor)
{
    return passage_of_peak(array, most_peak(array, a), sensor, TYRE_ANY_OF);
}
