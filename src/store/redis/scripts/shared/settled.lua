-- Shared by every script, between shared/members.lua and shared/leases.lua: who may go on that was granted a lease before this server
-- process first wrote, or before the data set began.
--
-- Strangers are the presences that stood on this process at that moment: FLUSHALL, and a copy that somebody loads into a running
-- process, break no connection. A holder whose answered pings count is among them: it registered before. One is no stranger any more once
-- it is known: a lease is bound to it again, it is a member's, or it asks for a lease and names this process and data set, which it has
-- seen since (while anything of its command is left, it does not ask). A version that does not note them leaves that unknown, as if
-- there were some; so does an ACL without PUBSUB CHANNELS.

-- Which server process and data set the strangers were noted for.
local function noted()
  return meta.epoch .. ' ' .. run_id()
end

note_strangers = function()
  local place = PREFIX .. 'strangers'
  call('DEL', place)
  local before = #presence_channel('')
  local channels = redis.pcall('PUBSUB', 'CHANNELS', (string.gsub(presence_channel(''), '[%*%?%[%]%^\\]', '\\%0')) .. '*')
  if channels.err then
    channels = { presence_channel('?') }
  end
  for _, channel in ipairs(channels) do
    call('SADD', place, string.sub(channel, before + 1))
  end
  call('PEXPIRE', place, 172800000)
  meta.noted = noted()
  call('HSET', META, 'noted', meta.noted)
end

-- This presence is known: it is no holder that others do not know of.
local function is_known(nonce)
  call('SREM', PREFIX .. 'strangers', nonce)
end

-- The longest TTL that is known; with strangers, of whom nothing is known, at least the leader's lease or its default.
local function longest_ttl(ttl, stranger)
  local longest = meta.longest > 0 and meta.longest or meta.lease
  return math.max(ttl, longest, stranger and (meta.lease > 0 and meta.lease or 30000) or 0)
end

-- How many ms are missing until this server process and data set have been served for so long that nobody goes on who was
-- granted a lease by an earlier one; `seen` is for how long the caller has seen both. And whether the wait is only long because of strangers.
local function unsettled(ttl, grace, seen)
  local served = math.max(cluster_now() - meta.settled_at - half_ttl(), seen)
  local function missing(wait)
    return math.max(0, wait + math.ceil(wait / 20) - served)
  end
  local strange = math.max(grace, longest_ttl(ttl, true))
  if missing(strange) == 0 then
    return 0, false
  elseif is_promoted() then
    return missing(math.max(grace, longest_ttl(ttl, false))), false
  elseif meta.noted ~= noted() or call('EXISTS', PREFIX .. 'strangers') == 1 then
    return missing(strange), true
  end
  return missing(grace), false
end
