-- hand_over: asks the leader to make room for a candidate. The term changes only once the old leader has stopped.
--
-- ARGV: candidate's node id
-- Returns: [status, now, leader]; status 'asked', 'same' (it leads already), 'vacant' (there is none to ask; a record is
--   marked all the same), 'unknown' (no live member), 'barred' (it does not stand for leader, takes
--   no new work, or no process of it runs that could take over now)
-- Atomic, because the candidate must be alive when the mark is set.
local candidate = ARGV.candidate
make_way()
load_meta()
local row = read_row(candidate)
local leader = read_leader()
local status = 'asked'
if not row or not is_live(row) then
  status = 'unknown'
elseif row.c ~= '1' or row.k == 'none' or is_draining(row) then
  status = 'barred'
elseif not leader then
  status = 'vacant'
elseif leader.holder == candidate and leader.incarnation == row.i then
  status = 'same'
  call('HSET', LEADER, 'handing_to', '')
  leader.handing_to = ''
else
  if leader.holder == '' then
    status = 'vacant'
  end
  call('HSET', LEADER, 'handing_to', candidate)
  leader.handing_to = candidate
  call('PUBLISH', PREFIX .. 'all', 'handover')
end
return { status, int(now), leader_reply(leader) }
