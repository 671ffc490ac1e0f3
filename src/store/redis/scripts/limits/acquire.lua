-- slot_acquire: asks for one of the slots of a name, or for the place in their queue.
--
-- ARGV: node id, incarnation, name, ticket, request id, slots, ttl (ms), wait (1|0), grace (ms)
-- Returns: [status, outcome ('granted'|'full'|'barred'|'overloaded'), token, expires at (server time), ms after which asking again
--   may help, slots in use]
-- Atomic, because two callers must not find the same slot free.
local id, incarnation, name, ticket, request = ARGV.node_id, ARGV.incarnation, ARGV.name, ARGV.ticket, ARGV.request_id
local most, ttl, grace = tonumber(ARGV.slots), tonumber(ARGV.ttl), tonumber(ARGV.grace)
local key, by, queue, offers = slot_keys(name)
local place = ticket .. ' ' .. id .. ' ' .. incarnation .. ' - ' .. int(grace)
local request_key = PREFIX .. 'slot_request:' .. id .. ' ' .. name .. ' ' .. request
load_meta()
guard_stall()
local status, row = identify(id, incarnation, '')
if status ~= 'ok' then
  return { status, 'barred', 0, 0, 0, 0 }
end
expire_slots(name)
local token, expires = string.match(try('GET', request_key) or '', '^(%d+) (%d+)$')
-- Incarnations and tokens come from one counter: the grant of an earlier incarnation has a lower token, and ended with it.
if token and tonumber(token) > tonumber(incarnation) then
  return { status, 'granted', token, expires, 0, sure('ZCARD', key) }
end
local function leave()
  call('ZREM', queue, place)
  call('ZREM', offers, place)
end
if is_draining(row) or call('EXISTS', withdrawn_key(ticket)) == 1 then
  if sure('ZSCORE', queue, place) then
    leave()
    offer_freed(name)
  end
  return { status, 'barred', 0, 0, 0, sure('ZCARD', key) }
end

if sure('ZCARD', SLOTS) >= 10000 and not call('ZSCORE', SLOTS, name) then
  local old = call('ZRANGEBYSCORE', SLOTS, '-inf', '(' .. int(cluster_now()), 'LIMIT', 0, 100)
  if #old == 0 then
    return { status, 'overloaded', 0, 0, 0, 0 }
  end
  call('ZREM', SLOTS, unpack(old))
end
local in_use, lapses = offer_slots(name, most, place)
local rank = sure('ZRANK', queue, place)
local before = rank or call('ZCARD', queue)
if before < most - in_use then
  token = next_token()
  expires = cluster_now() + ttl
  leave()
  call('ZADD', key, int(expires), token)
  call('HMSET', by, token, id .. ' ' .. incarnation .. ' ' .. int(ttl) .. ' ' .. ticket, 'most', int(most))
  sure('SADD', PREFIX .. 'slots_of:' .. id, token .. ' ' .. name)
  call('ZADD', SLOTS, int(math.max(expires, number(call('ZSCORE', SLOTS, name), 0))), name)
  -- Longer than any slot lasts, in case the server's clock jumps forward.
  call('PEXPIRE', key, 259200000)
  call('PEXPIRE', by, 259200000)
  -- A request id that equals the ticket belongs to this attempt alone.
  local kept = request == ticket and math.min(ttl, 60000) or math.min(math.max(ttl, 3600000), 86400000)
  call('SET', request_key, token .. ' ' .. int(expires + meta.skew), 'PX', int(kept))
  return { status, 'granted', token, int(expires + meta.skew), 0, in_use + 1 }
end
if ARGV.wait ~= '1' then
  leave()
elseif not rank then
  if before >= 1000 then
    return { status, 'overloaded', 0, 0, 0, in_use }
  end
  local last = call('ZRANGE', queue, -1, -1, 'WITHSCORES')
  call('ZADD', queue, int(number(last[2], 0) + 1), place)
  call('HSET', by, 'most', int(most))
  call('PEXPIRE', by, 259200000)
end
call('PEXPIRE', queue, 86400000)
local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
local again = math.min(number(first[2], math.huge), lapses or math.huge)
again = again == math.huge and grace or again + 1 - cluster_now()
return { status, 'full', 0, 0, int(math.max(1, again)), in_use }
