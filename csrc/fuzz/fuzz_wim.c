/* libFuzzer target of the weighing core: the first bytes make a sensor table, the rest a stream of samples, cut into
 * blocks, with gaps and changes of temperature between them. `make fuzz` builds and runs it. */
#include "borderflow_core.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static double number(const uint8_t *p)
{
    int16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8) return 0;
    bf_wim_options options = {0};
    options.rate_hz = data[0] % 4 == 0 ? number(data + 1) : 5000.0;
    options.temperature_c = data[3];
    options.channels = 1 + data[4] % 40;
    options.use_loop = data[5] & 1;
    const size_t sensors = data[6] % 20;
    data += 8;
    size -= 8;
    bf_sensor table[20];
    memset(table, 0, sizeof table);
    for (size_t i = 0; i < sensors; ++i) {
        if (size < 12) return 0;
        table[i].type = data[0] % 8 == 7 ? BF_LOOP : (data[0] % 8 == 6 ? BF_PLATE : data[0] % 8 == 5 ? data[1] : BF_STRIP);
        table[i].channel = data[1] % 41;
        table[i].x_m = number(data + 2) / 1000.0;
        table[i].y0_m = (data[4] & 1) ? 0.0 : 1.75;
        table[i].y1_m = (data[4] & 2) ? 1.75 : 3.5;
        table[i].width_m = data[5] / 100.0;
        table[i].gain_n = number(data + 6) / 100.0;
        table[i].temp_coeff_per_c = data[8] > 250 ? number(data + 8) / 10000.0 : 0.0;
        table[i].coupling_tau_s = data[9] / 50.0;
        table[i].threshold_counts = number(data + 10);
        data += 12;
        size -= 12;
    }
    bf_wim *wim = NULL;
    int32_t fault;
    if (bf_wim_create(&options, table, sensors, &wim, &fault) != BF_OK) return 0;
    /* The bytes draw pulses rather than samples, so that whole vehicles come out of short inputs. */
    static int16_t scans[4096 * 40];
    const size_t channels = (size_t)options.channels;
    int16_t level[40] = {0};
    bf_vehicle vehicle;
    bf_channel_health health;
    while (size >= 4) {
        const uint8_t op = data[0];
        const size_t count = 1 + (size_t)data[1] * (op & 8 ? 16 : 1);
        const size_t channel = data[2] % channels;
        const int16_t value = (int16_t)(data[3] * (op & 16 ? 128 : 16) * (op & 32 ? -1 : 1));
        data += 4;
        size -= 4;
        if (op % 64 == 63) {
            bf_wim_gap(wim, (uint64_t)count << (op / 64 * 8));
            continue;
        }
        if (op % 64 == 62) {
            bf_wim_set_temperature(wim, value);
            continue;
        }
        for (size_t i = 0; i < count; ++i)
            for (size_t c = 0; c < channels; ++c) {
                int v = level[c] + (int)((i * 7 + c * 13) % 5);
                if (c == channel || (op & 64)) v += (int)((double)value * (op & 128 ? 1.0 : 1.0 - (double)i / (double)count));
                scans[i * channels + c] = (int16_t)(v > 32767 ? 32767 : (v < -32768 ? -32768 : v));
            }
        if ((op & 128) && count > 200) level[channel] = value;
        size_t done = 0;
        while (done < count) {
            size_t used;
            if (bf_wim_push(wim, scans + done * channels, count - done, &used) != BF_OK) break;
            done += used;
            while (bf_wim_next(wim, &vehicle)) {}
        }
        bf_wim_health(wim, channel, &health);
        (void)bf_wim_open_since(wim);
    }
    bf_wim_finish(wim);
    while (bf_wim_next(wim, &vehicle)) {}
    bf_wim_destroy(wim);
    return 0;
}
