-- register: stores which connection proves that the caller is alive.
--
-- ARGV: 1 node id, 2 incarnation, 3 presence nonce, 4 term held (0: none)
-- Returns: [status, now, registered (1|0), registered as leader (1|0)]
-- Atomic, because the connection must be subscribed on the server that stores it: the channel's name is a fresh random
-- nonce, so its subscriber is the caller's connection to this server, not to a demoted or outdated one.
local id, incarnation, nonce, term = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
make_way()
load_meta()
local status = identify(id, incarnation, '')
local registered, leads = 0, 0
if status == 'ok' and subscribers(presence_channel(nonce)) > 0 then
  local server = run_id()
  registered = 1
  call('HSET', PRESENCE, id, nonce .. ' ' .. server)
  is_known(nonce)
  local leader = term ~= '0' and read_leader() or nil
  if leader and leader.holder == id and leader.incarnation == incarnation and leader.term == term
    and leader.run_id == server and subscribers(PREFIX .. 'leader') > 0 then
    call('HMSET', LEADER, 'presence', nonce, 'run_id', server)
    leads = 1
  end
end
return { status, int(now), registered, leads }
