-- What was given up and comes all the same is found by its topic.
CREATE INDEX gap_lost ON gap (topic) WHERE state = 'lost';
