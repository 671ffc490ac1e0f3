-- acquire: asks for a named lease, or for the place in its queue.
--
-- ARGV: 1 name, 2 node id, 3 incarnation, 4 presence nonce or '' (bound to the member's life), 5 ticket, 6 request id or ''
--   (the ticket where the client has none), 7 ttl (ms), 8 wait (1|0), 9 grace (ms), 10 claim ('', 'presence' or 'expired'), 11 token seen, 12 presence or nonce seen,
--   13 server process that the caller knows or '', 14 data set that it knows, 15 for how long it has seen both (ms), 16 nonce of
--   the grant, 17 known token, 18 known event seq, 19 known message seq, 20 fresh epoch, 21 for how long
--   the caller has seen what it claims (ms), 22 when it asks, by its own clock (ms)
-- Returns: [now, epoch, token counter, outcome, number, expires at (server time), told again (1|0), ms after which asking again
--   may pay or -1, record, grace of the cluster
--   or 0]; outcome is 'granted' (number: the token), 'queued' (number: how many wait before), or why it was
--   refused: 'held', 'draining', 'no presence', 'unsettled', 'overloaded', 'leadership', or identify()'s word.
-- Atomic, because the conditions of the grant must still hold when the token is granted. Waiters queue by arrival: a vacant
-- lease is reserved for the first live waiter for its grace; other callers wait meanwhile. shared/leases.lua explains when a
-- lease that a presence holds or held may be granted again; all of that is checked here.
local name, id, incarnation, presence, ticket, request = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local ttl, wait, grace = tonumber(ARGV[7]), ARGV[8] == '1', tonumber(ARGV[9])
local claim, seen_token, seen_text, claimed_for = ARGV[10], ARGV[11], ARGV[12], tonumber(ARGV[21])
open(ARGV[17], ARGV[18], ARGV[19], ARGV[20])
guard_stall()
local record = read_record(name)
local place = table.concat({ ticket, id, incarnation, presence == '' and '-' or presence, int(grace) }, ' ')
local request_key = PREFIX .. 'request:' .. id .. ' ' .. name .. ' ' .. request

local function answer(outcome, value, expires, told_again, again)
  return { int(now), meta.epoch, int(meta.token), outcome, value, int(expires), told_again, int(again), lease_reply(record),
    whole(meta.grace) }
end

-- A caller that may not acquire the lease gives up its place in the queue and its reservation.
local function refuse(why)
  if name ~= 'leader' then
    call('ZREM', queue_key(name), place)
    if record and record.holder == '' and record.handing_to == ticket then
      offer(record)
    end
  end
  return answer(why, '0', 0, 0, -1)
end

if request ~= '' then
  local token, expires = string.match(try('GET', request_key) or '', '^(%d+) (%d+)$')
  -- A grant ended with its incarnation. Incarnations and tokens come from one counter, so an earlier incarnation's token is lower.
  if token and (presence ~= '' or tonumber(token) > tonumber(incarnation)) then
    if record and record.term == token and record.presence == '' and record.ticket ~= ticket then
      local _, asked = stated(record)
      if asked and asked < tonumber(ARGV[22]) then
        -- Bind it to this later attempt: then the withdrawal of an earlier attempt does not end it.
        state(record, record.grace, record.ttl, 'exclusive', tonumber(ARGV[22]))
        call('HMSET', lease_key(name), 'ticket', ticket, 'mode', record.mode)
      end
    end
    return answer('granted', token, tonumber(expires), 1, -1)
  end
end
if name == 'leader' then
  if record and record.holder == id and record.incarnation == incarnation and presence == '' then
    return answer('granted', record.term, record.expires + meta.skew, 1, -1)
  end
  return refuse('leadership')
end
-- A lease bound to another connection is not provably the caller's: the caller waits until its former connection has been gone.
if record and record.holder == id and record.incarnation == incarnation and record.presence == presence and record.ticket == ticket
  and cluster_now() <= record.expires then
  return answer('granted', record.term, record.expires + meta.skew, 1, -1)
end

if call('EXISTS', withdrawn_key(ticket)) == 1 then
  -- The caller gave this call up before it arrived.
  return refuse('held')
end

local status, row
if presence == '' then
  status, row = identify(id, incarnation, '')
  if status ~= 'ok' then
    return refuse(status)
  end
elseif subscribers(presence_channel(presence)) == 0 then
  return refuse('no presence')
else
  row = read_row(id)
end
if row and is_live(row) and is_draining(row) then
  return refuse('draining')
end

-- `missing` is 0 if the record (or its absence) is known to be current, or if no earlier holder can still be acting.
local server = run_id()
local seen = ARGV[13] == server and ARGV[14] == meta.epoch and tonumber(ARGV[15]) or 0
local missing, strangers = 0, false
if ARGV[13] == server and ARGV[14] == meta.epoch and presence ~= '' then
  is_known(presence)
end
if not record or record.run_id ~= server or meta.doubt ~= '' then
  missing, strangers = unsettled(math.max(ttl, record and record.ttl or 0), math.max(grace, meta.grace, record and record.grace or 0), seen)
end

if record and record.holder ~= '' then
  local over = cluster_now() > ends_at(record)
  -- The holder's promise counts, not the claimant's setting.
  if claim == 'expired' and not covers(claimed_for, record.ttl) or claim == 'presence' and not covers(claimed_for, record.grace) then
    claim = ''
  end
  if record.presence == '' then
    over = over or claim == 'expired' and record.term == seen_token and record.nonce == seen_text
  elseif record.run_id ~= server then
    over = missing == 0
  elseif missing > 0 then
    over = false
  elseif claim ~= '' and record.term == seen_token then
    over = over or claim == 'expired' and record.nonce == seen_text
      or claim == 'presence' and record.presence == seen_text and subscribers(presence_channel(seen_text)) == 0
  end
  if over then
    vacate_lease(record)
  end
end

local held = record ~= nil and record.holder ~= ''
local waits_for_server = not held and presence ~= '' and missing > 0
local first, first_text = first_waiter(name)
if not held and record and record.handing_to ~= '' and record.handing_to ~= ticket and cluster_now() >= record.vacated + record.grace then
  pass_on(record)
  first, first_text = first_waiter(name)
end

if not held and not waits_for_server and (not first or first_text == place) then
  local token = next_token()
  call('ZREM', queue_key(name), place)
  local previous = record and record.previous or ''
  record = { name = name, holder = id, incarnation = incarnation, term = token, expires = cluster_now() + ttl, nonce = ARGV[16],
    presence = presence, run_id = missing == 0 and server or '', handing_to = '', vacated = 0, previous = previous,
    ticket = ticket, mode = '' }
  state(record, grace, ttl, 'exclusive', tonumber(ARGV[22]))
  grant_lease(record)
  if request ~= '' then
    -- A request id that equals the ticket belongs to this attempt alone, and is not repeated after the attempt ends.
    local kept = request == ticket and math.min(ttl, 60000) or math.min(math.max(ttl, 3600000), 86400000)
    call('SET', request_key, token .. ' ' .. int(record.expires + meta.skew), 'PX', int(kept))
  end
  local next_one = presence ~= '' and first_waiter(name)
  if next_one then
    call_waiter(next_one)
  end
  return answer('granted', token, record.expires + meta.skew, 0, -1)
end

-- Not granted yet: the lease is held, an earlier holder may still be acting, or the lease is reserved for another waiter.
local again
if held then
  again = ends_at(record) + 1 - cluster_now()
  if record.presence ~= '' then
    -- The first waiter watches the holder; if that waiter dies, the next one must find out that it is the first now.
    again = (record.run_id ~= server or missing > 0) and missing or math.min(again, math.max(1000, 10 * grace))
  end
elseif waits_for_server then
  again = missing
  if record and record.handing_to == ticket then
    -- It waits for the server process to settle, so it keeps its turn.
    record.handing_to = ''
    call('HSET', lease_key(name), 'handing_to', '')
    call('ZREM', LEASES, name)
  end
else
  if not record then
    -- Waiters came while the server was not settled; the offer to the first of them needs a record.
    record = { name = name, holder = '', incarnation = '0', term = '0', expires = 0, nonce = 'vacant-0', presence = '', run_id = '',
      handing_to = '', vacated = 0, previous = '', ttl = 0, ticket = '', grace = 0, mode = '' }
    write_record(name, record)
  end
  if record.handing_to ~= first.ticket then
    offer(record)
  end
  again = record.vacated + record.grace - cluster_now()
end
if strangers then
  -- A stranger may become known at any moment.
  again = math.min(again, math.ceil(grace / 4))
end
again = math.max(1, again)
if not wait then
  call('ZREM', queue_key(name), place)
  return answer(waits_for_server and 'unsettled' or 'held', '0', 0, 0, again)
end
local before = call('ZRANK', queue_key(name), place)
if not before then
  before = call('ZCARD', queue_key(name))
  if before >= 1000 then
    return answer('overloaded', '0', 0, 0, again)
  end
  local last = call('ZRANGE', queue_key(name), -1, -1, 'WITHSCORES')
  call('ZADD', queue_key(name), int(number(last[2], 0) + 1), place)
end
call('PEXPIRE', queue_key(name), 86400000)
return answer('queued', int(before), 0, 0, again)
