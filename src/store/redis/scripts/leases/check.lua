-- check: whether a token holds its lease. Changes nothing.
--
-- ARGV: 1 name, 2 token
-- Returns: [now, valid (1|0)]
-- Atomic, because record and time must be of one moment. During a stall, time stands still as with the stall guard.
local name, token = ARGV[1], ARGV[2]
load_meta()
local record = read_record(name)
local silence = now - meta.last_tick
local stalled = silence < 0 or (meta.ttl > 0 and silence > meta.ttl / 2)
local time = stalled and meta.last_tick - meta.skew or cluster_now()
local valid = record and record.holder ~= '' and record.term == token and time <= record.expires
return { int(now), valid and 1 or 0 }
