-- view: reads the state of the cluster, also for callers that are no members. Changes nothing.
--
-- ARGV: 1 epoch of the view, 2 version of the view, 3 how many rows, 4 how many beats, 5 floor of the view
-- Returns: [now, numbers, leader, delta, beats, members alive]
-- Atomic, because rows, leader and numbers must belong to one moment.
load_meta()
return { int(now), numbers_reply(), leader_reply(read_leader()), delta_reply(tonumber(ARGV[2]), tonumber(ARGV[5]), ARGV[1], tonumber(ARGV[3])),
  beats_reply(tonumber(ARGV[4])), call('ZCARD', BEATS) }
