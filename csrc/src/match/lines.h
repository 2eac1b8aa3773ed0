/* Plain lines of a file of sightings. */
#ifndef BF_LINES_OF_FILE_H
#define BF_LINES_OF_FILE_H

#include "order.h"

typedef struct {
    int64_t time_ns;
    uint64_t where;     /* place_number */
    const uint8_t *id;
    int32_t id_size, kind;
} plain_line;

/* How many bytes the first line takes with its end; 0 where it is not a plain one. */
int32_t line_read(const uint8_t *data, int32_t size, plain_line *line);

#endif
