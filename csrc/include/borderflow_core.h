/* borderflow core: samples -> footprints -> axles -> vehicles; identities at two points -> travel times;
 * counts -> queue and expected wait.
 *
 * No I/O, no clock, no globals; no allocation after creation but in the chain of sightings. Every function that can fail returns a bf_status;
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

typedef enum { BF_STRIP = 0, BF_PLATE = 1, BF_LOOP = 2 } bf_sensor_type;

typedef struct {
    int32_t type;                    /* bf_sensor_type */
    int32_t channel;                 /* index in a scan */
    double x_m;                      /* centre along the direction of travel */
    double y0_m, y1_m;               /* part of the lane's width that it covers; NaN where not known */
    double width_m;                  /* extent along the direction of travel */
    double gain_n;                   /* newton for one count at reference temperature */
    double temp_coeff_per_c;
    double reference_temperature_c;
    double coupling_tau_s;           /* 0: DC-coupled */
    double threshold_counts;         /* loops: above it a vehicle is there */
    double angle_deg;                /* of a strip against the perpendicular to the lane */
} bf_sensor;

typedef struct {
    double rate_hz;
    double temperature_c;
    int32_t channels;                /* samples in a scan */
    int32_t use_loop;                /* cut vehicles by the loops */
} bf_wim_options;

/* Bits of bf_vehicle.flags. */
enum {
    BF_STOPPED_ON_SENSOR = 1,
    BF_REVERSED = 2,
    BF_PARTIAL = 4,
    BF_OFF_LANE = 8,
    BF_UNEQUAL_LINES = 16,
    BF_SATURATED = 32,
    BF_SENSOR_FAULT = 64,
    BF_SPEED_CHANGE = 128,
    BF_TAILGATING = 256,
    BF_CUT_UNCERTAIN = 512,
    BF_SPACING_UNCERTAIN = 1024
};

enum { BF_MAX_AXLES = 24, BF_MAX_SENSORS = 64, BF_MAX_CHANNELS = 128, BF_MAX_LINES = 16, BF_WAY_POINTS = 128 };

typedef struct {
    double position_m;               /* from the first axle, backwards */
    double position_sigma_m;         /* large where it may have stood with no wheel on the array */
    double load_kg, sigma_kg;
    double left_kg, right_kg;        /* NaN where not known */
    int32_t dual_tyres;              /* 1 yes, 0 no, -1 not known */
    int32_t lines;                   /* lines that saw it */
    float sensor_kg[64];             /* what each sensor of the table weighed of it, 0 where it has nothing */
    float way_m;                     /* how far it is behind the first in the fitted motion; NaN without one */
} bf_axle;

typedef struct {
    double first_axle_scan;          /* when the first axle's centre crosses x = 0 */
    double exit_scan;                /* when the last axle has left the last line */
    double speed_mps;
    double length_m;                 /* NaN where not known */
    double lateral_m;                /* right of the lane's middle; NaN where strips at different angles do not tell */
    double gross_kg, gross_sigma_kg;
    double whole;                    /* probability that these are all axles of one vehicle */
    uint32_t flags;
    int32_t axle_count;
    bf_axle axles[24];
    double way_from_scan;            /* the fitted motion: x of the first axle at so many instants, from this scan to */
    float way_m[128];                /* exit_scan, equally spaced; NaN where no motion could be fitted */
} bf_vehicle;

typedef enum {
    BF_CH_OK = 0,
    BF_CH_DEAD = 1,                  /* flat, or silent while its neighbours see wheels */
    BF_CH_NOISY = 2,
    BF_CH_SATURATED = 3,
    BF_CH_STUCK = 4,                 /* above its threshold for longer than any vehicle stands */
    BF_CH_REVERSED = 5,              /* wheels give pulses the wrong way round; it is read reversed meanwhile */
    BF_CH_MISPLACED = 6              /* wheels come to the lines in another order than x_m says */
} bf_channel_state;

typedef struct {
    int32_t state;                   /* bf_channel_state */
    int32_t channel;
    double baseline_counts, noise_counts;
    uint64_t footprints, missed, saturated_samples, spikes;
} bf_channel_health;

typedef struct bf_wim bf_wim;

/* Makes the core of one lane's array. On BF_ERR_SENSORS *fault is the index of the sensor at fault, or -1 for the
 * table as a whole. The checks of what a table must hold are the caller's; these only keep the core safe. */
bf_status bf_wim_create(const bf_wim_options *options, const bf_sensor *sensors, size_t sensor_count,
                        bf_wim **out, int32_t *fault);
