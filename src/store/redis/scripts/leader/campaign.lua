-- campaign: asks for the leadership under one of the rules that allow it.
--
-- ARGV: 1 node id, 2 incarnation, 3 rule, 4 term seen, 5 nonce seen, 6 nonce of this grant, 7 own presence nonce, 8 what the
--   caller will follow ("<grace> <lease> <mode> <stated at>"), 9 known token, 10 for how long the caller has seen what its rule says (ms)
--   rules: vacant        the record is vacant, and was granted or confirmed on this very server
--          expired       the record's lease is over, and the caller saw this (term, nonce) for one lease on its own clock
--          presence      the holder's registered presence (nonce 5) has been gone for the grace on the caller's clock
--          restarted     the server process that granted or confirmed the record is gone, and the caller saw this (term,
--                        nonce) for the grace on a later one
--          fenced        as presence, before the grace is over: it costs the leadership, not the membership
--          absent        no record, and the leader channel was seen without subscribers for the grace
--          absent_lease  no record for one lease on the caller's clock
--   Grace, lease and mode are what the record's holder promised (shared/leases.lua). If the record is lost or may be outdated,
--   they are the longest that the record, the data set and the caller know.
-- Returns: [status, now, granted (1|0), term, why refused, leader, token]
-- Atomic, because the conditions of the grant must still hold when the term is granted. `token` is the term counter.
local id, incarnation, rule, seen_term, seen_nonce = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local nonce, presence, seen = ARGV[6], ARGV[7], tonumber(ARGV[10])
local grace, lease, mode, at = string.match(ARGV[8], '^(%d+) (%d+) (%a+) (%d+)$')
grace, lease, at = tonumber(grace), tonumber(lease), tonumber(at)
make_way()
load_meta()
local stale = tonumber(ARGV[9]) > meta.token
guard_stall()
local status, row = identify(id, incarnation, '')
local leader = read_leader()
local why = ''
local reason = 'vacant'

local function refused()
  return { status, int(now), 0, '0', why, leader_reply(leader), int(meta.token) }
end

if status ~= 'ok' then
  why = status
elseif stale then
  -- The caller has seen higher terms than this data set: a stale copy. Its next tick lifts the counter.
  why = 'stale data'
elseif is_draining(row) then
  why = 'draining'
end
if why ~= '' then
  return refused()
end

local server = run_id()
local longest_grace = math.max(meta.grace, grace, leader and leader.grace or 0)
local longest_lease = math.max(meta.lease, lease, leader and leader.ttl or 0)
local promised = leader and stated(leader)
if rule == 'absent' or rule == 'absent_lease' then
  if leader then
    why = 'there is a record'
  elseif rule == 'absent' then
    if is_promoted() then
      why = 'a promoted replica knows nothing of subscribers'
    elseif subscribers(PREFIX .. 'leader') > 0 then
      why = 'a leader may live'
    end
  end
  if why == '' and not covers(seen, rule == 'absent' and longest_grace or longest_lease) then
    why = 'seen too briefly'
  end
elseif not leader then
  why = 'no record'
elseif leader.term ~= seen_term then
  why = 'another term'
elseif rule == 'vacant' then
  reason = leader.lost ~= '' and leader.lost or 'vacant'
  if leader.holder ~= '' then
    why = 'not vacant'
  elseif leader.run_id ~= server then
    why = 'granted on another server'
  elseif leader.handing_to ~= '' and leader.handing_to ~= id and cluster_now() - leader.vacated < longest_grace then
    why = 'kept for another candidate'
  end
elseif rule == 'expired' then
  reason = leader.holder == '' and leader.lost or 'expired'
  if leader.nonce ~= seen_nonce then
    why = 'renewed'
  elseif leader.holder ~= '' and leader.expires >= cluster_now() then
    why = 'not expired'
  elseif not covers(seen, promised and leader.run_id == server and leader.ttl or longest_lease) then
    why = 'seen too briefly'
  end
elseif rule == 'restarted' then
  -- All connections broke with that process, so any leader stopped within the grace, or confirmed the record here.
  reason = leader.holder == '' and leader.lost or 'expired'
  if leader.nonce ~= seen_nonce then
    why = 'renewed'
  elseif leader.run_id == server then
    why = 'confirmed on this server'
  elseif is_promoted() then
    why = 'a promoted replica knows nothing of subscribers'
  elseif subscribers(PREFIX .. 'leader') > 0 then
    -- An older copy may have been loaded into a running process, where no connection broke.
    why = 'a leader may live'
  elseif leader.holder ~= '' and leader.presence == '' then
    -- Without a registration on that process, the holder may lead by its connection to an even older one.
    why = 'never registered'
  elseif not covers(seen, longest_grace) then
    why = 'seen too briefly'
  end
elseif rule == 'presence' or rule == 'fenced' then
  reason = 'process_died'
  if leader.holder == '' then
    why = 'vacant'
  elseif leader.presence ~= seen_nonce or seen_nonce == '' then
    why = 'registered again'
  elseif leader.run_id ~= server then
    why = 'registered on another server'
  elseif subscribers(presence_channel(seen_nonce)) > 0 then
    why = 'present'
  elseif rule == 'fenced' and (promised ~= 'fenced' or meta.mode ~= 'fenced') then
    why = 'not fenced'
  elseif rule == 'presence' and not covers(seen, promised and leader.grace or longest_grace) then
    why = 'seen too briefly'
  end
else
  why = 'no such rule'
end
if why ~= '' then
  return refused()
end

local previous = leader and (leader.holder ~= '' and leader.holder or leader.previous) or ''
if leader and leader.handing_to == id and rule ~= 'presence' and rule ~= 'fenced' then
  reason = 'handover'
end
local stalled = meta.stalled_at > 0 and now - meta.stalled_at < meta.ttl
if rule == 'presence' and not stalled then
  -- The connection that proved that the leader was alive proved the same for the member, except after a stall of the server: then
  -- only deadlines count.
  local dead = read_row(leader.holder)
  local registered = call('HGET', PRESENCE, leader.holder)
  if leader.holder ~= id and dead and is_live(dead) and dead.i == leader.incarnation and registered == seen_nonce .. ' ' .. server then
    end_life(leader.holder, dead, 'offline', 'process_died')
  end
end
local registered = ''
if presence ~= '' and subscribers(presence_channel(presence)) > 0 then
  registered = presence
end
settle()
if meta.settings == 0 then
  -- Any node that knew newer settings has had the time to send them.
  meta.settings = 1
  call('HSET', META, 'settings', 1)
end
local term = next_token()
local granted = { holder = id, incarnation = incarnation, term = term, expires = cluster_now() + lease, nonce = nonce,
  presence = registered, run_id = server, previous = previous, ticket = '', mode = '' }
state(granted, grace, lease, mode, at)
write_record('leader', granted)
emit('leader_elected', id, 'leader', id, 'term', term, 'previous', previous, 'reason', reason)
return { status, int(now), 1, term, '', leader_reply(read_leader()), int(meta.token) }
