"""The simulated crossing itself: a scenario in, events, raw samples and the truth of both out; knows no device."""