void bf_wim_destroy(bf_wim *wim);

/* Takes `scans` scans of int16 samples, interleaved. The result depends on the stream alone, not on how it is cut.
 * Stops early when the ring of finished vehicles is nearly full; *used says how many scans were taken. */
bf_status bf_wim_push(bf_wim *wim, const int16_t *samples, size_t scans, size_t *used);

/* `scans` scans were lost: time goes on, vehicles over the array are finished as they stand, with BF_PARTIAL. */
bf_status bf_wim_gap(bf_wim *wim, uint64_t scans);

/* The stream has ended: vehicles that are still open are finished. */
bf_status bf_wim_finish(bf_wim *wim);

/* Takes the next finished vehicle; returns 0 when there is none. */
int bf_wim_next(bf_wim *wim, bf_vehicle *out);

bf_status bf_wim_set_temperature(bf_wim *wim, double temperature_c);
/* The loops are stuck or chatter: until told otherwise vehicles are cut as without them. */
bf_status bf_wim_ignore_loops(bf_wim *wim, int32_t ignore);
uint64_t bf_wim_scans(const bf_wim *wim);
/* Scan at which an unfinished vehicle began, or -1. */
int64_t bf_wim_open_since(const bf_wim *wim);
bf_status bf_wim_health(const bf_wim *wim, size_t sensor, bf_channel_health *out);

/* ---- matching and queue: see src/plates.c, axles.c, queue.c, forecast.c ------------------------------------------------- */

/* A plate as a row of bytes: codes 0..35 for 0-9 and A-Z, 36 for an unreadable character; the last byte is the number of
 * characters, 0 for no plate. */
#define BF_PLATE_ROW 16
/* An axle signature as a row of floats: [0] number of axles (2..12, else no signature), [1..11] spacings in metres,
 * [12..23] loads in kilograms. */
#define BF_AXLE_FEATURES 24
#define BF_AXLE_MOST 12

/* Writes the row of a plate as it was read; blanks and punctuation are left out. Returns the number of characters. */
int32_t bf_plate_encode(const char *text, int32_t length, uint8_t *row);

/* Confusion tables of two readers. `error` is the chance that a character is misread, `gap` that one is missing or
 * added, `fleet` the chance that another vehicle belongs to the same fleet. Null if a number is outside its range. */
typedef struct bf_plates bf_plates;
bf_plates *bf_plates_create(double error_upstream, double error_downstream, double gap, double fleet);
void bf_plates_free(bf_plates *plates);

/* `llr[k]`: ln of the likelihood ratio that `query` and `rows[k]` are one vehicle; `raw[k]` (may be null) the same against
 * an unrelated vehicle only. -1e9 where one is no plate. */
bf_status bf_plates_compare(const bf_plates *plates, const uint8_t *query, const uint8_t *rows, int32_t n, float *llr,
                            float *raw);

/* Of the errors of the reader (0 upstream, 1 downstream) at the character `truly`, `share` are read as `read`. */
bf_status bf_plates_confusion(bf_plates *plates, int32_t downstream, char truly, char read, double share);
/* Plates of this traffic have this form: 9 a digit, A a letter, * either. At most 128. */
bf_status bf_plates_format(bf_plates *plates, const char *pattern);
/* The rows whose ratio is above `least`, at most `most`: their indices and ratios. */
bf_status bf_plates_find(const bf_plates *plates, const uint8_t *query, const uint8_t *rows, int32_t n, float least,
                         int32_t most, int32_t *index, float *llr, int32_t *found);
/* Two readings that are surely of one vehicle: the confusions of both readers follow them, slowly. */
bf_status bf_plates_learn(bf_plates *plates, const uint8_t *upstream, const uint8_t *downstream);

#define BF_PLATE_PAIRS 4
typedef struct {
    double characters, errors;     /* learned from, fading: characters read at both points, and those that differed */
    char pair[BF_PLATE_PAIRS][2];  /* the most frequent confusions, in either direction */
    double times[BF_PLATE_PAIRS];
} bf_plate_errors;
bf_status bf_plates_learned(const bf_plates *plates, bf_plate_errors *out);

/* `loglik[k]`: log-likelihood that two axle signatures are of one vehicle, up to a constant of the number of axles.
 * Deviations of the difference of two measurements: of a spacing `spacing_m` metres and relative `spacing_sd`, of a load
 * relative `load_sd`; `scale`: what downstream loads are for one kilogram upstream. -1e9 where there is no signature, -1e8 where the number of axles differs. */
