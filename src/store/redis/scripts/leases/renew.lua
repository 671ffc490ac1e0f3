-- renew: extends a lease, and binds it to the holder's present connection.
--
-- ARGV: 1 name, 2 token, 3 ttl (ms) or '' (as before), 4 nonce of this renewal, 5 the caller's node id, 6 its incarnation, 7 its
--   presence or '', 8 holds the lease at this instant by its own clock (1|0), 9 grace that it follows from this renewal on (ms),
--   10 ticket that it was granted by or '', 11 when it asks, by its own clock (ms)
-- Returns: [now, outcome ('renewed' | 'stale' | 'no presence'), expires at (server time), grace of the cluster or 0]
-- Atomic, because the token must still hold the lease when it is extended. A lease that a presence holds is extended only while that
-- connection is subscribed here. It is confirmed on another server process, or rewritten after a loss of data, only by a holder
-- that holds it at this instant by its own clock: then it cannot have been granted to another caller (shared/leases.lua).
local name, token, nonce, id, incarnation, presence = ARGV[1], ARGV[2], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local ticket, holds = ARGV[10] or '', ARGV[8] == '1' and presence ~= ''
make_way()
if holds then
  open(token, '0', '0', nonce)
else
  load_meta()
end
guard_stall()
local record = read_record(name)
local function answer(outcome)
  return { int(now), outcome, int(record and record.expires + meta.skew or 0), whole(meta.grace) }
end

if name == 'leader' then
  -- Its holder renews it with each heartbeat.
  local leads = record and record.holder == id and record.incarnation == incarnation and presence == ''
  return answer(leads and record.term == token and 'renewed' or 'stale')
end
local lost = not record and holds and ARGV[3] ~= '' and tonumber(token) < meta.token
local mine = record and record.holder ~= '' and record.term == token and is_own(record, id, incarnation, presence, ticket)
if not lost and not mine then
  return answer('stale')
end
if lost or record.presence ~= '' then
  local elsewhere = not lost and record.run_id ~= run_id()
  if not holds and (elsewhere or cluster_now() > record.expires) then
    return answer('stale')
  elseif presence == '' or subscribers(presence_channel(presence)) == 0 then
    return answer('no presence')
  elseif lost then
    record = { name = name, holder = id, incarnation = incarnation, term = token, previous = '', ticket = ticket, grace = 0,
      ttl = 0, mode = '' }
  end
  record.run_id, record.presence = run_id(), presence
  state(record, tonumber(ARGV[9]), record.ttl, 'exclusive', tonumber(ARGV[11]))
elseif cluster_now() > record.expires then
  return answer('stale')
end
if ARGV[3] ~= '' then
  record.ttl = tonumber(ARGV[3])
end
record.expires, record.nonce = cluster_now() + record.ttl, nonce
if lost then
  grant_lease(record)
else
  call('HMSET', lease_key(name), 'expires', int(record.expires), 'nonce', nonce, 'ttl', int(record.ttl), 'run_id', record.run_id,
    'presence', record.presence, 'grace', int(record.grace), 'mode', record.mode)
  note_ttl(record)
  call('ZADD', LEASES, int(ends_at(record) + 1), name)
end
if presence ~= '' and record.presence == presence then
  is_known(presence)
end
return answer('renewed')
