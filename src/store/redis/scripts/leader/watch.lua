-- watch: checks whether the leader's process is alive. Changes nothing.
--
-- ARGV: none
-- Returns: [now, epoch, leader, same server (1|0), subscribers of the leader channel]
-- Atomic, because term, nonce and subscription must be seen in one moment.
load_meta()
local leader = read_leader()
local same = leader and leader.run_id == run_id() and 1 or 0
return { int(now), meta.epoch, leader_reply(leader), same, subscribers(PREFIX .. 'leader') }
