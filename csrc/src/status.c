/* Texts of the status codes. */
#include "borderflow_core.h"

const char *bf_strerror(bf_status status)
{
    switch (status) {
    case BF_OK: return "ok";
    case BF_ERR_ARGUMENT: return "a pointer is null or a number is outside its range";
    case BF_ERR_SENSORS: return "the sensor table cannot work";
    case BF_ERR_MEMORY: return "no memory";
    }
    return "unknown status";
}
