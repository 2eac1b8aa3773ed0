#include "confusion.h"

#include <string.h>

/* Characters that readers take for one another. */
static const char *const ALIKE[] = {"0ODQ", "1I7LT", "8B3", "5S", "2Z7", "6G", "4A", "CG", "UV", "VY", "MNH", "EF", "KX",
                                    "PR", "WM", "XY", "9P"};
static const double BELIEF = 400.0;  /* what was thought before counts as so many readings of each character */
static const double MEMORY = 8000.0; /* readings of one character that are kept; the older fade */

static int code(char c)
{
    return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* The characters like `t`: their number, and a mark for each. */
static int look_alikes(int t, bool alike[36])
{
    int n = 0;
    for (size_t g = 0; g < sizeof ALIKE / sizeof ALIKE[0]; g++) {
        bool member = false;
        for (const char *p = ALIKE[g]; *p; p++) {
            member = member || code(*p) == t;
        }
        for (const char *p = ALIKE[g]; member && *p; p++) {
            int s = code(*p);
            if (s != t && !alike[s]) {
                alike[s] = true;
                n++;
            }
        }
    }
    return n;
}

void confusion_init(reader_confusion *r, double error)
{
    memset(r, 0, sizeof *r);
    r->error = error;
}

bool confusion_told(reader_confusion *r, int truly, int read, double share)
{
    double sum = share;
    for (int s = 0; s < 36; s++) {
        sum += s == read ? 0.0 : (double)r->told[truly][s];
    }
    if (sum > 1.0 + 1e-9) {
        return false;
    }
    r->told[truly][read] = (float)share;
    return true;
}

static void count(reader_confusion *r, int truly, int read, double weight)
{
    double total = 0.0;
    for (int s = 0; s < 36; s++) {
        total += r->count[truly][s];
    }
    if (total > MEMORY) {
        for (int s = 0; s < 36; s++) {
            r->count[truly][s] *= 0.5;
        }
    }
    r->count[truly][read] += weight;
}

void confusion_learn(reader_confusion *up, reader_confusion *down, int a, int b)
{
    if (a == b) {
        count(up, a, a, 1.0);
        count(down, a, a, 1.0);
        return;
    }
    count(up, b, a, 0.5); /* either it was b and the first reader erred, or it was a and the second did */
    count(up, a, a, 0.5);
    count(down, a, b, 0.5);
    count(down, b, b, 0.5);
}

void confusion_chances(const reader_confusion *r, double chance[36][36])
{
    for (int t = 0; t < 36; t++) {
        bool alike[36] = {false};
        int n = look_alikes(t, alike);
        double told = 0.0, seen = 0.0;
        for (int s = 0; s < 36; s++) {
            told += (double)r->told[t][s];
            seen += r->count[t][s];
        }
        /* Of what the configuration leaves open half goes to look-alikes, the rest anywhere: no table knows every
         * reader; and of what it does not leave open a little too, for the same reason. */
        double open = r->error * (1.0 - 0.95 * told);
        double near = n ? 0.5 * open / n : 0.0, far = (open - near * n) / 35.0;
        for (int s = 0; s < 36; s++) {
            double before = s == t ? 1.0 - r->error
                                   : far + (alike[s] ? near : 0.0) + 0.95 * r->error * (double)r->told[t][s];
            chance[t][s] = (BELIEF * before + r->count[t][s]) / (BELIEF + seen);
        }
    }
}

double confusion_seen(const reader_confusion *r)
{
    double seen = 0.0;
    for (int t = 0; t < 36; t++) {
        for (int s = 0; s < 36; s++) {
            seen += r->count[t][s];
        }
    }
    return seen;
}
