-- Shared by the scripts of slots and by those that end incarnations, after the preludes: who holds one of the slots of a name,
-- and who waits for one.
--
--   slots                zset  name -> cluster time at which its last slot expires; the names in use
--   slot:<name>          zset  token -> cluster time at which the slot expires
--   slot_by:<name>       hash  token -> "<node> <incarnation> <ttl, ms> <ticket>"; and most: the slots that the last caller named
--   slot_queue:<name>    zset  "<ticket> <node> <incarnation> - <grace>" of a waiter -> its place
--   slot_offers:<name>   zset  such a waiter -> cluster time until which a slot is reserved for it
--   slots_of:<node id>   set   "<token> <name>" of slots that were granted to this node id; `slot_by` decides
--   slot_request:<node id> <name> <request id>   string  "<token> <expires at, server time>" of the first grant
--   slot_released:<token>  string  "<node> <incarnation>" that released it
-- A slot is held until it is released, its time has passed, or its holder's incarnation has ended. Waiters queue by arrival: the first
-- ones, as many as slots are free, are called, and each has its grace to take one; then it loses its place.
local SLOTS = PREFIX .. 'slots'

-- The keys of a name: holders by expiry, what is known of them, waiters, offers.
local function slot_keys(name)
  return PREFIX .. 'slot:' .. name, PREFIX .. 'slot_by:' .. name, PREFIX .. 'slot_queue:' .. name, PREFIX .. 'slot_offers:' .. name
end

-- Deletes a malformed key, so that only this name is affected, and runs the command again.
local function sure(command, key, ...)
  local answer = redis.pcall(command, key, ...)
  if type(answer) == 'table' and answer.err then
    call('DEL', key)
    answer = call(command, key, ...)
  end
  return answer
end

local function read_slot(text)
  local node, incarnation, ttl, ticket = string.match(text or '', '^(%S+) (%d+) (%d+) (%S+)$')
  return node and { node = node, incarnation = incarnation, ttl = tonumber(ttl), ticket = ticket }
end

-- Reserves free slots for the first waiters that can take one, and removes those that cannot, or did not in time. The waiter `own` asks
-- at this moment. Returns how many slots are in use, and the cluster time at which the first reservation lapses, or nil.
local function offer_slots(name, most, own)
  local key, by, queue, offers = slot_keys(name)
  local in_use, first, place = sure('ZCARD', key), nil, 0
  while place < most - in_use do
    local text = sure('ZRANGE', queue, place, place)[1]
    if not text then
      break
    end
    local waiter, lapses = read_waiter(text), number(sure('ZSCORE', offers, text), nil)
    if not waiter or not can_take(waiter) or text ~= own and lapses and lapses <= cluster_now() then
      call('ZREM', queue, text)
      call('ZREM', offers, text)
    else
      if not lapses then
        lapses = cluster_now() + waiter.grace
        call('ZADD', offers, int(lapses), text)
        call('PEXPIRE', offers, 86400000)
        if text ~= own then
          call_waiter(waiter)
        end
      end
      first, place = math.min(first or lapses, lapses), place + 1
    end
  end
  return in_use, first
end

local function end_slot(name, token)
  local key, by = slot_keys(name)
  local slot = read_slot(sure('HGET', by, token))
  call('ZREM', key, token)
  call('HDEL', by, token)
  if slot then
    try('SREM', PREFIX .. 'slots_of:' .. slot.node, token .. ' ' .. name)
  end
end

-- Ends the slots whose time has passed, and those without a holder.
local function expire_slots(name)
  local key = slot_keys(name)
  for _, token in ipairs(sure('ZRANGEBYSCORE', key, '-inf', '(' .. int(cluster_now()), 'LIMIT', 0, 1000)) do
    end_slot(name, token)
  end
end

-- The slot with this token, if this incarnation holds it.
local function own_slot(name, token, node, incarnation)
  local key, by = slot_keys(name)
  local expires, slot = number(sure('ZSCORE', key, token), nil), read_slot(sure('HGET', by, token))
  if expires and expires >= cluster_now() and slot and slot.node == node and slot.incarnation == incarnation then
    return slot
  end
end

-- Offers what is free by the number of slots that the last caller named.
local function offer_freed(name)
  local key, by = slot_keys(name)
  return (offer_slots(name, number(sure('HGET', by, 'most'), 1)))
end

release_slots = function(node, incarnation)
  for _, text in ipairs(try('SMEMBERS', PREFIX .. 'slots_of:' .. node) or {}) do
    local token, name = string.match(text, '^(%d+) (%S+)$')
    local _, by = slot_keys(name or '')
    local slot = name and read_slot(try('HGET', by, token))
    if not slot then
      call('SREM', PREFIX .. 'slots_of:' .. node, text)
    elseif slot.node == node and slot.incarnation == incarnation then
      end_slot(name, token)
      offer_freed(name)
    end
  end
end
