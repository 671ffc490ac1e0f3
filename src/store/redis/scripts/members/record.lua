-- record: stores heartbeats that no tick carries: those of a process that sends one and ends.
--
-- ARGV: what keep_samples takes (see shared/samples.lua)
-- Returns: [the first error, or '']
-- Atomic, because a sample and the expiry of its stream must be written together.
return { keep_samples() or '' }
