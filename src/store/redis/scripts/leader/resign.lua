-- resign: the leader gives up a term and stays a member.
--
-- ARGV: node id, incarnation, term
-- Returns: [status, now, resigned (1|0)]
-- Atomic, because only the holder of exactly this term may vacate it.
local id, incarnation, term = ARGV.node_id, ARGV.incarnation, ARGV.term
make_way()
load_meta()
guard_stall()
local status = identify(id, incarnation, '')
local leader = read_leader()
local resigned = 0
if leader and leader.holder == id and leader.incarnation == incarnation and leader.term == term then
  vacate_leader(leader, leader.handing_to ~= '' and 'handover' or 'resigned')
  resigned = 1
end
return { status, int(now), resigned }