bf_status bf_axles_compare(const float *query, const float *rows, int32_t n, double spacing_m, double spacing_sd,
                           double load_sd, double scale, float *loglik);

/* What the comparison of axle signatures has learned: of its deviations and the scale, see bf_axles_compare, with `n` by how
 * many; `reference`: rows of the vehicles seen lately, of which there were `seen`. */
#define BF_AXLE_REFERENCE 200
typedef struct {
    double spacing_m, spacing_sd, load_sd, scale, n;
    int64_t seen;
    float reference[BF_AXLE_REFERENCE][BF_AXLE_FEATURES];
} bf_axle_model;
void bf_axle_model_init(bf_axle_model *model);
/* `llr[k]`: ln of the likelihood ratio "one vehicle" against "another of this traffic", -1e9 where there is no signature. */
bf_status bf_axle_model_compare(const bf_axle_model *model, const float *query, const float *rows, int32_t n, float *llr);
/* A vehicle of this traffic. */
void bf_axle_model_note(bf_axle_model *model, const float *row);
/* Two signatures that are surely of one vehicle. */
void bf_axle_model_learn(bf_axle_model *model, const float *upstream, const float *downstream);
/* Row of `n` axles; all zeros where these are no signature. */
void bf_axle_signature(int32_t n, const double *positions_m, const double *loads_kg, float *row);

/* The tokens of two plates, each its period (8 bytes), length and cut (4 each) and the tokens of edge/exchange/tokens.py:
 * *llr is the ln of the likelihood ratio "one vehicle" against "another of this traffic", -1e9 where they do not agree. */
bf_status bf_tokens_compare(const uint8_t *row, int32_t row_size, const uint8_t *query, int32_t query_size, double *llr);

/* Whether a reader or a loop still works, judged by the vehicles that pass it: `share` of them it sees while it works. */
typedef struct {
    double share, odds, n;  /* odds that it is dead; n: by how many the share was learned */
    int64_t misses;         /* in a row */
    int32_t works;
} bf_alive;
void bf_alive_init(bf_alive *alive);
/* One more vehicle passed; returns whether `works` has changed by it. */
int32_t bf_alive_note(bf_alive *alive, int32_t seen);

/* Joint chances that one vehicle is read upstream and downstream by one kind of reader. `evidence[2 * up + down]`: ln of the
 * likelihood ratio "one vehicle" of these two facts; for two readings: of two that differ. */
typedef struct {
    double counts[4], evidence[4], total, mismatch;
    int32_t fresh;
} bf_reads;
void bf_reads_init(bf_reads *reads, double mismatch);
/* One vehicle that was surely matched by something else, or by its place in the queue. */
void bf_reads_learn(bf_reads *reads, int32_t upstream, int32_t downstream);

/* ---- the chain from sightings to matches: see src/match ---------------------------------------------------------------- */

/* Sightings in the order of time, and those that wait for others out of order. */
typedef struct bf_order bf_order;
typedef enum {
    BF_SEEN_LOOP = 0, BF_SEEN_TAG = 1, BF_SEEN_PLATE = 2, BF_SEEN_TOKENS = 3, BF_SEEN_AXLES = 4, BF_SEEN_BOOTH = 5
} bf_kind;
#define BF_TOKEN_CHARACTERS 15
#define BF_TOGETHER_NS 3000000000 /* sightings of one vehicle at one point lie closer than this */
#define BF_FAR_NS 900000000000 /* a sighting so far ahead of the newest needs others that agree; so far behind it is of no use */

bf_order *bf_order_create(void);
void bf_order_free(bf_order *order);
/* Something was seen at `place` (lane * points + point) at a time between -2^62 and 2^62. `data`: of a tag, a plate or a booth
 * the text, of axles their positions (m) and then their loads (kg) as doubles, of tokens those of each
 * period, see bf_tokens_compare. Equal times go out in the order of *number; *late: it is before what has gone out. */
bf_status bf_order_put(bf_order *order, int64_t time_ns, int32_t place, int32_t kind, const uint8_t *data, int32_t size,
                       int64_t *number, int32_t *late);

/* All lanes and points of one crossing; the first point is where waits begin. With `counts_only` it is the booth, and
 * departures are only counted. Memory is bounded by what stands between the points, and grows up to that. */
typedef struct bf_match bf_match;
typedef struct bf_queue bf_queue;

