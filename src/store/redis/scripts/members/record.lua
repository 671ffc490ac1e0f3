-- record: heartbeats that no tick brings, those of a process that beats once and ends.
--
-- ARGV: what keep_samples takes (see shared/samples.lua)
-- Returns: [the first error, or '']
-- Atomic, because a sample and the end of its stream's life belong together.
return { keep_samples() or '' }
