"""Every code that an `alarm` can have: what it means for the data, and where the person on call begins.

Read by edge/alarms, which takes no other code, and by edge/contract/: the table in docs/messages.md is made of it.
The `text` of an alarm says where it is; this says it for those who write programs, shifts' handbooks and dashboards.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Meaning(NamedTuple):
    data: str  # what the data of this lane or computer is worth while it lasts
    first: str  # what to look at first


ALARM_CODES: Final[dict[str, Meaning]] = {
    "device_down": Meaning(
        "nothing of this device; waits go on with what is left, `method` and the interval say so",
        "its power, cable and address; it is tried again for ever",
    ),
    "device_silent": Meaning("as `device_down`: connected, and says nothing", "whether it was restarted or hangs"),
    "sensor_fault": Meaning(
        "vehicles are weighed with the other lines, sigma is wider, `sensor_fault` is in their flags",
        "the channel that the text names: cable, connector, amplifier",
    ),
    "channels_swapped": Meaning(
        "shares of left and right are wrong", "the two cables of the line, or the configuration"
    ),
    "line_drift": Meaning("still small: the line is a few per cent off its neighbours", "the pavement at this line"),
    "calibration_proposed": Meaning(
        "steering axles say that the scale strays; nothing was changed", "`borderflow calibrate --steering`"
    ),
    "loop_chatter": Meaning("the loop is not counted", "its cable, its neighbours, the detector's sensitivity"),
    "loop_stuck": Meaning(
        "the loop is not counted; an array's vehicles are cut by their gaps", "resetting the detector; the loop itself"
    ),
    "reader_silent": Meaning("few or no waits by this reader", "its antenna or camera, aim, illumination"),
    "identity_stuck": Meaning("reads of that identity are not used", "a tag lying in the field; the reader's memory"),
    "identity_twice": Meaning("vehicles may be counted in the wrong lane", "power and direction of the antennas"),
    "reads_doubtful": Meaning("more plates with errors; fewer and less certain matches", "dirt, focus, light"),
    "reader_time": Meaning("passages may be told late by that much", "what stands between reader and computer"),
    "reader_hot": Meaning("fewer tags are read", "ventilation, and how much of the time it transmits"),
    "antenna_fault": Meaning("few or no tags are read by that antenna", "antenna, cable and plugs"),
    "scale_overloaded": Meaning("loads of that moment are too low", "what stands on the scale; load cells and cable"),
    "scale_fault": Meaning("loads of that scale are wrong", "load cells, cable, the instrument's display"),
    "frames_rejected": Meaning(
        "what was in those frames is lost",
        "on a serial line baud rate, wiring and shielding; on the network the format in which the device sends",
    ),
    "channels_missing": Meaning(
        "nothing is weighed in this lane", "`channel` of the sensors and the device's list of channels"
    ),
    "samples_lost": Meaning("vehicles over the array at that moment are weighed in part", "network to the digitiser"),
    "sample_rate": Meaning(
        "speeds and loads are off by the same share: vehicles are flagged `sensor_fault`, above 2 % they are held back",
        "`sample_rate_hz`, then the digitiser",
    ),
    "clock_unsynchronised": Meaning("times are the computer's own; waits across computers suffer", "`chronyc sources`"),
    "clock_stepped": Meaning("waits and flow began anew at that moment", "why the clock leapt"),
    "waits_anew": Meaning(
        "what was kept of the last hours could not be used; expected waits are null until the queues are known again",
        "the disk, where nobody changed lanes, points or the key",
    ),
    "upgrade_undone": Meaning(
        "in order: the version before the upgrade makes it",
        "what the text says; then `/usr/lib/borderflow/upgrade retry`",
    ),
    "gps_lost": Meaning("time is kept by what is left", "the antenna and its cable"),
    "collector_unreachable": Meaning("nothing is lost: the journal keeps it", "network, then the collector"),
    "collector_certificate": Meaning("nothing is lost: the journal keeps it", "expiry and trust of the certificates"),
    "collector_configuration": Meaning("nothing is lost: the journal keeps it", "the collector's table and its files"),
    "collector_refused": Meaning("nothing is lost: the journal keeps it", "users and rights at the broker"),
    "collector_refuses_message": Meaning("that kind waits and is tried again; others go on", "rights of the topic"),
    "collector_size": Meaning("that kind waits; it goes once a connection takes its size", "the broker's limit"),
    "collector_quota": Meaning("nothing is lost; sending is slowed", "the broker's quota"),
    "collector_protocol": Meaning("nothing is lost: the journal keeps it", "`protocol`, and what listens there"),
    "collector_unheard": Meaning(
        "nothing is lost: what is acknowledged and not heard waits in the journal",
        "the rights to write, and to read status",
    ),
    "collector_no_reader": Meaning(
        "the broker forgets what it takes; it can be asked for again", "who should read at that broker"
    ),
    "collector_no_replay": Meaning(
        "what the collector misses cannot be asked for", "the right to read the topic that the text names"
    ),
    "duplicate_identity": Meaning("sending waits, so that the two do not throw each other off", "the other computer"),
    "journal_refused": Meaning(
        "messages wait in memory; a long refusal loses the oldest", "the disk: full, read-only, dying"
    ),
    "journal_corrupt": Meaning("a new epoch began; what could be read is delivered", "the disk, before it dies"),
    "journal_shortened": Meaning("a new epoch began; the end of the journal was lost", "the disk and its write cache"),
    "journal_dropped": Meaning(
        "explains a gap: `gap` says which messages are gone", "the collector that was away so long"
    ),
    "journal_damaged": Meaning(
        "explains a gap: `gap` says which messages were changed on the disk, and are not sent",
        "the disk, before it dies",
    ),
    "journal_set_aside": Meaning(
        "a new epoch began: the journal is of a newer borderflow, and what it held waits in a file",
        "which version is meant to run here",
    ),
    "identifiers_disclosed": Meaning(
        "no fault: plates and tags go to an authority, sealed", "whether that is intended"
    ),
    "site_exchange_down": Meaning("waits across computers of the crossing pause", "the broker of the site"),
    "site_exchange_refused": Meaning(
        "waits across computers of the crossing pause", "rights at the broker of the site"
    ),
    "site_exchange_unheard": Meaning("nobody matches what is sent", 'the computer with `role = "match"`'),
    "site_exchange_foreign": Meaning(
        "what a computer sends cannot be opened", "whether all share one key file and clock"
    ),
}
