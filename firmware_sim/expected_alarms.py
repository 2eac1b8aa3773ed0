"""What a daemon should make of each fault, as codes of alarms: data for `reconcile.py`.

Any one of the codes says that the fault was seen. A fault without one does no harm that shows: the driver copes,
or what comes is like what a sound device sends.
"""

from __future__ import annotations

EXPECTED: dict[str, tuple[str, ...]] = {
    # wires
    "unplugged": ("device_down",),
    "half_open": ("device_down", "device_silent"),
    "silent": ("device_silent", "device_down"),
    "rx_dead": ("device_silent", "device_down"),
    "tx_dead": ("reader_silent", "device_silent", "device_down", "frames_rejected"),
    "slow": ("device_down", "reader_time", "frames_rejected"),
    "reboot": ("device_silent", "device_down"),
    "fragmented": (),
    "merged_frames": ("reader_time", "frames_rejected"),
    "wrong_baud": ("frames_rejected", "device_silent"),
    "bit_flips": ("frames_rejected", "device_silent", "device_down"),
    "garbage": ("frames_rejected",),
    "cut_frames": ("frames_rejected",),
    "lost_frames": ("frames_rejected", "samples_lost", "reader_silent"),
    "doubled_frames": ("frames_rejected",),
    "duplicate_tag": ("identity_twice",),
    # sensors
    "dead_channel": ("sensor_fault",),
    "reversed_channel": ("sensor_fault",),
    "saturated_channel": ("sensor_fault",),
    "noisy_channel": ("sensor_fault",),
    "swapped_channels": ("channels_swapped",),
    "loop_stuck_on": ("loop_stuck",),
    "loop_stuck_off": ("loop_stuck",),
    "loop_chatter": ("loop_chatter",),
    "misread": ("reads_doubtful",),
    "missed_reads": ("reader_silent",),
    # devices
    "overrun": ("samples_lost", "device_silent"),
    "skip_packets": ("samples_lost",),
    "lost_bytes": ("device_down",),
    "scan_overlap": ("device_down",),
    "stream_reset": ("device_down",),
    "clock_drift": ("sample_rate",),
    "clock_step": ("reader_time", "clock_unsynchronised"),
    "exception": ("device_down",),
    "wrong_word_order": ("frames_rejected",),
    "stuck_tag": ("identity_stuck",),
    "stuck_plate": ("identity_stuck",),
    "phantom_tag": (),
    "bad_crc": ("frames_rejected",),
    "no_fix": ("gps_lost",),
    "no_pps": (),
    "sensor_defect": ("scale_fault",),
    "eeprom_failure": ("scale_fault",),
    "load_cell_error": ("scale_fault",),
    "adc_overflow": ("scale_overloaded",),
    "over_range": ("scale_overloaded",),
    "lost_stop": (),
    "too_hot": ("reader_hot",),
    "return_loss": ("antenna_fault",),
    "antenna_lost": ("antenna_fault",),
    "unknown_plates": ("reader_silent",),
}
