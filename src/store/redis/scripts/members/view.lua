-- view: reads the state of the cluster, also for callers that are no members. Changes nothing.
--
-- ARGV: epoch of the view, version of the view, how many rows, how many beats, floor of the view
-- Returns: [now, numbers, leader, delta, beats, members alive]
-- Atomic, because rows, leader and numbers must belong to one moment.
load_meta()
return { int(now), numbers_reply(), leader_reply(read_leader()), delta_reply(tonumber(ARGV.version), tonumber(ARGV.floor), ARGV.epoch, tonumber(ARGV.rows)),
  beats_reply(tonumber(ARGV.beats)), call('ZCARD', BEATS) }
