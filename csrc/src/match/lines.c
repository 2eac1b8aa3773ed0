/* Plain lines of a file of sightings: the bytes of lines in, sightings in their order out.
 *
 * A file holds as many lines as a day has sightings, and nearly all of them look alike: an object of JSON with the keys of a
 * tag, a plate or a loop, short ASCII strings without escapes, a time in UTC. These are read here; at anything else this stops,
 * and the line is left to the one who reads all that is allowed and says what is wrong (edge/waiting/sightings.py). So what
 * a line means is decided there alone: one that is read here gives what it would have given there, which a test proves.
 * Called by match.c.
 */
#include "lines.h"

#include <string.h>

#define MOST_ID 64
#define FIRST_YEAR 1970
#define LAST_YEAR 2199

enum { KEY_TIME, KEY_LANE, KEY_POINT, KEY_MEDIUM, KEY_ID, KEY_CONFIDENCE, KEYS };

typedef struct {
    const char *text;
    int32_t size;
} word;

static const word KEY[KEYS] = {{"time", 4}, {"lane", 4}, {"point", 5}, {"medium", 6}, {"id", 2}, {"confidence", 10}};

static bool is(word w, const char *text, int32_t size)
{
    return w.size == size && memcmp(w.text, text, (size_t)size) == 0;
}

static bool digits(const char *text, int n, int32_t *value)
{
    *value = 0;
    for (int i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        *value = 10 * *value + (text[i] - '0');
    }
    return true;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar. */
static int64_t days_to(int32_t year, int32_t month, int32_t day)
{
    static const int before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int32_t full = month > 2 ? year : year - 1; /* years whose 29 February may lie before */
    int32_t leaps = full / 4 - full / 100 + full / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
    return (int64_t)(year - 1970) * 365 + leaps + before[month - 1] + day - 1;
}

static int32_t days_of(int32_t year, int32_t month)
{
    static const int8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* The numbers of a time, as they stand in its text. */
typedef struct {
    int32_t year, month, day, hour, minute, second, part;
} moment;

/* 2026-11-24T05:22:17.123456Z, with no digit or up to six behind the point. */
static bool fields(word w, moment *m)
{
    static const char MARKS[] = "____-__-__T__:__:__";
    const char *t = w.text;
    int32_t n = w.size - 21; /* digits of the part */
    m->part = 0;
    if (w.size < 20 || t[w.size - 1] != 'Z') {
        return false;
    }
    for (size_t i = 0; i + 1 < sizeof MARKS; i++) {
        if (MARKS[i] != '_' && t[i] != MARKS[i]) {
            return false;
        }
    }
    if (w.size > 20 && (t[19] != '.' || n < 1 || n > 6 || !digits(t + 20, n, &m->part))) {
        return false;
    }
    for (n = n < 0 ? 0 : n; n < 6; n++) {
        m->part *= 10;
    }
    return digits(t, 4, &m->year) && digits(t + 5, 2, &m->month) && digits(t + 8, 2, &m->day) && digits(t + 11, 2, &m->hour) &&
           digits(t + 14, 2, &m->minute) && digits(t + 17, 2, &m->second);
}

static bool in_calendar(const moment *m)
{
    return m->year >= FIRST_YEAR && m->year <= LAST_YEAR && m->month >= 1 && m->month <= 12 && m->day >= 1 &&
           m->day <= days_of(m->year, m->month) && m->hour <= 23 && m->minute <= 59 && m->second <= 59;
}

static bool utc(word w, int64_t *time_ns)
{
    moment m;
    if (!fields(w, &m) || !in_calendar(&m)) {
        return false;
    }
    int64_t seconds = ((days_to(m.year, m.month, m.day) * 24 + m.hour) * 60 + m.minute) * 60 + m.second;
    *time_ns = (seconds * 1000000 + m.part) * 1000;
    return true;
}

/* What is read, and how far. */
typedef struct {
    const char *at, *end;
} cursor;

static void blanks(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t')) {
        c->at++;
    }
}

static bool next(cursor *c, char wanted)
{
    blanks(c);
    if (c->at < c->end && *c->at == wanted) {
        c->at++;
        return true;
    }
    return false;
}

/* A string of printable ASCII without escapes. */
static bool string(cursor *c, word *w)
{
    if (!next(c, '"')) {
        return false;
    }
    w->text = c->at;
    while (c->at < c->end && *c->at >= ' ' && *c->at < 127 && *c->at != '"' && *c->at != '\\') {
        c->at++;
    }
    w->size = (int32_t)(c->at - w->text);
    return c->at < c->end && *c->at++ == '"';
}

/* A number between 0 and 9.99…: no sign, no exponent. */
static bool share(cursor *c)
{
    blanks(c);
    if (c->at >= c->end || *c->at < '0' || *c->at > '9') {
        return false;
    }
    c->at++;
    if (c->at < c->end && *c->at == '.') {
        const char *from = ++c->at;
        while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
            c->at++;
        }
        return c->at > from && c->at - from < 20;
    }
    return true;
}

/* The values of an object by their keys; false where it is no plain one. */
static bool object(cursor *c, word value[KEYS], bool given[KEYS])
{
    if (!next(c, '{')) {
        return false;
    }
    do {
        word name;
        int key = 0;
        if (!string(c, &name) || !next(c, ':')) {
            return false;
        }
        while (key < KEYS && !is(name, KEY[key].text, KEY[key].size)) {
            key++;
        }
        if (key == KEYS || given[key] || !(key == KEY_CONFIDENCE ? share(c) : string(c, &value[key]))) {
            return false;
        }
        given[key] = true;
    } while (next(c, ','));
    if (!next(c, '}')) {
        return false;
    }
    blanks(c);
    c->at += c->at < c->end && *c->at == '\r';
    return c->at == c->end;
}

int32_t line_read(const uint8_t *data, int32_t size, plain_line *line)
{
    const uint8_t *newline = memchr(data, '\n', (size_t)size);
    int32_t taken = newline != NULL ? (int32_t)(newline - data) + 1 : size;
    cursor c = {(const char *)data, (const char *)data + taken - (newline != NULL)};
    word value[KEYS] = {{0}};
    bool given[KEYS] = {false};
    if (!object(&c, value, given) || !given[KEY_TIME] || !given[KEY_LANE] || !given[KEY_POINT] || !given[KEY_MEDIUM] ||
        !utc(value[KEY_TIME], &line->time_ns)) {
        return 0;
    }
    word id = value[KEY_ID];
    if (is(value[KEY_MEDIUM], "loop", 4)) {
        line->kind = BF_SEEN_LOOP;
        id.size = 0;
    } else {
        if (is(value[KEY_MEDIUM], "rfid", 4)) {
            line->kind = BF_SEEN_TAG;
        } else if (is(value[KEY_MEDIUM], "plate", 5)) {
            line->kind = BF_SEEN_PLATE;
        } else {
            return 0;
        }
        if (id.size < 1 || id.size > MOST_ID || id.text[0] == ' ' || id.text[id.size - 1] == ' ') {
            return 0;
        }
    }
    line->id = (const uint8_t *)id.text;
    line->id_size = id.size;
    line->where = place_number((const uint8_t *)value[KEY_LANE].text, value[KEY_LANE].size,
                               (const uint8_t *)value[KEY_POINT].text, value[KEY_POINT].size);
    return taken;
}
