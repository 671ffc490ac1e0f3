-- record: stores heartbeats that no tick carries: those of a process that sends one and ends.
--
-- ARGV: as keep_samples takes them from 1 on (see shared/samples.lua): 1 window (ms), 2 most entries, then node id, entry id and text
--   of each sample
-- Returns: [the first error, or '']
-- Atomic, because a sample and the expiry of its stream must be written together.
return { keep_samples(1) or '' }