typedef enum { BF_ENTERED = 0, BF_MATCHED = 1, BF_SERVED = 2, BF_BOOTH = 3, BF_GAP = 4 } bf_what;
typedef struct {
    int32_t what;          /* bf_what: a vehicle passed the first point, came to the end of a way, was counted at the booth; */
    int32_t lane;          /* something was said of a booth; nobody looked since time_ns */
    int32_t way;
    int32_t from_lane;     /* where it passed upstream, -1: not known */
    int64_t time_ns;
    int64_t pos;           /* its number upstream in from_lane, or in `lane` where it entered; -1: none. Of a booth its number */
    int64_t upstream_ns;
    double wait_s;         /* the best estimate; NaN where there is none at all */
    double rough_s;        /* the mean over all vehicles that it may be, NaN where it is none of them */
    double sd_s;           /* deviation of that mean */
    double p;
    uint8_t sure;          /* the estimate is good enough to stand alone */
    uint8_t by_identity;
    uint8_t phantom;       /* no vehicle at all: counted twice */
    uint8_t detour;        /* matched, but it was somewhere else in between: duty free, another lane, inspection */
    uint8_t readable;      /* an identity was read downstream */
    uint8_t busy;          /* it had to wait for the booth */
} bf_event;

typedef enum {
    BF_STOP_DONE = 0,      /* nothing more is due */
    BF_STOP_LIMIT = 1,     /* what is next was seen at time_ns, which is not before the limit */
    BF_STOP_LOOK = 2,      /* the caller has to look at the events first, and then go on */
    BF_STOP_LINE = 3       /* the next line is not a plain one */
} bf_stop;
typedef struct {
    int32_t made, why;     /* events; bf_stop */
    int64_t time_ns, last_ns; /* last_ns: of the newest sighting that went through */
} bf_run;

enum {
    BF_COUNT_DUPLICATE = 0, BF_COUNT_DOUBLE_COUNT = 1, BF_COUNT_REPEATED_READ = 2, BF_COUNT_STUCK_READER = 3,
    BF_COUNT_POOL_FULL = 4, BF_COUNT_LANE_CHANGE = 5, BF_COUNTERS = 6
};

typedef struct {
    int32_t counts;        /* the loop of the lane at the point upstream works */
    int32_t identifies;    /* one kind of identity is read upstream, in any lane, and at this lane downstream */
} bf_lane_ends;

bf_match *bf_match_create(int32_t lanes, int32_t points, int32_t most_ways, int32_t counts_only);
void bf_match_free(bf_match *match);
/* A way of one direction between two points: its lanes and their queues, which the caller keeps; `is_main`: from the first
 * point to the booth. *way is its number. */
bf_status bf_match_way(bf_match *match, int32_t from, int32_t to, int32_t is_main, bf_plates *plates, const int32_t *lanes,
                       bf_queue *const *queues, int32_t n, int32_t *way);
/* Takes what is due up to `due_ns`, or everything, as long as it is before `limit_ns`; at most `most` events. */
bf_status bf_match_run(bf_match *match, bf_order *order, int64_t due_ns, int64_t limit_ns, int32_t everything,
                       bf_event *events, int32_t most, bf_run *out);
/* How far lines have come: the newest time of all, when there is the next look at what is due, and by how much lines may be
 * out of order; `used` bytes, `lines` and how many of these were late. */
typedef struct {
    int64_t newest_ns, run_ns, run_every_ns, reorder_ns, limit_ns;
    int32_t used, lines, late;
} bf_pace;
/* The name of a place, as lines have it. */
bf_status bf_match_name(bf_match *match, int32_t place, const uint8_t *lane, int32_t lane_size, const uint8_t *point,
                        int32_t point_size);
/* Lines of a file from `pace->used` on, put into the order and taken from it as bf_match_run does, up to a line that is not a
 * plain one: a tag, a plate or a loop at a place of a name, not far from the newest time. */
bf_status bf_match_lines(bf_match *match, bf_order *order, const uint8_t *data, int32_t size, bf_pace *pace,
                         bf_event *events, int32_t most, bf_run *out);
/* Nothing more will be read of vehicles at `time_ns` less the time within which sightings belong together. */
bf_status bf_match_settle(bf_match *match, int64_t time_ns, bf_event *events, int32_t most, bf_run *out);
bf_status bf_match_look(const bf_match *match, int32_t way, int32_t lane, bf_lane_ends *out);
/* All that were seen in the lane upstream have gone. */
bf_status bf_match_empty(bf_match *match, int32_t way, int32_t lane);
/* Of those before the next one that is seen upstream, this share was seen. */
bf_status bf_match_came_unseen(bf_match *match, int32_t way, int32_t lane, double share);
void bf_match_counters(const bf_match *match, int64_t *counters);

