-- Shared by every script, after shared/settled.lua: the records of leases, and the end of an incarnation, which ends leases, too.
--
-- A record: holder (node id, '' when vacant), incarnation ('0': a process that is no member), term (the token), expires (cluster
-- time), nonce (of the last renewal), presence (nonce of the holder's registered connection), run_id (the server process that
-- granted or confirmed it; '' if a newer record may have been lost), handing_to (for the leadership the
-- candidate's node id, else the ticket of the waiter that a vacancy is reserved for), vacated (cluster time), previous, lost
-- ('resigned' or 'handover'), ttl (ms), ticket (of the attempt that was granted), grace (ms, of the holder, then of the offer),
-- mode ("<exclusive or fenced> <term> <stated at>", see below).
-- The leadership is the lease named `leader`, with stricter rules (leader/campaign.lua): it is in no zset and has no queue.
--
-- A takeover waits for what the holder promised, not for the claimant's settings: `grace` (the holder stops when its last answered
-- ping was sent that long ago), `ttl` (it stops when its last confirmed renewal was sent that long ago), `mode` (whether a candidate
-- may take over earlier). The claimant sends how long it has observed, by its own clock, what its rule needs, and is refused unless
-- that is at least the promise plus 5 % (`covers`). Only the holder's own grant or renewal changes the promise:
--   * The holder follows a shorter promise as soon as it learns of it, and states it with its next renewal. It states a longer one
--     first, and follows it once an answer has confirmed that the record has it. So at every instant the record promises at least
--     what the holder follows, even if a renewal or its answer is lost.
--   * A late renewal, which its sender gave up, must not undo a later statement: `stated at` is the holder's own clock when it sent
--     the renewal, and an older one changes nothing.
--   * `mode` binds the successors, not the holder. `fenced` applies if both the record and the data set say so. So after a change
--     from fenced to exclusive, no successor is early once either says exclusive, and E1 holds again one grace (of the previous
--     record) later; after a change from exclusive to fenced, no successor is early before the holder has stated it.
-- The previous release writes no `mode`, and one left over from before it is of another term: such a leader states nothing. It follows
-- its own grace, which is in the record since its grant unless the record was lost, and the data set's lease. So the wait is the
-- longest that the record, the data set and the claimant know, and `fenced` never applies.
--
-- Why a lease that is bound to a presence is never granted while its holder may still act on it. The holder stops when its last
-- answered ping was sent a grace ago, and when its TTL (less 5 %) has passed since it sent its last confirmed renewal, by its own clock.
--   * Its presence is gone (Claim::Presence): every answered ping was sent before the claimant saw that, and the claimant has since
--     waited the grace plus 5 %, on its own clock, on the server process where this nonce is registered.
--   * The record was unchanged for the TTL plus 5 % on the claimant's clock (Claim::Expired): the last renewal was sent before
--     the claimant first saw it. By the server's own clock a lease ends half a member TTL later than it says, because the stall
--     guard counts shorter jumps of that clock as time.
--   * The server process is not the one that granted or confirmed the record, or the data set began anew: the last writes may be
--     lost, so nothing in this data set (another holder's record, a vacancy, no record) proves anything. A holder whose
--     connection broke stops within the grace. So the caller must have observed this process and data set for the grace plus 5 % on
--     its own clock, or the process must have served them for half a member TTL longer, by the server's. These waits are a TTL
--     (the longest known: the caller's, the record's, the longest granted, and without data the leader's lease) where a holder
--     may still get answers to its pings although its renewals are lost: on a promoted replica, whose former primary may still run
--     (only one primary at a time accepts writes, so no renewal is later than the promotion), and while there are strangers.
--   * Strangers are presences from which nothing was heard since this process first wrote, or the data set began (shared/settled.lua).
--   * `doubt`: the data set began on a copy that holds records of this same process. Until all of these waits are over, such a record
--     proves nothing. But a later renewal may have made it current, so its own rules bind the claimant, too.
--   * The holder itself continues across a change of the process only while it holds the lease by its own clock: at that time none
--     of these waits can be over for any claimant.

-- Runs a command on a key that may be malformed: returns nil instead of an error, so that only that lease is affected.
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    return nil
  end
  return answer
end

-- How long (ms) a mark refuses a call that its caller gave up without an answer, in case the call arrives later.
local WITHDRAWN_FOR = 600000
local function withdrawn_key(nonce)
  return PREFIX .. 'withdrawn:' .. nonce
end

local function lease_key(name)
  return PREFIX .. 'lease:' .. name
end

local function queue_key(name)
  return PREFIX .. 'queue:' .. name
end

local function owned_key(id)
  return PREFIX .. 'owned:' .. id
end

local function read_record(name, run)
  local v = (run or call)('HMGET', lease_key(name), 'holder', 'incarnation', 'term', 'expires', 'nonce', 'presence', 'run_id',
    'handing_to', 'vacated', 'previous', 'lost', 'ttl', 'ticket', 'grace', 'mode')
  if not v or not v[3] then
    return nil
  end
  return {
    name = name, holder = v[1] or '', incarnation = v[2] or '0', term = v[3], expires = number(v[4], 0), nonce = v[5] or '',
    presence = v[6] or '', run_id = v[7] or '', handing_to = v[8] or '', vacated = number(v[9], 0),
    previous = v[10] or '', lost = v[11] or '', ttl = number(v[12], 0), ticket = v[13] or '', grace = number(v[14], 0),
    mode = v[15] or '',
  }
end

-- The mode that the holder of this term stated, and when by its own clock; nothing if it stated none.
local function stated(record)
  local mode, term, at = string.match(record.mode, '^(%a+) (%d+) (%d+)$')
  if term == record.term then
    return mode, tonumber(at)
  end
end

-- Records what the holder follows. Returns false if it has made a later statement.
local function state(record, grace, ttl, mode, at)
  local _, before = stated(record)
  if before and before > at then
    return false
  end
  record.grace, record.ttl, record.mode = grace, ttl, mode .. ' ' .. record.term .. ' ' .. int(at)
  return true
end

-- Whether an observation of `seen` ms covers a promise of `wait` ms plus 5 %. One ms is added, because both were rounded.
local function covers(seen, wait)
  return (seen + 1) * 20 >= wait * 21
end

-- Whether the lease was granted to the caller: to this incarnation of the member, or to the process with this presence, which proves
-- that by the connection or by the ticket of the attempt. The token proves nothing, because it is public. For a vacant record: whether
-- the caller was its last holder.
local function is_own(record, id, incarnation, presence, ticket)
  local holder = record.holder ~= '' and record.holder or record.previous
  if holder ~= id or record.incarnation ~= incarnation then
    return false
  elseif presence == '' then
    return record.presence == ''
  end
  return record.presence == presence or ticket ~= '' and record.ticket == ticket
end

-- A malformed record counts as missing: its holder rewrites it while it leads, and no successor is elected before the leader
-- channel has been free for the grace.
local function read_leader()
  local record = read_record('leader')
  if record and string.find(record.term, '^%d+$') and string.find(record.incarnation, '^%d+$') and string.find(record.holder, '^[%w._:/-]*$') then
    return record
  end
end

-- Writes a grant. `record` has holder, incarnation, term, expires, nonce, presence, run_id, previous, ttl, ticket, grace and mode.
local function write_record(name, record)
  call('HMSET', lease_key(name), 'holder', record.holder, 'incarnation', record.incarnation, 'term', record.term, 'expires',
    int(record.expires), 'nonce', record.nonce, 'presence', record.presence, 'run_id', record.run_id, 'handing_to', '', 'vacated', 0,
    'previous', record.previous, 'lost', '', 'ttl', int(record.ttl), 'ticket', record.ticket, 'grace', int(record.grace),
    'mode', record.mode)
end

-- The run_id stays: only the server process that granted or confirmed the record knows whether it is the newest.
local function vacate_record(record, lost)
  record.previous, record.holder, record.presence, record.lost = record.holder, '', '', lost
  record.vacated, record.nonce = cluster_now(), 'vacant-' .. record.term
  call('HMSET', lease_key(record.name), 'holder', '', 'vacated', int(record.vacated), 'previous', record.previous, 'lost', lost,
    'presence', '', 'nonce', record.nonce)
end

local function vacate_leader(leader, reason)
  vacate_record(leader, reason)
  emit('leader_lost', leader.previous, 'leader', leader.previous, 'term', leader.term, 'reason', reason)
end

-- The leadership as a reply: [holder, incarnation, term, expires at (server time), nonce, presence, handing_to, subscribers of
-- the holder's presence, grace, ttl, mode that the holder stated or ''] or an empty list. `there`: the number of those
-- subscribers, if already known.
local function leader_reply(leader, there)
  if not leader then
    return {}
  end
  there = there or leader.presence ~= '' and subscribers(presence_channel(leader.presence)) or 0
  return { leader.holder, leader.incarnation, leader.term, whole(leader.expires + meta.skew), leader.nonce, leader.presence,
    leader.handing_to, there, whole(leader.grace), whole(leader.ttl), stated(leader) or '' }
end

-- A lease as a reply: [holder, incarnation, token, expires at (server time), nonce, presence, ttl, subscribers of that presence,
-- this server process granted or confirmed it (1|0), ticket it is kept for, waiters, grace] or an empty list.
local function lease_reply(record)
  if not record then
    return {}
  end
  local there = record.presence ~= '' and subscribers(presence_channel(record.presence)) or 0
  local kept = record.holder == '' and record.name ~= 'leader' and record.handing_to or ''
  return { record.holder, record.incarnation, record.term, int(record.expires + meta.skew), record.nonce, record.presence,
    int(record.ttl), there, record.run_id == run_id() and 1 or 0, kept, try('ZCARD', queue_key(record.name)) or 0,
    whole(record.grace) }
end

-- When a lease ends by the server's own clock: half a member TTL late if a presence holds it.
local function ends_at(record)
  return record.expires + (record.presence ~= '' and half_ttl() or 0)
end

-- A draining member and its processes acquire no leases.
local function is_draining(row)
  return row ~= nil and row.s == 'draining'
end

-- Parses a waiter of a queue; nil if it is malformed.
local function read_waiter(text)
  local ticket, node, incarnation, presence, grace = string.match(text, '^(%S+) (%S+) (%d+) (%S+) (%d+)$')
  if not ticket then
    return nil
  end
  return { ticket = ticket, node = node, incarnation = incarnation, presence = presence == '-' and '' or presence, grace = tonumber(grace) }
end

local function can_take(waiter)
  local row = read_row(waiter.node)
  if waiter.presence ~= '' then
    return subscribers(presence_channel(waiter.presence)) > 0 and not (row and is_live(row) and is_draining(row))
  end
  return row ~= nil and is_live(row) and row.i == waiter.incarnation and not is_draining(row)
end

-- The first waiter that can take the lease; removes those before it.
local function first_waiter(name)
  while true do
    local first = try('ZRANGE', queue_key(name), 0, 0)
    if not first or not first[1] then
      return nil
    end
    local waiter = read_waiter(first[1])
    if waiter and can_take(waiter) then
      return waiter, first[1]
    end
    call('ZREM', queue_key(name), first[1])
  end
end

local function call_waiter(waiter)
  local nonce = waiter.presence ~= '' and waiter.presence or read_presence(waiter.node)
  if nonce ~= '' then
    call('PUBLISH', presence_channel(nonce), 'lease ' .. waiter.ticket)
  end
end

-- Reserves a vacant lease for its first live waiter, and notifies it. Without a waiter, the record expires after a day.
local function offer(record)
  local waiter = first_waiter(record.name)
  record.handing_to = waiter and waiter.ticket or ''
  if waiter then
    record.vacated, record.grace = cluster_now(), waiter.grace
    call('HMSET', lease_key(record.name), 'handing_to', waiter.ticket, 'vacated', int(record.vacated), 'grace', int(waiter.grace))
    call('PERSIST', lease_key(record.name))
    call('ZADD', LEASES, int(record.vacated + waiter.grace), record.name)
    call_waiter(waiter)
  else
    call('HSET', lease_key(record.name), 'handing_to', '')
    call('ZREM', LEASES, record.name)
    call('PEXPIRE', lease_key(record.name), 86400000)
  end
end

-- Remembers the longest TTL that was granted to a presence in this data set.
local function note_ttl(record)
  if record.presence ~= '' and record.ttl > meta.longest then
    meta.longest = record.ttl
    call('HSET', META, 'longest', int(meta.longest))
  end
end

-- Writes the grant of a named lease.
local function grant_lease(record)
  -- First the writes that fail on a malformed key, so that a failure leaves no grant behind that no caller knows of.
  call('ZADD', LEASES, int(ends_at(record) + 1), record.name)
  call('SADD', owned_key(record.holder), record.name)
  write_record(record.name, record)
  call('PERSIST', lease_key(record.name))
  note_ttl(record)
end

-- Ends a named lease.
local function vacate_lease(record)
  try('SREM', owned_key(record.holder), record.name)
  vacate_record(record, '')
  offer(record)
end

-- Removes the waiter whose offer lapsed or was declined, and offers the lease to the next one.
local function pass_on(record)
  for _, text in ipairs(try('ZRANGE', queue_key(record.name), 0, -1) or {}) do
    if string.match(text, '^(%S+) ') == record.handing_to then
      call('ZREM', queue_key(record.name), text)
    end
  end
  offer(record)
end

-- Handles at most 16 leases that are due; returns the cluster time at which the next one is due, or nil.
local function sweep_leases()
  local first = try('ZRANGE', LEASES, 0, 15, 'WITHSCORES') or {}
  local swept = false
  for at = 1, #first, 2 do
    local name, due = first[at], number(first[at + 1], 0)
    if due > cluster_now() then
      return swept and number(call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')[2], nil) or due
    end
    swept = true
    local record = name ~= 'leader' and read_record(name, try) or nil
    if not record then
      call('ZREM', LEASES, name)
    elseif record.holder == '' then
      if record.handing_to ~= '' then
        pass_on(record)
      else
        call('ZREM', LEASES, name)
      end
    else
      local wait = math.max(0, ends_at(record) - cluster_now() + 1)
      if wait == 0 and record.presence ~= '' and (record.run_id ~= run_id() or meta.doubt ~= '') then
        wait = unsettled(record.ttl, math.max(record.grace, meta.grace), 0)
      end
      if wait > 0 then
        call('ZADD', LEASES, int(cluster_now() + wait), name)
      else
        vacate_lease(record)
      end
    end
  end
  return swept and number(call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')[2], nil) or nil
end

-- Releases the tasks of an incarnation that ends. Defined in tasks/shared.lua, which follows in every script that ends incarnations.
local release_tasks

-- Ends the slots of an incarnation that ends. Defined in limits/slots.lua, which follows in the same scripts.
local release_slots

-- Ends an incarnation. The row stays for seven days. Leases bound to the incarnation end with it, except for those of a
-- member that was only late: a frozen holder keeps them until they expire.
local function end_life(id, row, status, reason)
  row.s = status
  write_row(id, row)
  call('ZREM', BEATS, id)
  call('HDEL', PRESENCE, id)
  call('ZADD', AWAY, int(cluster_now()), id)
  emit('node_left', id, 'incarnation', row.i, 'reason', reason)
  if reason ~= 'heartbeat_timeout' then
    for _, name in ipairs(try('SMEMBERS', owned_key(id)) or {}) do
      local record = read_record(name, try)
      if record and record.holder == id and record.incarnation == row.i and record.presence == '' then
        vacate_lease(record)
      end
    end
    release_slots(id, row.i)
  end
  release_tasks(id, reason)
end
