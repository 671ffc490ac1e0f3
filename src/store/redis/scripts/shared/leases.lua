-- Shared by every script, behind shared/keys_and_clock.lua: the records of leases, and the end of a life, which ends leases, too.
--
-- A record: holder (node id, '' when vacant), incarnation ('0': a process that is no member), term (the token), expires (cluster
-- time), nonce (of the last renewal), presence (nonce of the holder's registered connection), run_id (the server process that
-- granted or confirmed it; '' when it was granted without knowing that it is the newest), handing_to (of the leadership the
-- candidate's node id, else the ticket of the waiter that a vacancy is kept for), vacated (cluster time), previous, lost
-- ('resigned' or 'handover'), ttl (ms), ticket (of the attempt that was granted), grace (ms, of the holder, then of the offer),
-- mode ("<exclusive or fenced> <term> <stated at>", see below).
-- The leadership is the lease named `leader`, with stricter rules (leader/campaign.lua): it is in no zset and has no queue.
--
-- What a takeover waits for is the holder's promise, not the claimant's setting: `grace` (it stops when its last answered ping was
-- sent that long ago), `ttl` (it stops when its last confirmed renewal was sent that long ago), `mode` (whether a candidate may come
-- before). The claimant says for how long it has observed, by its own clock, what its rule needs, and is refused unless that
-- covers the promise and 5 % more (`covers`). The promise changes only by the holder's own grant or renewal:
--   * A shorter one is followed by the holder from the moment at which it learns of it, and stated with its next renewal; a longer
--     one is stated first, and followed once the answer has said that the record has it. So at every instant the record promises
--     at least what the holder follows, also where a renewal or its answer is lost.
--   * A renewal that comes late (its sender gave it up) must not take back a later statement: `stated at` is the holder's own clock
--     when it sent it, and an older one changes nothing.
--   * `mode` binds no holder, only those who come after it. `fenced` counts where the record and the data set both say so. So from
--     fenced to exclusive nobody comes early once either says exclusive, and E1 holds again one grace (of the record before) after that;
--     from exclusive to fenced nobody comes early before the holder has stated it.
-- The version before writes no `mode`, and one that it left is of another term: such a leader states nothing. It follows its own
-- grace, which is in the record since its grant unless the record was lost, and the data set's lease: the longest that the record,
-- the data set and the claimant know is waited for, and never `fenced`.
--
-- Why nobody gets a lease that is bound to a presence while its holder may go on. The holder stops when its last answered
-- ping was sent a grace ago, and when its TTL (less 5 %) has passed since it sent its last confirmed renewal, by its own clock.
--   * Its presence is gone (Claim::Presence): every answered ping was sent before that was seen, and the claimant has waited
--     the grace and 5 % since, on its own clock, on the server process where this very nonce is registered.
--   * The record was unchanged for the TTL and 5 % on the claimant's clock (Claim::Expired): the last renewal was sent before
--     the claimant saw it. By the server's own clock a lease is over half a member TTL later than it says, because the stall
--     guard takes shorter jumps of that clock for time.
--   * Another server process answers than granted or confirmed the record, or the data set began anew: the last writes may be
--     lost, so whatever this data set shows (another's record, a vacancy, nothing at all) proves nothing. A holder whose
--     connection broke stops within the grace. So the caller must have seen this process and data set for the grace and 5 % on
--     its own clock, or the process must serve them for half a member TTL longer, by the server's. The same waits are a TTL long
--     (the longest that is known: the caller's, the record's, the longest that was granted, and without data that of the leader)
--     where a holder may go on with answered pings and lost renewals: on a promoted replica, whose former primary may live (one
--     primary at a time takes writes, so no renewal is later than the promotion), and beside strangers.
--   * Strangers are presences of which nothing was heard since this process first wrote, or the data set began (shared/settled.lua).
--   * `doubt`: the data set began on a copy that holds records of this very process. Until all of these waits are over, such a record proves
--     nothing, but a renewal of it since may have made it the newest, so its own rules bind the claimant, too.
--   * The holder itself goes on across a change of the process only while it holds the lease by its own clock: then none of
--     these waits is over for anybody.

-- A command on a key that somebody else may have broken: nil instead of an error, so that only that lease suffers.
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    return nil
  end
  return answer
end

-- A mark that refuses a call which its caller gave up without an answer, should it arrive later.
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

-- The mode that the holder of this term stated, and when by its own clock; nothing where it stated none.
local function stated(record)
  local mode, term, at = string.match(record.mode, '^(%a+) (%d+) (%d+)$')
  if term == record.term then
    return mode, tonumber(at)
  end
end

-- The holder states what it follows; false: it has stated something later.
local function state(record, grace, ttl, mode, at)
  local _, before = stated(record)
  if before and before > at then
    return false
  end
  record.grace, record.ttl, record.mode = grace, ttl, mode .. ' ' .. record.term .. ' ' .. int(at)
  return true
end

-- Whether what was observed for `seen` ms covers a promise of `wait` ms and 5 % more. Both are whole, so one is given.
local function covers(seen, wait)
  return (seen + 1) * 20 >= wait * 21
end

-- Whether the caller is what the lease was granted to: the member's life, or the process that asked for it by a presence, which
-- shows that connection or the ticket of the attempt. The token is no proof, because everybody may see it. Of a vacant record: whether
-- it was the caller's last.
local function is_own(record, id, incarnation, presence, ticket)
  local holder = record.holder ~= '' and record.holder or record.previous
  if holder ~= id or record.incarnation ~= incarnation then
    return false
  elseif presence == '' then
    return record.presence == ''
  end
  return record.presence == presence or ticket ~= '' and record.ticket == ticket
end

-- One that somebody else broke is none: its holder writes it again while it leads, and nobody follows before the leader channel
-- has been free for the grace.
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

-- The run_id stays: whether the record is the newest one is known only on the server process that granted or confirmed it.
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
-- the holder's presence, grace, ttl, mode that the holder stated or ''] or an empty list. `there`: those subscribers, where they
-- were counted already.
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

-- When the server's own word ends a lease: half a member TTL late where a presence holds it.
local function ends_at(record)
  return record.expires + (record.presence ~= '' and half_ttl() or 0)
end

-- Whether a node's row lets its processes take leases: a member that drains does not.
local function is_draining(row)
  return row ~= nil and row.s == 'draining'
end

-- A waiter as its queue holds it; nil when somebody else put it there.
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

-- The first waiter that could take the lease; those before it are forgotten.
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

-- Keeps a vacant lease for its first living waiter, and calls it. Without one, the record is forgotten after a day.
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

-- The longest TTL that a presence was granted in this data set.
local function note_ttl(record)
  if record.presence ~= '' and record.ttl > meta.longest then
    meta.longest = record.ttl
    call('HSET', META, 'longest', int(meta.longest))
  end
end

-- Writes the grant of a named lease.
local function grant_lease(record)
  -- First what may fail where somebody else broke a key, so that no grant is left of which nobody knows.
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

-- Forgets the waiter whose offer has lapsed, or that gave it up, and goes on with the next.
local function pass_on(record)
  for _, text in ipairs(try('ZRANGE', queue_key(record.name), 0, -1) or {}) do
    if string.match(text, '^(%S+) ') == record.handing_to then
      call('ZREM', queue_key(record.name), text)
    end
  end
  offer(record)
end

-- Does what is due with at most 16 leases; returns the cluster time at which the next is due, or nil.
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

-- What a life leaves of its tasks when it ends. `tasks/shared.lua`, which every script that ends lives has behind this text, says how.
local release_tasks

-- Ends a life: the row stays as a memory of the node for seven days. The leases that are bound to the life end with it, but
-- not those of a member that was only late: a frozen holder keeps them until they are over.
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
  end
  release_tasks(id, reason)
end