/* The queue of one lane between two points. */

typedef struct {
    int64_t pos;         /* the most probable passage upstream, -1: none of those listed */
    double p;            /* its posterior probability; with pos -1: that it is one that `elsewhere` stands for */
    double wait_s;       /* since that passage */
    double mean_s;       /* posterior mean and deviation of the time since the passage, over those listed */
    double sd_s;
    double p_unlisted;   /* a vehicle that was not seen upstream */
    double p_phantom;    /* no vehicle: counted twice downstream */
    double p_elsewhere;
    double p_busy;       /* a vehicle was waiting when the booth became free */
    int32_t in_order;    /* it was the next one, or those before it had left */
} bf_departure;

typedef struct {
    double p10_s, p50_s, p90_s;  /* of the wait of a vehicle that enters now */
    double mean_s;
    double queue_n, queue_sd_n;  /* vehicles between the points */
    double free_flow_s;          /* median travel time without a queue */
    double free_flow_low_s;      /* one of ten is faster */
    double cycle_s, cycle_sd_s;  /* from one departure to the next while there is a queue */
    double skip;                 /* share of passages upstream that never depart here */
    double unlisted, phantom;    /* share of departures not seen upstream; counted twice */
    double side_road;            /* share of the departures that joined between the points, 0 where that is not plain */
    double free_flow_n;          /* departures that the free travel time was learned from, fading */
    double entries_since;        /* passages upstream since the last departure */
    int64_t departures;
    int64_t learned_cycles;
} bf_forecast;

/* `capacity` (a power of two, 16..65536) bounds the passages kept. The other numbers are what to think before anything
 * was seen: median and deviation of ln of the free travel time, median booth cycle. Null if one is outside its range. */
bf_queue *bf_queue_create(int32_t capacity, double free_flow_s, double free_flow_sd_ln, double cycle_s);
void bf_queue_free(bf_queue *queue);

/* A vehicle passed the upstream point. `pos` is its number from now on. */
bf_status bf_queue_enter(bf_queue *queue, int64_t t_ns, int64_t *pos);
/* What was read of it upstream: 1 tag, 2 plate, 4 axles; 8, 16, 32: the reader of these was dead; `gone`: it will not
 * depart here any more. */
bf_status bf_queue_mark(bf_queue *queue, int64_t pos, int32_t mask, int32_t gone);
/* Number of open booths, 0 while the lane is closed. */
bf_status bf_queue_booths(bf_queue *queue, double booths);
int32_t bf_queue_is_closed(const bf_queue *queue);
/* The booths serve another program from now on, a number from 0 to 7: its pace is what was learned when they served it
 * before, or not known well. */
bf_status bf_queue_program(bf_queue *queue, int32_t program);
/* Shares of the vehicles that are seen upstream and downstream from now on, above 0: 1 while the counters there work, else
 * those whose identity is read. */
bf_status bf_queue_counts(bf_queue *queue, double upstream, double downstream);
/* Nobody looked for so many seconds: vehicles may have departed unseen, as many as the booths serve in that time. */
bf_status bf_queue_unwatched(bf_queue *queue, double seconds);
/* A vehicle arrived downstream. `llr[i]` is what identities say about the passage `pos[i]`; `mask_llr[m]` (64 of them) what
 * they say about every other passage of which m was read; `elsewhere`: sum of likelihood ratios times priors of
 * passages that are not in this list. */
bf_status bf_queue_depart(bf_queue *queue, int64_t t_ns, const int64_t *pos, const float *llr, int32_t n,
                          const double *mask_llr, double elsewhere, bf_departure *out);
/* `n` (at most 1024) samples of the wait of a vehicle that enters at `t_ns`, sorted. Passages after `t_ns` do not count.
 * With `more_booths` (0 to 100) they are the waits if so many more booths opened at `t_ns`. */
bf_status bf_queue_predict(bf_queue *queue, int64_t t_ns, int32_t n, int32_t more_booths, double *waits_s,
                           bf_forecast *out);

/* The first `n` samples, sorted, of a row of samples, and the weight of all of them together. */
typedef struct {
    int32_t row, n;
    double weight;
} bf_component;
/* `out[i]` is the quantile `q[i]` of a mixture of rows of `stride` samples each. */
bf_status bf_mixture(const double *samples, int32_t stride, const bf_component *parts, int32_t n_parts, const double *q,
                     int32_t n_q, double *out);

/* CFFI-END */
#pragma GCC visibility pop
#endif
